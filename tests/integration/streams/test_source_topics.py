"""What happens to a source topic behind the worker's back: records gone before they were read, a topic made anew."""

import asyncio
import re
import signal

import pytest
from aiokafka.admin.records_to_delete import RecordsToDelete
from harness import eventually
from integration.streams.support import (
    announced,
    committed,
    end_offsets,
    expected,
    files,
    is_done,
    observations,
    reset_offsets,
    result,
    settle,
    track,
    write_events,
)

from rendercast import topics as admin


def delete_records(kafka, topics):
    """All that is on `upstream` now: retention, at its worst."""
    ends = end_offsets(kafka, topics, topics.names.upstream)

    async def run():
        async with admin.admin(kafka) as client:
            await client.delete_records({tp: RecordsToDelete(before_offset=end) for tp, end in ends.items()})

    asyncio.run(run())


def tracked(kafka, topics, number):
    """Files that the running worker knows."""
    ids = files(number)
    write_events(kafka, topics, [track(each) for each in ids])
    settle(kafka, topics)
    return ids


def tells_of_a_hole(worker):
    return worker.metric("rendercast_processor_holes_total") > 0 or "retention" in worker.log


def test_records_that_were_deleted_while_the_worker_was_away_are_told_of_and_it_goes_on_behind_them(
    kafka, topics, processes
):
    worker = processes()
    read_before, lost, after = (tracked(kafka, topics, 20) for _ in range(3))
    write_events(kafka, topics, observations(read_before))
    settle(kafka, topics)
    assert worker.stop() == 0
    write_events(kafka, topics, observations(lost))
    delete_records(kafka, topics)
    write_events(kafka, topics, observations(after))
    worker.start()
    eventually(is_done(kafka, topics, read_before + after))
    settle(kafka, topics)
    assert announced(kafka, topics) == expected(read_before + after)
    write_events(kafka, topics, observations(lost))  # the connector looks again
    eventually(is_done(kafka, topics, read_before + lost + after))
    assert tells_of_a_hole(worker), worker.log


def test_records_that_were_deleted_under_a_slow_worker_are_counted_and_it_goes_on_behind_them(kafka, topics, processes):
    worker = processes(processor__session_timeout=30)
    perhaps_fetched, lost, after = (tracked(kafka, topics, 20) for _ in range(3))
    worker.signal(signal.SIGSTOP)
    write_events(kafka, topics, observations(perhaps_fetched))  # a fetch that was under way may have these
    write_events(kafka, topics, observations(lost))
    delete_records(kafka, topics)
    write_events(kafka, topics, observations(after))
    worker.signal(signal.SIGCONT)
    eventually(lambda: set(expected(after)) <= set(announced(kafka, topics)))
    settle(kafka, topics)
    assert tells_of_a_hole(worker)
    write_events(kafka, topics, observations(perhaps_fetched + lost))
    eventually(is_done(kafka, topics, perhaps_fetched + lost + after))
    assert announced(kafka, topics) == expected(perhaps_fetched + lost + after)
    assert worker.status is None


def test_committed_offsets_behind_the_end_of_a_source_topic_stop_the_worker(kafka, topics, processes):
    worker = processes()
    tracked(kafka, topics, 20)
    assert worker.stop() == 0
    reset_offsets(kafka, topics, 1_000)
    worker.start()
    assert eventually(lambda: worker.status, 30, "it stops") == 1
    assert re.search(r"a source topic was deleted and made anew.*\b1000\b", worker.log)


def make_anew(kafka, topics):
    """Delete `upstream` and make it again. Kafka forgets the group's offsets with the topic."""
    name = topics.names.upstream

    async def delete():
        async with admin.admin(kafka) as client:
            await client.delete_topics([name])

    asyncio.run(delete())
    eventually(lambda: name in asyncio.run(admin.apply(kafka, topics)), 20, "it can be made again")
    assert {offset for tp, offset in committed(kafka, topics).items() if tp.topic == name} == {None}


def half_done(kafka, topics, number):
    """Files whose documents know positions on `upstream`."""
    ids = tracked(kafka, topics, number)
    write_events(kafka, topics, [each for each in observations(ids) if each.type == "progress"])
    settle(kafka, topics)
    return ids


@pytest.mark.parametrize("padding", [0, 120], ids=["still short", "longer than before"])
def test_a_source_topic_that_was_made_anew_stops_the_worker(kafka, topics, processes, padding):
    """Else the positions in the documents would take its first events for replays: these jobs would never end."""
    worker = processes()
    ids = half_done(kafka, topics, 40)
    assert worker.stop() == 0
    make_anew(kafka, topics)
    write_events(kafka, topics, [result(each) for each in [*ids, *files(padding)]])
    worker.start()
    assert eventually(lambda: worker.status, 60, "it stops") == 1
    assert "made anew" in worker.log
    assert topics.names.upstream in worker.log
