"""Times as a person types them."""

from datetime import UTC, datetime

import pytest

from rendercast.cli.moments import moment

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.678+02:00", datetime(2026, 1, 2, 1, 4, 5, 678_000, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("90s", datetime(2026, 1, 10, 11, 58, 30, tzinfo=UTC)),
        ("30m", datetime(2026, 1, 10, 11, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 1, 10, 10, tzinfo=UTC)),
        ("3d", datetime(2026, 1, 7, 12, tzinfo=UTC)),
        ("1w", datetime(2026, 1, 3, 12, tzinfo=UTC)),
        ("0001-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_date_a_time_and_a_span_are_understood(text, found):
    assert moment(text, NOW) == found


@pytest.mark.parametrize(
    "text", ["", "soon", "3", "3y", "-2h", "2026-13-01", "9999999h", "999999w", "0001-01-01T00:00+14:00"]
)
def test_what_is_no_time_is_told_with_what_was_expected(text):
    with pytest.raises(ValueError, match="a span before now such as 30m, 2h, 3d"):
        moment(text, NOW)
