"""The parts of a message: one of each artifact, and all others as they were."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.chats.parts import merged, part
from schemas.errors import RejectRecord

ROW = {
    "file_id": "0b8fdd2c-68a8-4d43-8c4a-6f4c5a1e2b3d", "generation": "g1", "kind": "video", "status": "processing",
    "progress": 40.0, "note": None, "estimate_seconds": None, "outcome": None, "reason": None, "url": None,
    "thumbnail_url": None, "durable_url": None, "durable_thumbnail_url": None, "revision": 3,
}  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def ours(**changes):
    return part({**ROW, **changes}, "data-artifact")


def test_a_part_has_what_has_a_value_and_the_version_of_its_row():
    assert ours(note="half way") == {
        "type": "data-artifact",
        "id": f"{ROW['file_id']}/g1",
        "data": {
            "file_id": ROW["file_id"], "generation": "g1", "kind": "video", "status": "processing",
            "progress": 40.0, "message": "half way", "version": 3,
        },
    }  # fmt: skip


@given(st.lists(VALUES), st.booleans(), st.booleans())
def test_others_stay_and_ours_is_there_once_however_often_it_is_merged(others, spaced, ascii_only):
    text = json.dumps(others, indent=2 if spaced else None, ensure_ascii=ascii_only)
    once = merged(text, [ours()])
    assert json.loads(once) == [*others, ours()]
    later = merged(once, [ours(revision=4)])
    assert json.loads(later) == [*others, ours(revision=4)]
    assert merged(later, [ours(revision=4)]) == later


@pytest.mark.parametrize(
    "other", ["1.0", "1e2", "12345678901234567890123", r'"\u0041\u0000"', '{ "a":1, "a":2 }', "[ ]", r'"\ud800"']
)
def test_others_stay_byte_for_byte(other):
    made = merged(f" [ {other} ,{other}\n]", [ours()])
    assert made.startswith(f"[{other},{other},{{")


def test_a_part_is_replaced_in_its_place_and_a_second_one_of_its_id_goes():
    text = json.dumps([ours(revision=1), "between", ours(revision=2), ours(generation="g2")])
    assert json.loads(merged(text, [ours()])) == [ours(), "between", ours(generation="g2")]


def test_a_part_of_that_id_and_another_type_is_not_ours():
    other = {"type": "file", "id": ours()["id"]}
    assert json.loads(merged(json.dumps([other]), [ours()])) == [other, ours()]


@pytest.mark.parametrize("text", [None, "", "[]", " [\n] "])
def test_no_parts_are_none(text):
    assert json.loads(merged(text, [ours()])) == [ours()]


@pytest.mark.parametrize("text", ["{}", "nul", '"[]"', "[", "[1] 2", "[" * 100_000])
def test_what_is_no_array_is_refused(text):
    with pytest.raises(RejectRecord) as refused:
        merged(text, [ours()])
    assert refused.value.reason == "bad_parts"


@pytest.mark.parametrize("parts", [None, "", "null", "[]", " [ ] "])
def test_parts_that_nobody_has_written_yet_are_an_empty_array(parts):
    assert json.loads(merged(parts, [ours()])) == [ours()]
