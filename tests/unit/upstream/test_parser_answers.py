"""Answers of the REST calls, as `upstream.md` shows them."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from connectors.upstream.parser import Generated, Ignored, Parsed, Sight, parse_answer, parse_refusal
from schemas import Result, Snapshot

FILE = "998d5ae4-0000-4000-8000-000000000001"
OTHER = "998d5ae4-0000-4000-8000-000000000002"
THIRD = "998d5ae4-0000-4000-8000-000000000004"
PROJECT = "50e5f1c2-0000-4000-8000-000000000003"
URL = "https://media.example/2025/6/3/clip.mp4"
SIGHT = Sight("poll", datetime(2026, 1, 2, tzinfo=UTC), {FILE: "generation-1"})
SEEN = {"source": "poll", "observed_at": SIGHT.observed_at}
MINE = {"file_id": FILE, "generation": "generation-1", **SEEN}

LIVE_ANSWER: dict[str, Any] = {
    "id": FILE, "url": None, "thumbnail_url": None, "type": "video", "image_generation_id": None,
    "image_generation": None, "video_generation_id": "50e5",
    "video_generation": {"id": "50e5", "prompt": "a cat", "duration": 5.0, "aspect_ratio": None},
    "audio_generation_id": None, "audio_generation": None, "duration": None,
    "tasks": [
        {"type": "video-generation-flow", "status": "in_progress", "id": "64fd", "file_id": FILE, "project_id": None}
    ],
}  # fmt: skip


def file_answer(**changes: Any) -> Parsed:
    return parse_answer(orjson.dumps(LIVE_ANSWER | changes), "file", SIGHT, file_id=FILE)


def generated(answer: object, endpoint: Any = "generate-video") -> tuple[Generated, ...]:
    return parse_answer(orjson.dumps(answer), endpoint, SIGHT).generated


# GET file


def test_a_file_that_is_being_made_is_a_snapshot_without_url():
    assert file_answer() == Parsed(
        observations=(
            Snapshot(**MINE, kind="video", upstream_generation_id="50e5", task_id="64fd", task_status="in_progress"),
        )
    )


def test_a_finished_file_is_a_snapshot_with_its_urls():
    (found,) = file_answer(url=URL, thumbnail_url=URL + ".png", tasks=[]).observations
    assert (found.url, found.thumbnail_url, found.task_status) == (URL, URL + ".png", None)


def test_all_tasks_done_and_no_url_is_a_snapshot_that_says_just_that():
    (found,) = file_answer(tasks=[{"id": "64fd", "status": "completed"}]).observations
    assert (found.url, found.task_status) == (None, "completed")


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
def test_the_upstream_generation_is_read_beside_or_inside_the_nested_object(kind):
    bare = {"id": FILE, "url": None}
    for body in ({f"{kind}_generation_id": "run"}, {f"{kind}_generation": {"id": "run"}}):
        (found,) = parse_answer(bare | body, "file", SIGHT).observations
        assert found.upstream_generation_id == "run"


def test_an_answer_about_another_file_than_the_one_asked_for_is_ignored():
    assert file_answer(id=OTHER) == Parsed(ignored=(Ignored("another_file"),))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>504</html>", "not_json"),
        (b"", "not_json"),
        (b"[]", "not_an_object"),
        (b'{"detail": "no"}', "not_a_file"),
    ],
)
def test_an_answer_that_is_no_file_is_broken_and_keeps_its_bytes(body, reason):
    (broken,) = parse_answer(body, "file", SIGHT, file_id=FILE).broken
    assert (broken.reason, broken.value) == (reason, body)


# GET project


def test_a_project_tells_the_result_of_each_file_and_which_must_be_fetched():
    answer = {
        "id": PROJECT,
        "tasks": [],
        "data": [
            {"id": "d1", "type": "video", "value": {"file_id": FILE, "url": URL}},
            {"id": "d2", "type": "image", "value": {"file_id": OTHER}},
            {"id": "d3", "type": "text", "value": {"text": "hello"}},
            {"id": "d4", "type": "image", "value": {"file_id": "tool", "url": URL}},
            "rubbish",
        ],
    }
    assert parse_answer(orjson.dumps(answer), "project", SIGHT) == Parsed(
        observations=(Result(**MINE, url=URL, kind="video"),),
        missing=(OTHER,),
        ignored=(Ignored("no_file"), Ignored("bad_file_id"), Ignored("no_file")),
    )


# POST generate


def test_a_live_video_answer_names_the_file_and_the_run_but_no_project():
    assert generated(LIVE_ANSWER) == (Generated(file_id=FILE, upstream_generation_id="50e5", kind="video"),)


def test_a_live_image_answer_is_an_array_of_files():
    answer = [{"id": FILE, "url": None, "type": "image", "tasks": []}, {"id": OTHER, "url": None, "tasks": []}]
    assert generated(answer, "generate-image") == (
        Generated(file_id=FILE, kind="image"),
        Generated(file_id=OTHER, kind="image"),
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"id": FILE, "data": [{"id": OTHER, "value": {"file_id": OTHER}}], "fileId": OTHER}, FILE),
        ({"data": [{"id": OTHER, "value": {"file_id": FILE}}], "fileId": OTHER}, FILE),
        ({"data": [{"id": FILE, "value": {}}], "fileId": OTHER}, FILE),
        ({"fileId": FILE}, FILE),
        ({"id": "not-a-uuid", "fileId": FILE}, FILE),
    ],
)
def test_the_file_id_is_found_in_the_order_of_preference(answer, expected):
    assert [each.file_id for each in generated(answer)] == [expected]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"project_id": PROJECT, "projectId": OTHER}, PROJECT),
        ({"data": [{"value": {"project_id": PROJECT}}], "projectId": OTHER}, PROJECT),
        ({"projectId": f"project.{PROJECT}"}, PROJECT),
        ({"video_generation": {"id": PROJECT}}, None),
    ],
)
def test_the_project_id_is_found_in_the_order_of_preference_and_a_run_is_no_project(answer, expected):
    assert [each.project_id for each in generated({"id": FILE} | answer)] == [expected]


@pytest.mark.parametrize("answer", [{}, [], {"id": None}, [None, 3]])
def test_an_answer_without_a_file_id_begins_nothing(answer):
    assert generated(answer) == ()


# refusals


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (
            {"detail": [{"loc": ["body", "config", "params", "aspect_ratio"], "msg": "Input should be '1:1'"}]},
            "config.params.aspect_ratio",
            "Input should be '1:1'",
        ),
        ({"detail": "Validation failed", "errors": [{"field": "prompt", "message": "too long"}]}, "prompt", "too long"),
        ({"detail": "Invalid payload"}, "", "Invalid payload"),
        ({"message": "Integrity error, create"}, "", "Integrity error, create"),
    ],
)  # fmt: skip
def test_a_refusal_shows_the_servers_words_and_the_field(body, field, words):
    assert parse_refusal(orjson.dumps(body)) == (field, words)


def test_a_refusal_that_is_no_json_shows_its_text():
    assert parse_refusal(b"<h1>Bad Request</h1>") == ("", "<h1>Bad Request</h1>")


def test_the_older_flows_project_answer_names_a_project_and_no_file():
    answer = {"id": FILE, "status": "pending"}
    assert parse_answer(answer, "generate-video", SIGHT).ignored == (Ignored("no_file_id"),)
    assert parse_answer(answer, "project", SIGHT).ignored == (Ignored("no_file"),)
    assert parse_answer({"id": FILE, "data": None}, "project", SIGHT).ignored == (Ignored("no_file"),)
