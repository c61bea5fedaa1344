"""What nobody can read: bad records are set aside with their step, bad documents stop the process."""

import asyncio
import re

import orjson
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from harness import eventually, read
from integration.streams.support import (
    Raw,
    announced,
    document,
    expected,
    files,
    new_id,
    raw,
    result,
    settle,
    track,
    write,
)

from rendercast import topics as admin
from schemas.codec import encode
from schemas.dead_letters import MAX_VALUE_BYTES
from schemas.topics import Topics

HOME = 1
"""The partition that everything here goes to."""


def alter(kafka, topics, name, **configs):
    """Set a topic's configuration; what is not named goes back to how the topic was made."""

    async def run():
        [made] = [spec.configs() for spec in topics.names.specs() if spec.name == name]
        async with admin.admin(kafka) as client:
            [answer] = await client.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name, configs={**made, **configs})]
            )
            assert [resource[0] for resource in answer.resources] == [0]

    asyncio.run(run())


def changed(record, **fields):
    return orjson.dumps({**orjson.loads(encode(record)), **fields})


def poison(names: Topics):
    """(reason, record): each a well-meant record with one thing wrong."""
    file, other = files(2)
    key, command, event = file.encode(), track(file), result(file)
    return [
        ("not_json", Raw(names.commands, key, b"{", HOME)),
        ("not_json", Raw(names.upstream, key, b"", HOME)),
        ("not_json", Raw(names.upstream, key, b"\x00\x01\x02\xff\xfe", HOME)),
        ("not_json", Raw(names.upstream, key, encode(event).replace(b'"sse"', b'"\xc3\x28"'), HOME)),
        ("invalid", Raw(names.commands, key, changed(command, deadline_seconds="soon"), HOME)),
        ("invalid", Raw(names.upstream, key, changed(event, observed_at=[]), HOME)),
        ("invalid", Raw(names.upstream, key, changed(event, file_id="file.7"), HOME)),
        ("invalid", Raw(names.upstream, key, b"[1, 2]", HOME)),
        ("unknown_type", Raw(names.commands, key, changed(command, type="rewind"), HOME)),
        ("wrong_key", Raw(names.commands, other.encode(), encode(command), HOME)),
        ("wrong_key", Raw(names.upstream, b"\xc3\x28", encode(event), HOME)),
        ("wrong_key", Raw(names.upstream, b"", encode(event), HOME)),
        ("no_key", Raw(names.commands, None, encode(command), HOME)),
        ("no_key", Raw(names.upstream, None, encode(event), HOME)),
        ("no_value", Raw(names.commands, key, None, HOME)),
        ("no_value", Raw(names.upstream, key, None, HOME)),
    ]


def huge(names: Topics):
    """5 MiB each: no JSON, and a record of ours with a prompt that is too long."""
    file = new_id()
    return [
        ("not_json", Raw(names.upstream, file.encode(), b"x" * (5 << 20), HOME)),
        ("invalid", Raw(names.commands, file.encode(), changed(track(file), prompt="x" * (5 << 20)), HOME)),
    ]


def among(bad, good):
    """The bad ones spread evenly between the good ones, which stay in their order."""
    step = max(1, len(good) // len(bad))
    mixed = list(good)
    for place, each in enumerate(bad):
        mixed.insert((place * (step + 1)) % (len(mixed) + 1), each)
    return mixed


def letters(kafka, topics):
    """By origin: reason, key, value, and the headers."""
    found = {}
    for each in read(kafka, topics.names.dead_letters):
        headers = {name: value.decode() for name, value in each.headers}
        origin = headers["topic"], int(headers["partition"]), int(headers["offset"])
        assert origin not in found, "told twice"
        found[origin] = headers["reason"], each.key, each.value, headers
    return found


def test_every_kind_of_poison_becomes_a_dead_letter_and_the_jobs_around_it_complete(kafka, topics, processes):
    names, ids = topics.names, files(40)
    for each in (names.commands, names.upstream):
        alter(kafka, topics, each, **{"max.message.bytes": str(8 << 20)})
    worker = processes()
    worker.wait_ready()
    bad = [*poison(names), *huge(names)]
    where = {}
    for topic, good in (
        (names.commands, [raw(names.commands, track(each), HOME) for each in ids]),
        (names.upstream, [raw(names.upstream, result(each), HOME) for each in ids]),
    ):
        records = among([record for _, record in bad if record.topic == topic], good)
        where.update(zip(map(id, records), write(kafka, records), strict=True))
        settle(kafka, topics)
    assert announced(kafka, topics) == expected(ids)
    found = letters(kafka, topics)
    assert len(found) == len(bad)
    for reason, record in bad:
        place = where[id(record)]
        told, key, value, headers = found[place.topic, place.partition, place.offset]
        assert (told, key) == (reason, record.key)
        assert (value or b"") == (record.value or b"")[:MAX_VALUE_BYTES]
        assert headers["by"] == "processor"
        assert headers["detail"]
        long = len(record.value or b"") > MAX_VALUE_BYTES
        assert headers.get("truncated-from") == (str(len(record.value)) if long else None)
    assert worker.metric("rendercast_processor_dead_letters_total") == len(bad)
    more = files(5)  # the same process, the same partition
    write(kafka, [raw(names.commands, track(each), HOME) for each in more])
    settle(kafka, topics)
    write(kafka, [raw(names.upstream, result(each), HOME) for each in more])
    settle(kafka, topics)
    assert announced(kafka, topics) == expected(ids + more)
    assert worker.stop() == 0


def test_dead_letters_are_committed_with_the_rest_of_their_step_or_not_at_all(kafka, topics, processes):
    names, file = topics.names, new_id()
    alter(kafka, topics, names.jobs, **{"max.message.bytes": "100"})  # no document can be written
    bad = [record for _, record in poison(names)]
    write(kafka, [raw(names.commands, track(file), HOME), *bad])
    write(kafka, [raw(names.upstream, result(file), HOME)])
    worker = processes()
    assert eventually(lambda: worker.status, 30, "the step cannot be written") == 70
    for topic in (names.dead_letters, names.completions, names.jobs):
        assert read(kafka, topic) == []

    alter(kafka, topics, names.jobs)
    worker.start()
    settle(kafka, topics)
    assert worker.metric("rendercast_processor_transaction_seconds_count") == 1
    assert len(letters(kafka, topics)) == len(bad)
    assert announced(kafka, topics) == expected([file])


def test_a_document_of_a_newer_release_stops_the_process_and_is_not_overwritten(kafka, topics, processes):
    file, names = new_id(), topics.names
    newer = changed(document(file), format=2, something="that this release does not know")
    write(kafka, [Raw(names.jobs, file.encode(), newer, HOME)])
    write(kafka, [raw(names.upstream, result(file), HOME)])
    worker = processes()
    assert eventually(lambda: worker.status, 30, worker.log) == 1
    assert re.search(rf"{file} has format 2; this release knows 1: .* start the newer release", worker.log)
    assert [each.value for each in read(kafka, names.jobs)] == [newer]
    assert announced(kafka, topics) == []


@pytest.mark.parametrize(
    "value",
    [b"not JSON", b'{"of": "another application"}', encode(document(new_id()))],
    ids=["not JSON", "another application's", "another file's"],
)
def test_a_damaged_or_foreign_document_stops_the_process_before_it_reads_an_event(kafka, topics, processes, value):
    file, names = new_id(), topics.names
    key = file.encode()
    good = document(new_id())
    write(kafka, [raw(names.jobs, good, HOME), Raw(names.jobs, key, value, HOME)])
    write(kafka, [raw(names.commands, track(file), HOME), raw(names.upstream, result(good.file_id), HOME)])
    worker = processes()
    assert eventually(lambda: worker.status, 30, "it stops") == 1, worker.log
    for named in (names.jobs, file, rf"partition\W{{1,4}}{HOME}\b"):
        assert re.search(named, worker.log), worker.log
    assert [each.value for each in read(kafka, names.jobs)] == [encode(good), value]
    assert announced(kafka, topics) == []


def test_a_tombstone_behind_a_bad_document_mends_it(kafka, topics, processes):
    """As the runbook says."""
    file, names = new_id(), topics.names
    write(kafka, [Raw(names.jobs, file.encode(), b"not JSON", HOME)])
    worker = processes()
    assert eventually(lambda: worker.status, 30, "it stops") == 1, worker.log
    write(kafka, [Raw(names.jobs, file.encode(), None, HOME), raw(names.commands, track(file), HOME)])
    worker.start()
    worker.wait_ready()
    eventually(lambda: [each.value for each in read(kafka, names.jobs)][2:], 30, "the file is tracked again")
