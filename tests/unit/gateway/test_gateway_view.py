"""What the view holds, in which order, and what it lets go of."""

from datetime import timedelta

import pytest

from connectors.gateway.shown import ShownJob
from connectors.gateway.view import View

DAY = timedelta(days=1)


@pytest.fixture
def view():
    return View(max_jobs=100, finished_for=DAY)


@pytest.fixture
def put(job, now):
    """put(view, number, **fields): the next record of partition 0."""
    offset = iter(range(1000))

    def put(view, number, *, at=None, **fields):
        public = ShownJob.model_validate(job(number, **fields).model_dump())
        return view.apply(0, next(offset), public.file_id, public, at or now)

    return put


def held(view, *channels, **options):
    return [int(each.file_id[-12:]) for each in view.find(channels or ("all",), 100, **options).jobs]


def test_the_last_document_of_a_file_counts(view, put, file_id):
    put(view, 1, progress=10)
    put(view, 1, progress=20)
    assert b'"progress":20' in view.get(file_id(1)).body
    assert len(view) == 1


def test_unfinished_jobs_come_first_and_then_the_latest_change(view, put):
    put(view, 1, outcome="completed")
    put(view, 2)
    put(view, 3)
    put(view, 4, outcome="failed")
    put(view, 2, progress=50)
    assert held(view) == [2, 3, 4, 1]


def test_a_limit_cuts_the_jobs_but_not_their_number(view, put):
    for number in range(5):
        put(view, number)
    found = view.find(("all",), 2)
    assert ([each.file_id[-1] for each in found.jobs], found.total) == (["4", "3"], 5)


def test_jobs_are_found_by_project_user_and_file_each_once(view, put, file_id):
    put(view, 1, project_id="p", user_id="u")
    put(view, 2, project_id="p")
    put(view, 3, project_id="other")
    assert held(view, "project.p") == [2, 1]
    assert held(view, "user.u") == [1]
    assert held(view, "project.p", "user.u", f"file.{file_id(1)}") == [2, 1]
    assert held(view, "project.nobody") == []


def test_a_job_is_found_and_told_in_every_chat_that_shows_it_and_does_not_say_which(view, put):
    shown = [{"chat_id": "c", "message_id": "m1"}, {"chat_id": "c", "message_id": "m2"}, {"chat_id": "tool"}]
    change = put(view, 1, project_id="p", chats=shown)
    put(view, 2, chats=[{"chat_id": "other"}])
    assert (held(view, "chat.c"), held(view, "chat.tool"), held(view, "chat.nobody")) == ([1], [1], [])
    assert list(change.channels()) == [f"file.{change.file_id}", "project.p", "chat.c", "chat.tool", "all"]
    assert b"chat" not in change.body
    put(view, 1, generation="g2", chats=[{"chat_id": "other"}])
    assert (held(view, "chat.c"), held(view, "chat.other")) == ([], [1, 2])


def test_a_job_that_changes_its_project_leaves_the_old_one(view, put):
    put(view, 1, project_id="old")
    put(view, 1, project_id="new", generation="g2")
    assert (held(view, "project.old"), held(view, "project.new")) == ([], [1])


def test_a_tombstone_removes_the_job_and_is_told_on_its_channels(view, put, file_id, now):
    put(view, 1, project_id="p")
    gone = view.apply(0, 7, file_id(1), None, now)
    assert gone.body is None
    assert list(gone.channels()) == [f"file.{file_id(1)}", "project.p", "all"]
    assert held(view) == held(view, "project.p") == []


def test_a_tombstone_of_an_unknown_job_is_nothing_to_tell(view, file_id, now):
    assert view.apply(0, 0, file_id(1), None, now) is None


def test_a_job_that_finished_long_ago_is_not_taken_in(view, put, now):
    assert put(view, 1, outcome="completed", at=now + DAY) is None
    assert len(view) == 0


def test_a_late_change_of_a_held_job_is_told_even_when_it_is_old(view, put, now):
    put(view, 1, outcome="completed")
    assert put(view, 1, outcome="completed", thumbnail_url="https://cdn.example/t.png", at=now + DAY) is not None


def test_finished_jobs_go_after_their_time_and_unfinished_ones_stay(view, put, now):
    put(view, 1, outcome="completed")
    put(view, 2)
    assert list(view.evict(now + DAY - timedelta(seconds=1))) == []
    assert list(view.evict(now + DAY)) == ["finished long ago"]
    assert held(view) == [2]


def test_too_many_jobs_push_out_finished_ones_first_and_then_the_oldest(put):
    view = View(max_jobs=2, finished_for=DAY)
    put(view, 1)
    put(view, 2, outcome="completed")
    put(view, 3)
    assert list(view.shrink()) == ["too many, finished"]
    put(view, 4)
    assert list(view.shrink()) == ["too many, unfinished"]
    assert held(view) == [4, 3]
