"""Two source topics are read in the order of time, however far one lags behind the other."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streams.exactly_once.batch import Batch
from streams.exactly_once.source_queue import SourceQueue, merge


@dataclass
class Record:
    topic: str
    timestamp: int


@dataclass
class Event:
    value: Batch


def fill(queue, topic, *batches):
    for times in batches:
        records = [Record(topic, time) for time in times]
        queue.put(Event(Batch(0, queue.position, queue.position + max(1, len(records)), records, {})))


def times(records):
    return [(each.topic, each.timestamp) for each in records]


def test_records_come_in_the_order_of_their_timestamps_and_commands_first_among_equals():
    commands, upstream = SourceQueue(0, 0), SourceQueue(0, 0)
    fill(commands, "c", [1, 5], [9])
    fill(upstream, "u", [2, 5, 6], [10])
    records, finished = merge([commands, upstream], 100)
    assert times(records) == [("c", 1), ("u", 2), ("c", 5), ("u", 5), ("u", 6), ("c", 9), ("u", 10)]
    assert len(finished) == 4


def test_nothing_is_taken_while_another_topic_is_known_to_have_more():
    commands, upstream = SourceQueue(0, 3), SourceQueue(0, 0)
    fill(upstream, "u", [2])
    assert merge([commands, upstream], 100) == ([], [])
    fill(commands, "c", [1, 1, 1])
    assert times(merge([commands, upstream], 100)[0])[-1] == ("u", 2)


def test_who_gave_up_waiting_waits_again_only_when_something_has_come():
    commands, upstream = SourceQueue(0, 3), SourceQueue(0, 0)
    fill(upstream, "u", [2])
    commands.give_up()
    assert times(merge([commands, upstream], 100)[0]) == [("u", 2)]
    commands.end = 9
    fill(upstream, "u", [3])
    assert times(merge([commands, upstream], 100)[0]) == [("u", 3)]
    fill(commands, "c", [1])
    fill(upstream, "u", [4])
    assert times(merge([commands, upstream], 100)[0]) == [("c", 1)]


def test_a_batch_is_finished_only_when_its_last_record_is_taken():
    queue = SourceQueue(0, 0)
    fill(queue, "c", [1, 2, 3])
    assert [len(each) for each in merge([queue], 2)] == [2, 0]
    assert [len(each) for each in merge([queue], 2)] == [1, 1]


def test_a_batch_without_records_is_finished_in_its_turn():
    queue = SourceQueue(0, 0)
    fill(queue, "c", [1], [], [2])
    records, finished = merge([queue], 100)
    assert (len(records), len(finished)) == (2, 3)
    fill(queue, "c", [])
    assert [len(each) for each in merge([queue], 100)] == [0, 1]


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=5),
    st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=5),
    st.integers(1, 7),
)
def test_every_record_comes_once_in_the_order_of_its_topic_whatever_the_sizes(first, second, most):
    queues = [SourceQueue(0, 0), SourceQueue(0, 0)]
    fill(queues[0], "c", *first)
    fill(queues[1], "u", *second)
    records, finished = [], []
    while True:
        some, done = merge(queues, most)
        assert len(some) <= most
        if not some and not done:
            break
        records += some
        finished += done
    for topic, batches in (("c", first), ("u", second)):
        assert [each.timestamp for each in records if each.topic == topic] == [
            time for batch in batches for time in batch
        ]
    assert len(finished) == len(first) + len(second)
