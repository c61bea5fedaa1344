"""Which words are a reason to look, which are news."""

from datetime import UTC, datetime

import pytest

from connectors.upstream.parser import Channel, Ignored, Sight, parse_frame
from connectors.upstream.signals import Echoes, asks_for_look, awaits_url, is_news, may_be_end
from schemas import Failure, Progress, Result, Snapshot, TaskChange

FILE = "998d5ae4-0000-4000-8000-000000000001"
SEEN = {"file_id": FILE, "source": "sse", "observed_at": datetime(2026, 1, 2, tzinfo=UTC)}
URL = "https://media.example/a.mp4"
COMPLETED = TaskChange(**SEEN, status="completed")
RESULT = Result(**SEEN, url=URL)


@pytest.mark.parametrize(
    ("seen", "asks"),
    [
        ([COMPLETED], True),
        ([COMPLETED, RESULT], False),
        ([TaskChange(**SEEN, status="in_progress")], False),
        ([TaskChange(**SEEN, status="error")], False),
        ([Failure(**SEEN, reason="upstream_error", named=False)], True),
        ([Failure(**SEEN, reason="upstream_error", named=True)], False),
        ([Snapshot(**SEEN, task_status="completed")], False),
        ([Progress(**SEEN, progress=100)], False),
        ([], False),
    ],
)
def test_an_end_without_url_and_an_error_without_file_ask_for_a_look(seen, asks):
    assert asks_for_look(seen, []) is asks


@pytest.mark.parametrize(
    ("data", "asks"),
    [
        ('{"type": "error", "object": "no"}', True),
        ('{"type": "task_status", "object": {"status": "COMPLETED"}}', True),
        ('{"type": "render_result", "object": {"url": "https://m.example/a.mp4"}}', True),
        (
            f'{{"type": "render_result", "object": {{"file_id": "project.{FILE}", "url": "https://m.example/a.mp4"}}}}',
            True,
        ),
        ('{"type": "file", "object": {"id": null, "url": "https://m.example/a.mp4"}}', True),
        ('{"type": "data", "object": {"value": {"url": "https://m.example/a.mp4"}}}', True),
        ('{"type": "render_progress", "object": {"progress": 5}}', False),
        ('{"type": "entity", "object": {}}', False),
    ],
)
def test_on_a_projects_channel_an_end_that_names_no_file_asks_all(data, asks):
    found = parse_frame(data, Channel("project", FILE), Sight("sse", SEEN["observed_at"]))
    assert found.observations == ()
    assert asks_for_look(found.observations, found.ignored) is asks


@pytest.mark.parametrize("url", ["", "ftp://m.example/a.mp4"])
def test_a_result_without_a_usable_url_asks_for_a_look(url):
    data = f'{{"type": "render_result", "object": {{"file_id": "{FILE}", "url": "{url}"}}}}'
    found = parse_frame(data, Channel("file", FILE), Sight("sse", SEEN["observed_at"]))
    assert asks_for_look(found.observations, found.ignored)


@pytest.mark.parametrize(
    ("seen", "awaits"),
    [
        (COMPLETED, True), (Snapshot(**SEEN, task_status="completed"), True), (RESULT, False),
        (Snapshot(**SEEN, task_status="completed", url=URL), False),
        (Snapshot(**SEEN, task_status="in_progress"), False),
    ],
)  # fmt: skip
def test_done_without_url_means_that_the_url_comes_later(seen, awaits):
    assert awaits_url(seen) is awaits


def test_the_same_progress_again_is_no_news():
    assert is_news(Progress(**SEEN, progress=41), 40)
    assert not is_news(Progress(**SEEN, progress=40), 40)
    assert is_news(COMPLETED, 40)


NAMELESS = [Ignored("names_no_file", "task_status")]


def test_an_end_explains_one_word_that_names_no_file_and_only_for_a_while():
    echoes = Echoes()
    assert not echoes.explain(NAMELESS, 0)
    for at in (10, 10.5):
        echoes.hear([COMPLETED], at, 1)
    assert [echoes.explain(NAMELESS, at) for at in (10.6, 10.7, 10.8)] == [True, True, False]
    echoes.hear([COMPLETED], 30, 1)
    assert not echoes.explain(NAMELESS, 31)


def test_a_flood_of_ends_takes_no_memory():
    echoes = Echoes()
    for _ in range(1_000):
        echoes.hear([COMPLETED], 0, 1)
    assert sum(echoes.explain(NAMELESS, 0.5) for _ in range(1_000)) == 100


@pytest.mark.parametrize(
    ("seen", "ignored"),
    [
        (TaskChange(**SEEN, status="in_progress"), NAMELESS),
        (RESULT, NAMELESS),
        (COMPLETED, [Ignored("names_no_file", "error")]),
        (COMPLETED, [Ignored("names_no_file", "render_progress")]),
        (COMPLETED, [Ignored("unknown_type", "task_status")]),
    ],
)
def test_nothing_else_is_taken_for_the_second_word_of_an_end(seen, ignored):
    echoes = Echoes()
    echoes.hear([seen], 0, 1)
    assert not echoes.explain(ignored, 0)


@pytest.mark.parametrize(
    ("ignored", "may_be"),
    [
        (Ignored("names_no_file", "render_progress"), False),
        (Ignored("bad_file_id", "render_progress"), False),
        (Ignored("names_no_file", "task_status"), True),
        (Ignored("bad_file_id", "file"), True),
        (Ignored("names_no_file", "error"), True),
        (Ignored("no_progress", "render_progress"), False),
    ],
)
def test_what_names_no_file_may_be_an_end_unless_it_is_progress(ignored, may_be):
    assert may_be_end([ignored]) is may_be
