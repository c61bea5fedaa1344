"""How far a reader is behind: to the end of the topic, of which the last offsets may be nobody's records."""

import time

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from connectors.kafka import age, behind

ZERO, ONE, TWO = (TopicPartition("artifacts", number) for number in range(3))


class Consumer:
    def __init__(self, ends, positions):
        self._ends, self._positions = ends, positions

    def highwater(self, partition):
        return self._ends.get(partition)

    async def position(self, partition):
        if isinstance(self._positions[partition], Exception):
            raise self._positions[partition]
        return self._positions[partition]


async def test_where_all_that_was_read_is_done_the_consumers_position_counts():
    """Behind the last record stands the marker of its transaction."""
    consumer = Consumer({ZERO: 8, ONE: 8}, {ZERO: 8, ONE: 5})
    assert await behind(consumer, {ZERO: None, ONE: None}) == {ZERO: 0, ONE: 3}


async def test_what_was_read_and_is_not_done_is_lag():
    assert await behind(Consumer({ZERO: 8}, {ZERO: 8}), {ZERO: 2}) == {ZERO: 6}


@pytest.mark.parametrize("error", [IllegalStateError("taken away"), TimeoutError()])
async def test_a_partition_of_which_nothing_is_known_is_left_out(error):
    consumer = Consumer({ZERO: 8, ONE: 8}, {ZERO: error, ONE: 8, TWO: 3})
    assert await behind(consumer, dict.fromkeys((ZERO, ONE, TWO))) == {ONE: 0}


def test_the_age_is_that_of_the_moment_it_is_asked_for_and_never_negative():
    written = None
    seconds = age(lambda: written)
    assert seconds() == 0
    written = int((time.time() - 60) * 1000)
    assert 59 < seconds() < 600
    written = int((time.time() + 60) * 1000)
    assert seconds() == 0
