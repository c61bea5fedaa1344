"""Times on the wire: the quick way of reading our own form and the general one agree, whatever the text."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from schemas.base import EARLIEST, LATEST, Timestamp
from schemas.codec import decode_command, timestamp
from schemas.errors import RejectRecord

FILE = "998d1234-5678-4abc-8def-0123456789ab"
QUICK, GENERAL = TypeAdapter(Timestamp), TypeAdapter(AwareDatetime)


def slowly(text):
    """pydantic's reading, in UTC and cut to milliseconds; None where it is refused."""
    try:
        found = GENERAL.validate_python(text)
    except ValidationError:
        return None
    if not EARLIEST <= found < LATEST:
        return None
    return found.astimezone(UTC).replace(microsecond=found.microsecond // 1000 * 1000)


def quickly(text):
    try:
        return QUICK.validate_python(text)
    except ValidationError:
        return None


numbers = st.integers(0, 99).map(lambda number: f"{number:02}")
of_our_form = st.builds(
    lambda year, month, day, hour, minute, second, ms, zone: (
        f"{year:04}-{month}-{day}T{hour}:{minute}:{second}.{ms:03}{zone}"
    ),
    st.integers(0, 9999), numbers, numbers, numbers, numbers, numbers, st.integers(0, 999),
    st.sampled_from(["Z", "z", "", "+00:00", "-07:30"]),
)  # fmt: skip
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda found: found.replace(tzinfo=UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
ours = moments.map(lambda found: f"{found:%Y-%m-%dT%H:%M:%S}.{found.microsecond // 1000:03}Z".rjust(24, "0"))
changed = st.builds(
    lambda text, place, letter: text[:place] + letter + text[place + 1 :],
    ours, st.integers(0, 23), st.sampled_from("0123456789-:TtZz. +,W_"),
)  # fmt: skip


@given(ours | of_our_form | changed | moments.map(datetime.isoformat) | st.text(max_size=30))
@example("2026-11-21T02:00:00.000Z")
@example("2026-11-21T24:00:00.000Z")
@example("2026-11-21T02:00:60.000Z")
@example("2026-02-29T02:00:00.000Z")
@example("2026-11-21 02:00:00.000Z")
@example("2026-W47-6T02:00:0.000Z")
@example("2026-325T02:00:00.0.000Z")
@example("2026-11-21T02:00:00,000Z")
@example("20261121T02:00:000000.00Z")
@example("1969-12-31T23:59:59.999Z")
@example("2200-01-01T00:00:00.000Z")
def test_a_time_is_the_same_whichever_way_it_is_read(text):
    assert quickly(text) == slowly(text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)).map(lambda found: found.replace(tzinfo=UTC)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_what_we_write_is_read_as_what_it_was(moment):
    cut = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    found = quickly(timestamp(cut))
    assert (found, found.tzinfo, found.utcoffset()) == (cut, UTC, timedelta(0))


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01T00:00:00.000Z", "2026-02-30T00:00:00.000Z", "2026-11-21T25:00:00.000Z", "2026-11-21T02:00:00.000",
        "1969-12-31T23:59:59.999Z", "2200-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "0000-00-00T00:00:00.000Z",
        "2026-11-21T02:00:00.00xZ", "", "yesterday",
    ],
)  # fmt: skip
def test_a_wrong_time_is_refused_with_the_fields_name(text):
    value = b'{"type":"check","file_id":"%s","issued_at":"%s"}' % (FILE.encode(), text.encode())
    with pytest.raises(RejectRecord, match=r"^issued_at: ") as rejected:
        decode_command(value)
    assert rejected.value.reason == "invalid"
