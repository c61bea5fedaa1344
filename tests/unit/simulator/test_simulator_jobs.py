"""The lives of simulated files, without a server or a clock."""

import pytest

from rendercast.simulator.frames import disguise, say
from rendercast.simulator.jobs import Order, Pace, SimulatedFile, begin, ended
from rendercast.simulator.objects import file_object, foreign_object, project_object

FILE = "3f2c9a5e-0d0b-4a53-9d5e-2b7d6b1f0a01"
PROJECT = "7b1b6c8c-6a4e-4c55-8d0a-0c6a55f1c002"
MEDIA = "http://upstream.test/media"


def a_file(order: Order, key: str = "key", project_id: str | None = None, **pace: float) -> SimulatedFile:
    """A file that takes from 100 to 110."""
    generation = begin(key, 1, order, Pace(**{"seconds": 10, **pace}), now=100, media_url=MEDIA)
    return SimulatedFile(FILE, project_id, None, (generation,))


def again(file: SimulatedFile, now: float, **pace: float) -> SimulatedFile:
    number = len(file.generations) + 1
    order = file.current.order
    return file.regenerated(
        begin(f"key{number}", number, order, Pace(**{"seconds": 10, **pace}), now=now, media_url=MEDIA)
    )


def told(file: SimulatedFile, *, scope: str = "file") -> list[dict]:
    return [frame.payload for step in file.current.life.steps for frame in say(file, step, scope)]


def test_a_video_has_its_url_at_the_end_of_its_time_and_not_before():
    file = a_file(Order(kind="video"))
    assert file_object(file, 109.9)["url"] is None
    assert file_object(file, 110)["url"] == file.current.url
    assert (ended(file, file.current, 109.9), ended(file, file.current, 110)) == (None, "completed")


def test_a_thumbnail_may_come_later_than_the_url():
    late = [
        key
        for key in map(str, range(40))
        if file_object(a_file(Order(kind="video"), key), 110)["thumbnail_url"] is None
    ]
    assert 0 < len(late) < 40
    assert file_object(a_file(Order(kind="video"), late[0]), 113)["thumbnail_url"] is not None


def test_a_failing_job_ends_in_a_task_error_without_a_url():
    file = a_file(Order(kind="image", behaviour="fails"))
    assert file_object(file, 1000)["url"] is None
    assert file_object(file, 1000)["tasks"][-1]["status"] == "error"
    assert ended(file, file.current, 1000) == "failed"
    assert [each["type"] for each in told(file)][-3:] == ["task", "task_status", "error"]


def test_a_job_that_never_ends_stays_in_progress_and_falls_silent():
    file = a_file(Order(kind="video", behaviour="never_ends"))
    assert file_object(file, 1e9)["tasks"][-1]["status"] == "in_progress"
    assert file_object(file, 1e9)["url"] is None
    assert {each["type"] for each in told(file)} == {"task", "render_progress"}
    assert ended(file, file.current, 101) == "never"


def test_all_tasks_are_completed_long_before_the_url_when_asked_for():
    file = a_file(Order(kind="image", behaviour="tasks_done_no_url"))
    middle = file_object(file, 105)
    assert [each["status"] for each in middle["tasks"]] == ["completed"]
    assert middle["url"] is None
    assert file_object(file, 110)["url"]


def test_a_bare_error_names_no_file_and_the_result_follows():
    frames = told(a_file(Order(kind="video", behaviour="bare_error")))
    error = next(index for index, each in enumerate(frames) if each["type"] == "error")
    assert "file_id" not in frames[error]["object"]
    assert any(each["type"] in {"render_result", "file", "data", "task"} for each in frames[error + 1 :])


def test_some_flows_tell_percents_and_some_fractions():
    most = [
        max(
            each["object"]["progress"]
            for each in told(a_file(Order(kind="video"), key))
            if each["type"] == "render_progress"
        )
        for key in map(str, range(40))
    ]
    assert {each <= 1 for each in most} == {True, False}


def test_every_shape_of_a_result_is_told_by_some_file():
    shapes = set()
    for key in map(str, range(80)):
        file = a_file(Order(kind="image"), key)
        for step in file.current.life.steps:
            if step.what == "result":
                shapes |= {
                    (each.payload["type"], *sorted(each.payload["object"]))[:3] for each in say(file, step, "file")
                }
    assert {each[0] for each in shapes} == {"render_result", "file", "data", "task"}
    assert ("render_result", "file_id", "url") in shapes
    assert ("render_result", "file_id", "file_url") in shapes


def test_images_are_answered_without_tasks_and_some_never_show_one():
    files = [a_file(Order(kind="image"), key) for key in map(str, range(40))]
    assert all(file_object(each, 100)["tasks"] == [] for each in files)
    assert {len(file_object(each, 111)["tasks"]) for each in files} == {0, 1}


def test_a_regenerated_file_tells_the_old_url_for_a_while_first_as_of_old_then_under_the_new_generation():
    first = a_file(Order(kind="video"))
    file = again(first, 200, stale_seconds=4)
    old, new = file.generations
    everything_old, new_with_old_url, fresh = (file_object(file, now) for now in (201, 203, 205))
    assert everything_old == file_object(first, 201)
    assert (new_with_old_url["video_generation_id"], new_with_old_url["url"]) == (new.id, old.url)
    assert [each["id"] for each in new_with_old_url["tasks"]] == [old.task_id, new.task_id]
    assert (fresh["video_generation_id"], fresh["url"]) == (new.id, None)
    assert file_object(file, 210)["url"] == new.url != old.url
    assert [each["object"]["url"] for each in told(file) if each["type"] == "render_result"][:2] == [old.url, old.url]


def test_a_generation_that_was_replaced_before_its_end_never_ends_and_its_url_is_never_told():
    file = again(a_file(Order(kind="video")), 105, stale_seconds=4)
    file = again(file, 300, stale_seconds=4)
    assert ended(file, file.generations[0], 1000) == "never"
    assert file_object(file, 301)["url"] == file.generations[1].url


def test_lost_results_are_lost_on_the_stream_only():
    file = a_file(Order(kind="video"), result_lost=True)
    assert not any(frame.url for step in file.current.life.steps for frame in say(file, step, "file"))
    assert file_object(file, 110)["url"]


def test_on_a_shared_channel_progress_may_lack_its_file_and_the_project_may_have_a_prefix():
    files = [a_file(Order(kind="video"), key, PROJECT) for key in map(str, range(40))]
    objects = [frame["object"] for file in files for frame in told(file, scope="project")]
    assert {"file_id" in each for each in objects if "progress" in each} == {True, False}
    assert {each["project_id"] for each in objects if "status" in each and "id" in each} == {
        PROJECT,
        f"project.{PROJECT}",
    }


def test_a_foreign_file_has_its_own_id_and_a_url_of_its_own():
    file = a_file(Order(kind="image"), foreign_file=True)
    foreign = foreign_object(file)
    assert foreign["id"] != FILE
    assert foreign["url"] not in {None, file.current.url}
    assert {"type": "file", "object": foreign} in told(file)


def test_a_project_names_its_files_and_some_never_with_their_url():
    files = [
        SimulatedFile(
            f"3f2c9a5e-0d0b-4a53-9d5e-2b7d6b1f0a{number:02}", PROJECT, None, a_file(Order(kind="image")).generations
        )
        for number in range(40)
    ]
    found = project_object(PROJECT, files, 120)
    assert found["id"] == PROJECT
    assert [each["value"]["file_id"] for each in found["data"]] == [each.id for each in files]
    assert {bool(each["value"].get("url")) for each in found["data"]} == {True, False}


def test_urls_are_untidy_here_and_there():
    urls = [a_file(Order(kind="image"), key).current.url for key in map(str, range(60))]
    assert any("\\" in each for each in urls)
    assert any("?v=" in each for each in urls)
    assert any("/2026/7/" in each for each in urls)
    assert len(set(urls)) == 60


def test_the_same_key_has_the_same_life():
    assert a_file(Order(kind="video")) == a_file(Order(kind="video"))
    assert a_file(Order(kind="video")) != a_file(Order(kind="video"), "another")


@pytest.mark.parametrize("ordinal", range(12))
def test_a_disguised_frame_still_has_its_meaning(ordinal: int):
    import json

    from httpx_sse._decoders import SSEDecoder

    file = a_file(Order(kind="image"))
    frame = say(file, file.current.life.steps[1], "file")[0]
    decoder = SSEDecoder()
    events = [decoder.decode(line) for line in disguise(frame, ordinal).decode().split("\r\n")]
    last = json.loads([event.data for event in events if event is not None][-1])
    content = last["object"]
    assert (json.loads(content) if isinstance(content, str) else content) == frame.payload["object"]
