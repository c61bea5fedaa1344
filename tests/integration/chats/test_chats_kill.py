"""Killed at every point between two statements, and frozen while others go on: no row is lost, none is doubled."""

import asyncio
import signal

import pytest
from harness import eventually, read, send
from integration.chats.support import (
    Child,
    artifact,
    by_file,
    landed,
    location,
    new_id,
    rows,
    running_sink,
    stored,
    until,
)

STATEMENTS = [f"statement:{number}" for number in range(3, 13)]
POINTS = ["before batch", *STATEMENTS, "before commit", "after commit", "before group"]


@pytest.fixture
def child(kafka, topics, database, tmp_path):
    """Starts one; whatever is left of them is ended."""
    started = []

    def start(**told):
        started.append(Child(kafka, topics, database, tmp_path / f"child-{len(started)}.log", **told))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_a_kill_between_any_two_steps_neither_loses_nor_repeats(kafka, topics, database, child):
    names, in_chat = topics.names, new_id()
    grown = new_id()  # one file changes in every round, the others come once
    files, sent = [], 0
    for number, point in enumerate(POINTS, start=1):
        file = new_id()
        files.append(file)
        send(kafka, names.stored, [stored(file)])
        send(kafka, names.artifacts, [artifact(grown, number, chat=in_chat), artifact(file, status="completed")])
        sent += 3
        child(at=point, group_instance_id="only").wait_killed()
    send(kafka, names.artifacts, [artifact(grown, len(POINTS) + 1, chat=in_chat)])
    last = child(group_instance_id="only")
    eventually(lambda: landed(database) == sent + 1, 30)
    last.stop()

    found = by_file(database)
    assert set(found) == {grown, *files}
    assert found[grown]["version"] == len(POINTS) + 1
    for file in files:
        assert found[file]["durable_url"] == location(file)
        assert found[file]["revision"] == 2  # made once, given its URL once
    assert len(rows(database, "message")) == len(files) + 1
    assert {row["version"] for row in rows(database, "message")} == {2, found[grown]["revision"]}
    assert read(kafka, names.dead_letters) == []


async def test_a_frozen_old_owner_is_fenced_and_lets_go_of_its_partitions(kafka, topics, database, child):
    name, in_chat = topics.names.artifacts, new_id()
    files = [new_id() for _ in range(8)]

    def versions_of(number):
        return [artifact(each, number, chat=in_chat) for each in files]

    await send_(kafka, name, versions_of(1))
    frozen = child(at="before batch", act="freeze")
    await until(lambda: "reached before batch" in frozen.log)
    async with running_sink(kafka, topics, database) as owner:
        await until(lambda: landed(database) == 8, 60)  # after the frozen one's session has timed out
        await send_(kafka, name, versions_of(2))
        await until(lambda: landed(database) == 16)
        frozen.signal(signal.SIGCONT)
        await until(lambda: "fenced" in frozen.log)
        await send_(kafka, name, versions_of(3))
        await until(lambda: landed(database) == 24, 60)
        assert owner.not_ready() is None
    assert {row["version"] for row in by_file(database).values()} == {3}
    assert {row["revision"] for row in by_file(database).values()} == {3}  # each version was written once
    frozen.stop()


async def send_(kafka, name, records):
    await asyncio.to_thread(send, kafka, name, records)
