"""What `rendercast top` counts."""

import uuid
from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from rendercast.top.figures import WINDOW, Figures, Outcomes, Rates, Unfinished
from rendercast.top.screen import render
from schemas import Completion, JobView

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def job(status="pending", tracked=60, deadline=60, outcome=None):
    return JobView(
        file_id=str(uuid.uuid4()), generation="g", version=1, kind="video", status=status, outcome=outcome,
        tracked_at=NOW - timedelta(seconds=tracked), updated_at=NOW, deadline_at=NOW + timedelta(seconds=deadline),
        url="https://x.example/a" if outcome == "completed" else None,
    )  # fmt: skip


def completion(ago, outcome="completed"):
    return Completion(
        id="x", outcome=outcome, file_id=str(uuid.uuid4()), generation="g", kind="video", tracked_at=NOW,
        finished_at=NOW - timedelta(seconds=ago),
    )  # fmt: skip


def test_jobs_that_have_ended_or_are_forgotten_are_not_held():
    unfinished, oldest = Unfinished(), job(tracked=500, deadline=-1)
    for key, each in ((b"a", oldest), (b"b", job("processing")), (b"c", job()), (b"d", job())):
        unfinished.read(key, each)
    unfinished.read(b"c", job("completed", outcome="completed"))
    unfinished.read(b"d", None)
    assert unfinished.by_status() == {"pending": 1, "processing": 1}
    assert unfinished.overdue(NOW) == 1
    assert unfinished.oldest() is oldest
    unfinished.read(b"a", None)
    unfinished.read(b"b", None)
    assert unfinished.oldest() is None


def test_outcomes_are_those_of_the_last_minutes_in_whatever_order_partitions_tell_them():
    outcomes = Outcomes()
    for ago in (1, WINDOW.total_seconds() + 1, 2):
        outcomes.read(completion(ago))
    assert len(outcomes.recent(NOW)) == 2
    assert outcomes.recent(NOW + WINDOW) == []


def test_a_rate_needs_two_looks_and_is_never_negative():
    rates = Rates()
    assert rates.read({"jobs": 100}, NOW) == {"jobs": None}
    assert rates.read({"jobs": 150, "new": 5}, NOW + timedelta(seconds=2)) == {"jobs": 25.0, "new": None}
    assert rates.read({"jobs": 10}, NOW + timedelta(seconds=3)) == {"jobs": 0.0}


def test_the_screen_obeys_nothing_that_comes_from_outside():
    figures = Figures(
        at=NOW, unfinished={"pending": 1}, overdue=0, oldest_seconds=3.0, oldest_file="[bold]\x1b[2J",
        outcomes={"completed": 2}, won_by={"sse": 2}, late=0, lag={"connector": None, "processor": 7},
        rates={"jobs": 1.5, "watches": None},
    )  # fmt: skip
    for width in (40, 200):
        out = StringIO()
        Console(file=out, width=width).print(render(figures, "a:1"))
        assert "never read" in out.getvalue()
        assert "\x1b[2J" not in out.getvalue()
