"""The programs that other teams copy, on a real Kafka: each outcome counted once, and nothing else."""

import json
from collections import Counter
from typing import get_args

import pytest
from harness import eventually
from integration.examples.support import SECONDS, block
from integration.examples.topic import completion, odd, raw, write

from schemas.codec import decode_completion, encode
from schemas.headers import headers
from schemas.ids import outcome_id
from schemas.jobs import Outcome

pytestmark = pytest.mark.timeout(900)  # the first use builds, and may have to download

OTHER_TYPE = b"rendercast.completion.corrected"
POISON = [
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b"{}",
    b'{"id": {}, "file_id": "f", "outcome": "completed"}',
    b'{"id": "", "file_id": "f", "outcome": "completed"}',
    b'{"id": "i", "file_id": "f"}',
    b'{"id": "i", "file_id": "f", "outcome": "completed"} and more',
    b'{"deep": ' + b"[" * 50_000,
]


def of_the_future():
    """A completion of a newer release: fields, an outcome and a kind that nobody knows yet."""
    known = completion()
    value = {**json.loads(encode(known)), "outcome": "paused", "kind": "hologram", "cost": {"amount": 3}, "tags": [1]}
    return known.id, (known.file_id.encode(), json.dumps(value).encode(), [*headers(known), ("ce_schema", b"9")])


@pytest.fixture
def topic(topics):
    return topics.names.completions


def tally(records) -> Counter:
    return Counter(each.outcome for each in records)


def test_what_is_no_outcome_is_passed_by_and_the_rest_is_counted_once(make_counting, kafka, topic, group):
    told = [completion(outcome) for outcome in get_args(Outcome) * 3]
    new_id, new = of_the_future()
    never = tuple(raw(completion("failed")) for _ in range(5))
    write(kafka, topic, *map(raw, told[:5]), new, aborted=never)
    write(
        kafka, topic, odd(None), odd(b'{"no": "outcome"}', OTHER_TYPE), odd(b"\x00\x01", OTHER_TYPE), odd(b"{}", None)
    )
    bad = write(kafka, topic, *map(odd, POISON))
    program = make_counting()
    places = write(kafka, topic, *map(raw, told), aborted=never)  # the first five for the second time
    program.wait_for({new_id, *(each.id for each in told)})
    eventually(lambda: program.set_aside == set(bad), SECONDS)
    assert program.stop() in (0, 143), program.log
    assert program.ids == {new_id, *(each.id for each in told)}
    assert program.counts == tally(told) + Counter(paused=1)
    assert group.has_read([*places[5:], *bad])


def test_an_outcome_is_counted_once_though_the_program_fails_is_killed_and_put_back(
    make_counting, kafka, topic, topics, group
):
    told, places = [], []

    def tell(number: int = 10) -> list[str]:
        told.extend(new := [completion() for _ in range(number)])
        places.extend(found := write(kafka, topic, *map(raw, new), aborted=(raw(completion()),)))
        return found

    program = make_counting()
    tell()
    program.kill_on_seeing({each.id for each in told})
    group.put_out_the_dead()
    with program.broken():
        program.start()
        failed = tell()
        assert program.wait() not in (0, 143), program.log
        assert not any(group.has_read([each]) for each in failed)
        group.put_out_the_dead()
    program.start()
    program.wait_for({each.id for each in told})
    program.kill()
    group.put_out_the_dead()
    # What a kill between the last effect and its commit leaves, and an operator who wants to read all again.
    group.put_back(topic, topics.partitions)
    program.start()
    tell(1)
    eventually(lambda: group.has_read(places), SECONDS)
    assert program.stop() in (0, 143), program.log
    assert program.counts == tally(told)


def test_an_outcome_is_counted_once_while_members_come_and_go(make_counting, kafka, topic, group):
    told, places = [], []

    def tell() -> None:
        told.extend(new := [completion() for _ in range(10)])
        places.extend(write(kafka, topic, *map(raw, new)))

    first, second = make_counting(), make_counting()
    eventually(lambda: tell() or len(group.members()) == 2, SECONDS)
    assert first.stop() in (0, 143), first.log
    tell()
    eventually(lambda: group.has_read(places), SECONDS)
    assert second.stop() in (0, 143), second.log
    assert second.counts == tally(told)


def test_the_documents_record_is_one_of_ours():
    found = decode_completion(block("record", "json").encode())
    assert found.id == outcome_id(found.file_id, found.generation, found.outcome)
    assert json.loads(encode(found)) == json.loads(block("record", "json"))
