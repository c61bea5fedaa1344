"""A watch's span: from its beginning here to its end here, with what befell it, bounded."""

import pytest
from unit.upstream.fake_upstream import until

from connectors.upstream.story import MOST, Story
from schemas import Result
from schemas.headers import traced
from schemas.trace import root_span
from tracing.spans import Tracing

FILE = "998d1234-5678-4abc-8def-0123456789ab"


@pytest.fixture
def told():
    return []


@pytest.fixture
def tracing(told):
    return Tracing(traced(1), 1, told.append)


def test_a_story_keeps_so_many_events_and_counts_the_others(tracing, told, make_watch):
    watch = make_watch(FILE, generation="g")
    story = Story(tracing, watch)
    for number in range(MOST + 3):
        story.note("look", why=str(number))
    story.tell("stopped")
    [span] = told
    assert [each.attributes["why"] for each in span.events] == [str(number) for number in range(MOST)]
    assert span.attributes["rendercast.watch.events_not_kept"] == 3
    assert span.parent == root_span(FILE, "g")


async def test_a_watch_tells_what_befell_it_when_it_ends_and_once(start, upstream, letters, make_watch, tracing, told):
    async with start(tracing=tracing) as fleet:
        fleet.put(make_watch(FILE, generation="g"))
        line = await upstream.line(f"file.{FILE}")
        await until(lambda: upstream.looks(FILE) == 1)
        await line.say("render_result", {"url": "https://media.example/a.mp4"})
        await until(lambda: letters.of(Result))
        assert told == []
        fleet.drop(FILE)
    [span] = told
    assert (span.name, span.parent, span.attributes["rendercast.watch.end"]) == (
        "watch",
        root_span(FILE, "g"),
        "stopped",
    )
    assert {"look", "result"} <= {each.name for each in span.events}
    assert span.start <= min(each.at for each in span.events) <= span.end


async def test_a_watch_that_expires_tells_so_once(start, make_watch, tracing, told):
    async with start(tracing=tracing) as fleet:
        fleet.put(make_watch(FILE, generation="g", seconds=0.05))
        await until(lambda: told)
    [span] = told
    assert span.attributes["rendercast.watch.end"] == "expired"
