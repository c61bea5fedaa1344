"""Killed at every point between two statements, and frozen while others go on: no row is lost, none is doubled."""

import asyncio
import random
import signal
from collections import Counter

import pytest
from harness import eventually, read, send
from integration.chats.support import Child, artifact, location, new_id, query, running_sink, stored, until
from sqlalchemy import text


@pytest.fixture
def child(kafka, topics, home, tmp_path):
    """Starts one; whatever is left of them is ended."""
    started = []

    def start(**told):
        log = tmp_path / f"child-{len(started)}.log"
        started.append(Child(kafka, topics, home.url, log, **home.settings, **told))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.mark.parametrize("half", [0, 1])
def test_a_kill_between_any_two_steps_neither_loses_nor_repeats(kafka, topics, home, child, half):
    names, in_chat = topics.names, home.new_chat()
    grown = new_id()  # one file changes in every round, the others come once
    files, sent = [], 0
    statements = [f"statement:{number}" for number in range(3, home.statements + 1)]
    points = ["before batch", *statements, "before commit", "after commit", "before group"][half::2]
    for number, point in enumerate(points, start=1):
        file = new_id()
        files.append(file)
        send(kafka, names.stored, [stored(file)])
        send(kafka, names.artifacts, [artifact(grown, number, chat=in_chat), artifact(file, 1, chat=in_chat)])
        sent += 3
        killed = child(at=point, group_instance_id="only")
        killed.wait_killed()
        if point == "before commit":
            assert f"reached before commit {home.statements} " in killed.log  # or there are points that are not in this
    send(kafka, names.artifacts, [artifact(grown, len(points) + 1, chat=in_chat)])
    last = child(group_instance_id="only")
    eventually(lambda: home.landed() == sent + 1, 30)
    last.stop()

    found = home.by_file()
    assert set(found) == {grown, *files}
    assert found[grown]["version"] == len(points) + 1
    for file in files:
        assert found[file]["durable_url"] == location(file)
        assert found[file]["revision"] == 2  # made once, given its URL once
    assert len(home.messages()) == len(files) + 1
    assert set(home.messages().values()) == {2, found[grown]["revision"]}
    assert read(kafka, names.dead_letters) == []


async def test_a_frozen_old_owner_is_fenced_and_lets_go_of_its_partitions(kafka, topics, home, child):
    name, in_chat = topics.names.artifacts, home.new_chat()
    files = [new_id() for _ in range(8)]

    def versions_of(number):
        return [artifact(each, number, chat=in_chat) for each in files]

    await send_(kafka, name, versions_of(1))
    frozen = child(at="before batch", act="freeze")
    await until(lambda: "reached before batch" in frozen.log)
    async with running_sink(kafka, topics, home.url, **home.settings) as owner:
        await until(lambda: home.landed() == 8, 60)  # after the frozen one's session has timed out
        await send_(kafka, name, versions_of(2))
        await until(lambda: home.landed() == 16)
        frozen.signal(signal.SIGCONT)
        await until(lambda: "fenced" in frozen.log)
        await send_(kafka, name, versions_of(3))
        await until(lambda: home.landed() == 24, 60)
        assert owner.not_ready() is None
    assert {row["version"] for row in home.by_file().values()} == {3}
    assert {row["revision"] for row in home.by_file().values()} == {3}  # each version was written once
    assert set(home.messages().values()) == {3}
    frozen.stop()


AUDIT = """
    CREATE TABLE audit (file_id uuid, version bigint, durable_url text);
    CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO audit VALUES (NEW.file_id, NEW.version, NEW.durable_url); RETURN NEW; END $$;
    CREATE TRIGGER audited AFTER INSERT OR UPDATE ON {prefix}artifact FOR EACH ROW EXECUTE FUNCTION audited()
"""


@pytest.mark.parametrize("home", ["postgres", "layout"], indirect=True)
def test_two_processes_killed_again_and_again_write_each_version_once(kafka, topics, home, child):
    """Each kill comes after a drawn number of records, and hits what the process then does."""
    drawn, in_chat = random.Random(6), home.new_chat()
    query(home.url, text(AUDIT.format(prefix=home.prefix).replace(":", "\\:")))
    files = [new_id() for _ in range(30)]
    told = Counter()
    running = [child(group_instance_id=name, batch_records=5) for name in ("one", "two")]
    sent = 0
    for number in range(8):
        chunk = [drawn.choice(files) for _ in range(40)]
        told.update(chunk)
        send(kafka, topics.names.artifacts, numbered(chunk, told, in_chat))
        send(kafka, topics.names.stored, [stored(each) for each in files[number::8]])
        reached = home.landed() + drawn.randint(1, 20)
        sent += 40 + len(files[number::8])
        eventually(lambda reached=reached: home.landed() >= reached, 60)
        victim = drawn.randrange(2)
        running[victim].end()
        running[victim] = child(group_instance_id=("one", "two")[victim], batch_records=5)
    eventually(lambda: home.landed() == sent, 60)
    for each in running:
        each.stop()

    found = home.by_file()
    assert {file: row["version"] for file, row in found.items()} == dict(told)
    assert {file: row["durable_url"] for file, row in found.items()} == {file: location(file) for file in told}
    written = [tuple(row.values()) for row in query(home.url, text("SELECT * FROM audit"))]
    assert len(set(written)) == len(written)
    assert sum(row["revision"] for row in found.values()) == len(written)
    assert len(home.messages()) == len(told)
    assert Counter(home.messages().values()) == Counter(row["revision"] for row in found.values())
    assert read(kafka, topics.names.dead_letters) == []


def numbered(chunk, told, in_chat):
    """The next version of each file, as often as it comes in the chunk."""
    last = told - Counter(chunk)
    for each in chunk:
        last[each] += 1
        yield artifact(each, last[each], chat=in_chat)


async def send_(kafka, name, records):
    await asyncio.to_thread(send, kafka, name, records)
