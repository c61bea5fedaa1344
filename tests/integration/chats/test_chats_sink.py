"""The sink on a real Kafka: batches land once, poison is set aside, trouble passes."""

import asyncio
import random
import sqlite3
from collections import Counter

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from harness import read, send
from integration.chats.support import (
    artifact,
    by_file,
    landed,
    location,
    new_id,
    rows,
    running_sink,
    stored,
    until,
    versions,
)

from connectors.chats import metrics
from connectors.chats.database import upgrade
from connectors.chats.settings import ChatsSettings
from connectors.chats.sink import ChatSink
from schemas.codec import decode_artifact, encode
from schemas.errors import StopProcess


def shuffled(files, in_chat, last=4):
    """Each file's versions in order (as Kafka keeps them), the files mixed."""
    series = {each: [artifact(each, n, chat=in_chat) for n in range(1, last)] for each in files}
    for each, made in series.items():
        made.append(artifact(each, last, chat=in_chat, status="completed"))
    mixed = random.Random(1)
    while series:
        each = mixed.choice(list(series))
        yield series[each].pop(0)
        if not series[each]:
            del series[each]


async def sent(kafka, topic, records):
    await asyncio.to_thread(send, kafka, topic, records)


async def letters(kafka, topics):
    found = await asyncio.to_thread(read, kafka, topics.names.dead_letters)
    return [({name: value.decode() for name, value in each.headers}, each.value) for each in found]


def lags():
    return [metrics.LAG.labels(topic)._value.get() for topic in ("artifacts", "stored")]


async def raw(kafka, topic, partition, *values):
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"k", partition=partition)
    finally:
        await producer.stop()


async def test_every_artifact_lands_once_with_its_copy_and_offsets(kafka, topics, database):
    files, in_chat = [new_id() for _ in range(60)], new_id()
    await sent(kafka, topics.names.artifacts, shuffled(files, in_chat))
    await sent(kafka, topics.names.stored, [stored(each) for each in files])
    async with running_sink(kafka, topics, database, batch_records=25) as sink:
        await until(lambda: landed(database) == 60 * 5)
        assert sink.not_ready() is None
        await until(lambda: (*lags(), metrics.LAG_SECONDS.collect()[0].samples[0].value) == (0, 0, 0))
    found = by_file(database)
    assert {each: row["version"] for each, row in found.items()} == dict.fromkeys(files, 4)
    assert {each: row["durable_url"] for each, row in found.items()} == {each: location(each) for each in files}
    assert Counter(row["status"] for row in rows(database, "message")) == {"completed": 60}


async def test_a_sink_that_starts_again_reads_on_where_the_database_stands(kafka, topics, database):
    files, in_chat = [new_id() for _ in range(20)], new_id()
    await sent(kafka, topics.names.artifacts, shuffled(files[:10], in_chat))
    async with running_sink(kafka, topics, database):
        await until(lambda: landed(database) == 40)
    before = rows(database, "artifact")
    await reset_group(kafka, topics)  # what the group says does not matter
    await sent(kafka, topics.names.artifacts, shuffled(files[10:], in_chat))
    async with running_sink(kafka, topics, database):
        await until(lambda: landed(database) == 80)
    assert versions(database) == dict.fromkeys(files, 4)
    assert all(row in rows(database, "artifact") for row in before)


async def reset_group(kafka, topics):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.servers, group_id=f"{topics.prefix}chats", enable_auto_commit=False
    )  # fmt: skip
    await consumer.start()
    try:
        lanes = [TopicPartition(topics.names.artifacts, number) for number in range(topics.partitions)]
        consumer.assign(lanes)
        await consumer.commit(dict.fromkeys(lanes, 0))
    finally:
        await consumer.stop()


async def test_what_cannot_be_parsed_goes_to_dead_letters_and_the_partition_goes_on(kafka, topics, database):
    name = topics.names.artifacts
    await raw(kafka, name, 0, b"{not json", b'{"file_id": "no"}', b"")
    files = [new_id() for _ in range(6)]
    await sent(kafka, name, [artifact(each) for each in files])
    async with running_sink(kafka, topics, database):
        await until(lambda: landed(database) == 9)
    found = await letters(kafka, topics)
    assert [(told["reason"], told["topic"], told["offset"], value) for told, value in found] == [
        ("not_json", name, "0", b"{not json"),
        ("invalid", name, "1", b'{"file_id": "no"}'),
        ("not_json", name, "2", b""),
    ]
    assert set(by_file(database)) == set(files)


async def test_what_the_database_refuses_is_found_in_its_batch_and_buried_alone(kafka, topics, database):
    files, bad = [new_id() for _ in range(30)], new_id()
    batch = [artifact(each) for each in files]
    batch.insert(17, artifact(bad, status="completed", url=None))
    await sent(kafka, topics.names.artifacts, batch)
    async with running_sink(kafka, topics, database):
        await until(lambda: landed(database) == 31)
    ((told, value),) = await letters(kafka, topics)
    assert told["reason"] == "refused_by_database"
    assert bad.encode() in value
    assert set(by_file(database)) == set(files)


async def test_each_of_two_bad_records_of_a_batch_is_buried_whatever_is_wrong_with_them(kafka, topics, database):
    """The first is found bad by the database, after the second could not be read."""
    name, refused = topics.names.artifacts, artifact(new_id(), status="completed", url=None)
    await raw(kafka, name, 0, encode(refused), b"{not json")
    async with running_sink(kafka, topics, database):
        await until(lambda: landed(database) == 2)
    found = sorted((told["offset"], told["reason"]) for told, _ in await letters(kafka, topics))
    assert found == [("0", "refused_by_database"), ("1", "not_json")]


async def test_an_unknown_chat_is_dead_lettered_by_setting_and_the_rest_of_the_batch_lands(kafka, topics, database):
    """Once each, and no more when the chat has been made meanwhile."""
    known, unknown = new_id(), new_id()
    files, lost = [new_id() for _ in range(20)], [new_id() for _ in range(3)]
    await sent(kafka, topics.names.artifacts, [artifact(files[0], 1, chat=known)])
    async with running_sink(kafka, topics, database):
        await until(lambda: landed(database) == 1)  # makes the stub
    batch = [artifact(each, 2, chat=known) for each in files]
    batch[5:5] = [artifact(each, 1, chat=unknown) for each in lost]
    await sent(kafka, topics.names.artifacts, batch)
    async with running_sink(kafka, topics, database, unknown_chat="dead-letter"):
        await until(lambda: landed(database) == 24)
    assert versions(database) == dict.fromkeys(files, 2)
    assert [str(row["id"]) for row in rows(database, "chat")] == [known]
    found = await letters(kafka, topics)
    assert [told["reason"] for told, _ in found] == ["unknown_chat"] * 3
    assert {decode_artifact(value).file_id for _, value in found} == set(lost)


async def test_an_unknown_chat_still_goes_to_the_local_store(kafka, topics, database, local_store):
    file = new_id()
    await sent(kafka, topics.names.artifacts, [artifact(file)])
    async with running_sink(kafka, topics, database, local=local_store, unknown_chat="dead-letter"):
        await until(lambda: landed(database) == landed(local_store) == 1)
    assert by_file(database) == {}
    assert set(by_file(local_store)) == {file}


async def test_a_chat_id_that_is_neither_a_uuid_nor_a_tools_goes_to_dead_letters(kafka, topics, database, local_store):
    tool = new_id()
    batch = [artifact(new_id(), chat="12345"), artifact(tool, chat="image-generator-tool")]
    await sent(kafka, topics.names.artifacts, batch)
    async with running_sink(kafka, topics, database, local=local_store, tool_chats=".*-tool"):
        await until(lambda: landed(database) == landed(local_store) == 2)
    ((told, _),) = await letters(kafka, topics)
    assert told["reason"] == "bad_chat_id"
    assert set(by_file(local_store)) == {tool}


async def test_a_tool_chat_without_local_store_goes_to_dead_letters(kafka, topics, database):
    real = new_id()
    await sent(kafka, topics.names.artifacts, [artifact(new_id(), chat="image-generator-tool"), artifact(real)])
    async with running_sink(kafka, topics, database):
        await until(lambda: landed(database) == 2)
    ((told, _),) = await letters(kafka, topics)
    assert told["reason"] == "no_local_store"
    assert set(by_file(database)) == {real}


async def test_real_chats_go_to_both_databases_and_tool_chats_to_the_local_one(kafka, topics, database, local_store):
    tool, real = new_id(), new_id()
    await sent(kafka, topics.names.artifacts, [artifact(tool, chat="image-generator-tool"), artifact(real)])
    await sent(kafka, topics.names.stored, [stored(tool), stored(real)])
    async with running_sink(kafka, topics, database, local=local_store):
        await until(lambda: landed(database) == landed(local_store) == 4)
    assert {each: row["durable_url"] for each, row in by_file(database).items()} == {real: location(real)}
    assert set(by_file(local_store)) == {tool, real}
    assert await letters(kafka, topics) == []


async def test_a_local_store_that_is_behind_catches_up_and_the_chat_database_writes_nothing_twice(
    kafka, topics, database, local_store
):
    files, in_chat = [new_id() for _ in range(10)], new_id()
    await sent(kafka, topics.names.artifacts, shuffled(files, in_chat))
    async with running_sink(kafka, topics, database):
        await until(lambda: landed(database) == 40)
    before = rows(database, "artifact")
    async with running_sink(kafka, topics, database, local=local_store):
        await until(lambda: landed(local_store) == 40)
    assert rows(database, "artifact") == before
    assert versions(local_store) == versions(database)


async def test_a_locked_database_pauses_the_sink_which_then_goes_on_by_itself(kafka, topics, tmp_path):
    url = f"sqlite:///{tmp_path}/chats.db"
    await upgrade(url)
    async with running_sink(kafka, topics, url, retry_wait_max_seconds=1) as sink:
        await until(lambda: sink.not_ready() is None)
        with sqlite3.connect(tmp_path / "chats.db", isolation_level=None) as held:
            held.execute("BEGIN EXCLUSIVE")
            await sent(kafka, topics.names.artifacts, [artifact(new_id()) for _ in range(20)])
            await until(lambda: "locked" in (sink.not_ready() or ""))
            held.execute("ROLLBACK")
        held.close()
        await until(lambda: landed(url) == 20)
        await until(lambda: sink.not_ready() is None)
    assert len(rows(url, "artifact")) == 20


async def test_postgres_killed_before_the_start_and_in_mid_run_loses_and_repeats_nothing(kafka, topics, own_postgres):
    await upgrade(own_postgres.url)
    own_postgres.kill()
    files, in_chat = [new_id() for _ in range(200)], new_id()
    async with running_sink(
        kafka, topics, own_postgres.url, batch_records=20, retry_wait_max_seconds=0.5, transaction_timeout_seconds=3
    ) as sink:
        await until(lambda: "database" in (sink.not_ready() or ""))
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: sink.not_ready() is None)
        for number in range(4):
            before, after = files[number * 50 : number * 50 + 25], files[number * 50 + 25 : number * 50 + 50]
            reached = landed(own_postgres.url)
            await sent(kafka, topics.names.artifacts, shuffled(before, in_chat))
            await until(lambda reached=reached: landed(own_postgres.url) > reached)
            own_postgres.kill()
            await sent(kafka, topics.names.artifacts, shuffled(after, in_chat))
            await until(lambda: "database" in (sink.not_ready() or ""))
            await asyncio.to_thread(own_postgres.start)
        await until(lambda: landed(own_postgres.url) == 800)
        await until(lambda: sink.not_ready() is None)
    assert versions(own_postgres.url) == dict.fromkeys(files, 4)
    assert len(rows(own_postgres.url, "message")) == 200


@pytest.mark.parametrize("deleted", ["the message of an artifact", "a message that asked", "the chat"])
async def test_what_is_deleted_while_its_artifact_is_written_comes_back(kafka, topics, postgres_database, deleted):
    await upgrade(postgres_database)
    in_chat, shown, asking = new_id(), new_id(), new_id()
    change = {
        "the message of an artifact": artifact(shown, 2, chat=in_chat),
        "a message that asked": artifact(new_id(), 2, chat=in_chat, message=asking),
        "the chat": artifact(shown, 2, chat=in_chat),
    }[deleted]
    add = "INSERT INTO message (id, chat_id, role, created_at, updated_at) VALUES (%s, %s, 'user', now(), now())"
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(postgres_database) as application, psycopg.connect(postgres_database) as watching:
        watching.autocommit = True
        async with running_sink(kafka, topics, postgres_database):
            await sent(kafka, topics.names.artifacts, [artifact(shown, 1, chat=in_chat)])
            await until(lambda: shown in versions(postgres_database))
            application.execute(add, (asking, in_chat))
            application.commit()
            application.execute("DELETE FROM chat" if deleted == "the chat" else "DELETE FROM message")
            await sent(kafka, topics.names.artifacts, [change])
            await until(lambda: watching.execute(waiting).fetchone())
            application.commit()
            await until(lambda: versions(postgres_database).get(change.file_id) == 2)
    assert await letters(kafka, topics) == []


async def test_a_stop_finishes_the_batch_in_hand(kafka, topics, tmp_path):
    url = f"sqlite:///{tmp_path}/chats.db"
    await upgrade(url)
    await sent(kafka, topics.names.artifacts, [artifact(new_id()) for _ in range(300)])
    async with running_sink(kafka, topics, url, batch_records=300) as sink:
        store = sink._stores[0]
        begun, write = asyncio.Event(), store.write

        async def slow(entries):
            begun.set()
            await sink.stop.wait()
            await write(entries)

        store.write = slow
        await asyncio.wait_for(begun.wait(), 20)
    assert landed(url) > 0
    assert len(rows(url, "artifact")) == landed(url)


async def test_a_topic_made_anew_stops_the_process(kafka, topics, tmp_path):
    url = f"sqlite:///{tmp_path}/chats.db"
    await upgrade(url)
    with sqlite3.connect(tmp_path / "chats.db") as connection:
        connection.execute(
            "INSERT INTO consumer_offset VALUES (?, ?, 0, 1000)", (f"{topics.prefix}chats", topics.names.artifacts)
        )
    connection.close()
    sink = ChatSink(ChatsSettings(url=url), kafka, topics.names)
    with pytest.raises(StopProcess, match="made anew"):
        await asyncio.wait_for(sink.run(asyncio.Event()), 30)
