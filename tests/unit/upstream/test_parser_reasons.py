"""Everything that is passed over is counted under a word of a closed list, and each word is used."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from connectors.upstream.parser import Broken, Channel, Ignored, Parsed, Sight, parse_answer, parse_frame
from connectors.upstream.parser.reasons import BrokenReason, IgnoredReason, ReaderReason, Reason

FILE = "998d5ae4-0000-4000-8000-000000000001"
OTHER = "998d5ae4-0000-4000-8000-000000000002"
SIGHT = Sight("sse", datetime(2026, 1, 2, tzinfo=UTC))
ON_FILE, ON_PROJECT = Channel("file", FILE), Channel("project", OTHER)


def frame(kind: object, body: object = None, channel: Channel = ON_FILE) -> Parsed:
    return parse_frame(json.dumps({"type": kind, "object": body}), channel, SIGHT)


def answer(body: object, endpoint: Any = "file") -> Parsed:
    return parse_answer(body, endpoint, SIGHT, file_id=FILE)


IGNORED: dict[IgnoredReason, Parsed] = {
    "empty": parse_frame(" ", ON_FILE, SIGHT),
    "unknown_type": frame("weather"),
    "not_ours": frame("scene"),
    "names_no_file": frame("error", "no GPU", ON_PROJECT),
    "another_file": frame("error", {"file_id": OTHER}),
    "bad_file_id": frame("error", {"file_id": "tool"}),
    "no_object": frame("file", "text"),
    "no_progress": frame("render_progress", {}),
    "progress_not_a_number": frame("render_progress", {"progress": "soon"}),
    "progress_out_of_range": frame("render_progress", {"progress": 1e9}),
    "no_status": frame("task_status", {}),
    "unknown_status": frame("task_status", {"status": "EXPLODED"}),
    "no_url": frame("render_result", {}),
    "bad_url": frame("render_result", {"url": "ftp://m.example/a.mp4"}),
    "no_file_url": frame("data", {}),
    "no_file": answer({"id": OTHER, "data": []}, "project"),
    "no_file_id": answer({"id": "tool"}, "generate-video"),
    "not_an_object": answer([3], "generate-image"),
}
BROKEN: dict[BrokenReason, Parsed] = {
    "not_json": parse_frame("{oops", ON_FILE, SIGHT),
    "not_an_object": parse_frame("[]", ON_FILE, SIGHT),
    "not_a_file": answer({"detail": "no"}),
    "not_a_project": answer({"detail": "no"}, "project"),
    "bad_file_id": answer({"id": "tool", "url": None}),
}


@pytest.mark.parametrize(("reason", "found"), IGNORED.items(), ids=IGNORED)
def test_what_says_nothing_we_use_is_ignored_with_its_reason(reason, found):
    assert found.ignored[0].reason == reason
    assert found.observations == found.broken == ()


@pytest.mark.parametrize(("reason", "found"), BROKEN.items(), ids=BROKEN)
def test_what_cannot_be_read_is_broken_with_its_reason(reason, found):
    assert [each.reason for each in found.broken] == [reason]
    assert found.observations == found.ignored == ()


def test_every_reason_of_the_list_is_reached():
    assert set(IGNORED) == set(get_args(IgnoredReason))
    assert set(BROKEN) == set(get_args(BrokenReason))


def test_the_label_reason_has_these_values_and_no_others():
    words = [*IGNORED, *BROKEN, *get_args(ReaderReason)]
    assert set(get_args(Reason)) == set(words)
    assert all(each.replace("_", "").isalpha() and each == each.lower() for each in words)


def test_the_readers_own_reasons_are_none_of_the_parsers():
    assert not set(get_args(ReaderReason)) & {*IGNORED, *BROKEN}


def test_an_ignored_frame_names_its_type_only_where_that_is_one_we_know():
    assert frame("scene").ignored == (Ignored("not_ours", "scene"),)
    assert frame("x" * 100_000).ignored == (Ignored("unknown_type"),)
    assert parse_frame("[]", ON_FILE, SIGHT).broken == (Broken("not_an_object", b"[]"),)
