"""What the headers of the dead-letters topic tell, and what is made of them again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import MAX_KEY_BYTES, MAX_VALUE_BYTES, DeadLetter, Mark, Place, marked, replayed_from

LETTER = DeadLetter("not_json", "value: no", "render.commands", 3, 12, "processor", b"k", b"v", attempts=4)


@given(
    st.builds(
        DeadLetter, st.text(), st.text(max_size=2_000), st.text(), st.integers(-1, 2**31), st.integers(-1, 2**63 - 1),
        st.text(), st.none() | st.binary(max_size=50), st.none() | st.binary(max_size=50), st.integers(1, 1000),
    )
)  # fmt: skip
def test_a_letter_is_read_as_it_was_written(letter):
    assert DeadLetter.parse(letter.headers(), letter.short_key(), letter.body()) == letter


def test_what_was_cut_is_told():
    cut = replace(LETTER, key=b"k" * (MAX_KEY_BYTES + 1), value=b"v" * (MAX_VALUE_BYTES + 1))
    found = DeadLetter.parse(cut.headers(), cut.short_key(), cut.body())
    assert (found.truncated_from, found.key_truncated_from) == (MAX_VALUE_BYTES + 1, MAX_KEY_BYTES + 1)
    assert not found.is_whole
    assert LETTER.is_whole
    assert not replace(LETTER, truncated_from=1).is_whole
    assert not replace(LETTER, key_truncated_from=1).is_whole


def test_a_letter_of_an_older_release_was_tried_once():
    old = [each for each in LETTER.headers() if each[0] != "attempts"]
    assert DeadLetter.parse(old, b"k", b"v").attempts == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reason", "partition", "offset", "attempts", "truncated-from", "replay-of", "x"]),
            st.binary(max_size=8) | st.integers().map(lambda n: str(n).encode()),
        )
    )
)
def test_any_headers_are_read(headers):
    DeadLetter.parse(headers, None, None)
    marked(headers)


def test_headers_that_tell_nothing_are_unknown():
    found = DeadLetter.parse([("partition", b"x"), ("detail", b"\xff")], None, b"v")
    assert (found.reason, found.by, found.topic, found.partition, found.offset) == ("unknown", "unknown", "", -1, -1)
    assert found.detail == "�"


@pytest.mark.parametrize("text", ["0:0", "63:9223372036854775"])
def test_a_place_is_read_as_it_is_written(text):
    assert str(Place.parse(text)) == text


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "-1:2", "1:2:3", "1:x", " 1:2", "1:2\n", "١:٢", "1:" + "9" * 40])  # noqa: RUF001 - digits, but none of ours
def test_what_is_no_place_is_refused(text):
    with pytest.raises(ValueError, match="expected partition:offset"):
        Place.parse(text)


def test_a_mark_names_its_letter_and_the_time():
    mark = Mark(Place(2, 7), datetime(2026, 1, 2, tzinfo=UTC))
    assert mark.headers() == [("replay-of", b"2:7"), ("time", b"2026-01-02T00:00:00.000Z")]
    assert marked(mark.headers()) == Place(2, 7)


def test_letters_and_replayed_records_are_no_marks():
    assert marked(LETTER.headers()) is None
    assert marked(replayed_from(Place(2, 7))) is None
    assert marked([("replay-of", b"nowhere")]) is None
