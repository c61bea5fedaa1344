"""The event stream's table of `upstream.md`, row by row."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.upstream.parser import Channel, Ignored, Parsed, Sight, parse_frame
from schemas import Failure, Progress, Result, Snapshot, TaskChange

FILE = "998d5ae4-0000-4000-8000-000000000001"
OTHER = "998d5ae4-0000-4000-8000-000000000002"
PROJECT = "50e5f1c2-0000-4000-8000-000000000003"
URL = "https://media.example/2025/6/3/a\\b/clip.mp4?sig=a%2Fb"
SIGHT = Sight("sse", datetime(2026, 1, 2, tzinfo=UTC), {FILE: "generation-1"})
SEEN = {"source": "sse", "observed_at": SIGHT.observed_at}
MINE = {"file_id": FILE, "generation": "generation-1", **SEEN}
ON_FILE = Channel("file", FILE)
ON_PROJECT = Channel("project", PROJECT)


def parse(frame: object, channel: Channel = ON_FILE) -> Parsed:
    return parse_frame(frame if isinstance(frame, str) else json.dumps(frame), channel, SIGHT)


def says(kind: str, body: object, channel: Channel = ON_FILE) -> tuple[Any, ...]:
    found = parse({"type": kind, "object": body}, channel)
    assert not found.broken
    return (*found.observations, *found.ignored)


# render_progress


@pytest.mark.parametrize(
    ("written", "percent"),
    [
        (75, 75), (0.75, 75), (1, 1), (1.0, 100), (0, 0), (0.0, 0), (100, 100), (50.5, 50.5), ("75", 75), ("75%", 75),
        ("0.75", 75), (" 0.5 % ", 0.5), ("1", 1), ("1.0", 100), (0.07, 7),
    ],
)  # fmt: skip
def test_progress_is_told_in_percent_however_it_is_written(written, percent):
    assert says("render_progress", {"progress": written, "file_id": FILE}) == (Progress(**MINE, progress=percent),)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (101, "progress_out_of_range"), (-1, "progress_out_of_range"), (10**30, "progress_out_of_range"),
        ("9" * 400, "progress_out_of_range"), ("soon", "progress_not_a_number"), (True, "progress_not_a_number"),
        ([75], "progress_not_a_number"), (None, "no_progress"),
    ],
)  # fmt: skip
def test_progress_that_is_none_is_ignored_with_the_reason(written, reason):
    assert says("render_progress", {"progress": written}) == (Ignored(reason, "render_progress"),)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 400])
def test_numbers_that_only_python_writes_are_out_of_range_and_break_nothing(number):
    found = parse(f'{{"type": "render_progress", "object": {{"progress": {number}}}}}')
    assert found == Parsed(ignored=(Ignored("progress_out_of_range", "render_progress"),))


def test_progress_carries_the_message():
    (found,) = says("render_progress", {"progress": 5, "message": "upscaling"})
    assert found.message == "upscaling"


# render_result


@pytest.mark.parametrize("key", ["url", "file_url"])
def test_a_render_result_is_a_result_with_its_url_byte_for_byte(key):
    body = {"file_id": FILE, key: URL, "thumbnail_url": "https://m.example/t.png", "contentType": "video/mp4"}
    assert says("render_result", body) == (
        Result(**MINE, url=URL, thumbnail_url="https://m.example/t.png", content_type="video/mp4"),
    )


def test_a_render_result_that_is_a_whole_file_object_is_a_snapshot():
    body = {"id": FILE, "url": URL, "type": "video", "video_generation_id": "run-1", "tasks": []}
    assert says("render_result", body) == (Snapshot(**MINE, url=URL, kind="video", upstream_generation_id="run-1"),)


@pytest.mark.parametrize(
    ("url", "reason"), [(None, "no_url"), ("", "no_url"), ("ftp://m.example/a.mp4", "bad_url"), (7, "bad_url")]
)
def test_a_render_result_without_a_web_address_is_ignored(url, reason):
    assert Ignored(reason, "render_result") in says("render_result", {"file_id": FILE, "url": url})


def test_a_bad_thumbnail_does_not_cost_the_result():
    found = says("render_result", {"url": URL, "thumbnail_url": "javascript:alert(1)"})
    assert found == (Result(**MINE, url=URL), Ignored("bad_url", "render_result"))


# file


def test_a_file_frame_is_a_snapshot_with_its_newest_task():
    body = {
        "id": FILE, "url": None, "thumbnail_url": None, "type": "voiceover", "content_type": "audio/mpeg",
        "audio_generation": {"id": "run-2"},
        "tasks": [{"id": "t1", "status": "completed"}, {"id": "t2", "status": "error", "error": "out of memory"}],
    }  # fmt: skip
    assert says("file", body) == (
        Snapshot(
            **MINE, kind="audio", content_type="audio/mpeg", upstream_generation_id="run-2", task_id="t2",
            task_status="error", message="out of memory",
        ),
    )  # fmt: skip


def test_a_task_of_another_file_in_the_list_is_not_the_newest_of_this_one():
    tasks = [{"id": "t1", "status": "in_progress", "file_id": FILE}, {"id": "t2", "status": "error", "file_id": OTHER}]
    (found,) = says("file", {"id": FILE, "tasks": tasks})
    assert (found.task_id, found.task_status) == ("t1", "in_progress")


def test_a_file_frame_about_another_file_counts_on_a_project_channel_only():
    body = {"id": OTHER, "url": URL, "tasks": []}
    assert says("file", body) == (Ignored("another_file", "file"),)
    assert says("file", body, ON_PROJECT) == (Snapshot(**SEEN, file_id=OTHER, url=URL),)


# task, task_status


def test_a_task_frame_is_a_task_change_and_progress_where_it_has_some():
    body = {"id": "t1", "status": "in_progress", "file_id": FILE, "project_id": PROJECT}
    change = TaskChange(**MINE, task_id="t1", status="in_progress")
    assert says("task", body) == (change,)
    assert says("task", {**body, "progress": 0.4}) == (change, Progress(**MINE, progress=40))
    assert says("task", {**body, "progress": "soon"}) == (change, Ignored("progress_not_a_number", "task"))


def test_a_task_frame_with_a_result_is_a_result_too():
    body = {"id": "t1", "status": "completed", "result_url": URL}
    assert says("task", body) == (Result(**MINE, url=URL), TaskChange(**MINE, task_id="t1", status="completed"))


@pytest.mark.parametrize("kind", ["task", "task_status"])
@pytest.mark.parametrize(
    ("written", "status"),
    [("COMPLETED", "completed"), ("error", "error"), ("In_Progress", "in_progress"), ("PENDING", "pending")],
)
def test_statuses_are_read_in_any_case(kind, written, status):
    (found,) = says(kind, {"status": written})
    assert isinstance(found, TaskChange)
    assert found.status == status


@pytest.mark.parametrize(
    ("written", "reason"), [("EXPLODED", "unknown_status"), (3, "unknown_status"), (None, "no_status")]
)
def test_a_status_nobody_knows_is_ignored(written, reason):
    assert says("task_status", {"status": written}) == (Ignored(reason, "task_status"),)


# data, entity, scene


def test_data_with_a_files_url_is_a_result():
    body = {"type": "video", "project_id": PROJECT, "value": {"file_id": OTHER, "url": URL}}
    assert says("data", body, ON_PROJECT) == (Result(**SEEN, file_id=OTHER, url=URL, kind="video"),)


@pytest.mark.parametrize("body", [{"value": {"file_id": FILE}}, {"value": "text"}, {}, "text", 5])
def test_data_without_a_url_is_not_ours(body):
    assert says("data", body) == (Ignored("no_file_url", "data"),)


@pytest.mark.parametrize("kind", ["entity", "scene", "test"])
def test_other_project_things_and_the_test_mode_tell_nothing(kind):
    assert says(kind, {"file_id": FILE, "url": URL}) == (Ignored("not_ours", kind),)


# error


@pytest.mark.parametrize("body", ["no GPU left", {"message": "no GPU left"}, '{"message": "no GPU left"}'])
def test_an_error_that_names_no_file_is_a_failure_that_names_none(body):
    assert says("error", body) == (Failure(**MINE, reason="upstream_error", message="no GPU left", named=False),)


def test_an_error_that_names_the_file_says_so():
    assert says("error", {"message": "no GPU left", "file_id": FILE}) == (
        Failure(**MINE, reason="upstream_error", message="no GPU left", named=True),
    )


def test_an_error_about_another_file_is_no_failure_of_this_one():
    assert says("error", {"message": "no", "file_id": OTHER}) == (Ignored("another_file", "error"),)


# whose frame is it


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("render_progress", {"progress": 5}), ("render_result", {"url": URL}), ("task", {"status": "error"}),
        ("task_status", {"status": "COMPLETED"}), ("data", {"value": {"url": URL}}), ("error", "no"),
        ("file", {"url": URL}),
    ],
)  # fmt: skip
def test_a_frame_that_names_no_file_is_the_channels_file_or_nobodys(kind, body):
    assert [each.file_id for each in parse({"type": kind, "object": body}).observations] == [FILE]
    assert says(kind, body, ON_PROJECT) == (Ignored("names_no_file", kind),)


def test_ids_are_read_with_their_prefix_and_in_upper_case():
    (found,) = says("render_progress", {"progress": 5, "file_id": f"file.{FILE.upper()}"})
    assert found.file_id == FILE


@pytest.mark.parametrize("named", ["video-generator-tool", 5, f"project.{FILE}", f"{FILE}/../other", {"id": FILE}])
def test_an_id_that_is_no_uuid_is_never_used(named):
    assert says("render_progress", {"progress": 5, "file_id": named}) == (Ignored("bad_file_id", "render_progress"),)


# the shape of frames


def test_an_object_may_be_a_json_string():
    assert says("render_progress", '{"progress": 75}') == (Progress(**MINE, progress=75),)


def test_an_object_may_be_left_out():
    assert parse({"type": "task_status", "status": "COMPLETED"}).observations == (
        TaskChange(**MINE, status="completed"),
    )


@pytest.mark.parametrize("data", ["", "  ", "\n"])
def test_empty_data_is_ignored(data):
    assert parse(data) == Parsed(ignored=(Ignored("empty"),))


@pytest.mark.parametrize("frame", [{"type": "chat"}, {"type": 7}, {"type": None}, {"type": ["file"]}, {}])
def test_an_unknown_type_is_ignored(frame):
    assert parse(frame) == Parsed(ignored=(Ignored("unknown_type"),))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{oops", "not_json"), ("[" * 5000, "not_json"), ("[]", "not_an_object"), ("7", "not_an_object"),
        ('"x"', "not_an_object"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_broken_and_keeps_its_bytes(data, reason):
    (broken,) = parse(data).broken
    assert (broken.reason, broken.value) == (reason, data.encode())


def test_broken_bytes_are_kept_as_they_came_and_do_not_cost_the_rest_of_a_frame():
    raw = b'{"type": "render_progress", "object": {"progress": 5, "message": "caf\xe9"}}'
    (found,) = parse(raw.decode("utf-8", "surrogateescape")).observations
    assert (found.progress, found.message) == (5, "caf\N{REPLACEMENT CHARACTER}")
    (broken,) = parse((raw + b"}").decode("utf-8", "surrogateescape")).broken
    assert broken.value == raw + b"}"


def test_a_url_with_a_lost_byte_is_no_url():
    raw = b'{"type": "render_result", "object": {"url": "https://m.example/caf\xe9.mp4"}}'
    assert Ignored("bad_url", "render_result") in parse(raw.decode("utf-8", "surrogateescape")).ignored


@pytest.mark.parametrize(
    "text", ["file", f"files.{FILE}", "file.x", f"file.{FILE}.", f"user{FILE}", "", f"file.{FILE}\n"]
)
def test_a_channel_is_a_kind_and_a_uuid(text):
    with pytest.raises(ValueError, match="not a channel"):
        Channel.read(text)


def test_a_channels_name_is_read_and_written_alike():
    assert str(Channel.read(f"user.{FILE.upper()}")) == f"user.{FILE}"


# the file that a frame is about


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("render_result", {"id": OTHER, "url": URL}),
        ("render_result", {"fileId": OTHER, "url": URL}),
        ("file", {"file_id": OTHER, "url": URL}),
        ("data", {"value": {"id": OTHER, "url": URL}}),
    ],
)
def test_another_file_is_another_under_whatever_name_and_its_own_where_it_may_be(kind, body):
    assert says(kind, body) == (Ignored("another_file", kind),)
    (found,) = says(kind, body, ON_PROJECT)
    assert (found.file_id, found.url) == (OTHER, URL)


def test_a_whole_file_object_beside_an_empty_file_id_is_a_snapshot():
    body = {"file_id": None, "id": OTHER, "url": URL, "tasks": []}
    assert says("render_result", body, ON_PROJECT) == (Snapshot(**SEEN, file_id=OTHER, url=URL),)


def test_an_id_that_is_no_uuid_names_nobody():
    assert says("render_result", {"id": "r-1", "url": URL}) == (Result(**MINE, url=URL),)


def test_a_file_named_beside_the_object_counts():
    (found,) = parse({"type": "error", "file_id": FILE, "object": {"message": "boom"}}, ON_PROJECT).observations
    assert (found.file_id, found.named, found.message) == (FILE, True, "boom")
