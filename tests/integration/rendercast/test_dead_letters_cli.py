"""Dead letters by hand, on a real Kafka: seen as they are, sent again once."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner
from harness import eventually, read

from rendercast.cli import main
from rendercast.cli.screen import finish
from rendercast.dead_letters import replay as room
from rendercast.dead_letters.letters import Selection
from rendercast.reading import extent
from rendercast.settings import load
from schemas.dead_letters import DeadLetter, Mark, Place, marked
from schemas.errors import StopProcess

LONG_AGO = datetime(2025, 10, 9, tzinfo=UTC)


@pytest.fixture
def settings(kafka, topics, monkeypatch):
    monkeypatch.setenv("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("RENDERCAST_TOPICS__PREFIX", topics.prefix)
    monkeypatch.setenv("RENDERCAST_TOPICS__PARTITIONS", str(topics.partitions))
    return load()


def run(*arguments):
    return CliRunner().invoke(main, ["dead-letters", *arguments])


def listed(*arguments):
    result = run("list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def letter(settings, topic="commands", reason="not_json", **fields):
    told = {
        "detail": "value: Invalid JSON", "topic": settings.topics.prefix + topic, "partition": 1, "offset": 7,
        "by": "processor", "key": uuid.uuid4().hex.encode(), "value": b'{"type": "tr\xff', **fields,
    }  # fmt: skip
    return DeadLetter(reason, **told)


def bury(settings, *letters, at=None):
    """In partition 0; the places."""

    async def send():
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka.servers) as producer:
            sent = [
                await producer.send_and_wait(
                    settings.topics.names.dead_letters,
                    *((None, each.key()) if isinstance(each, Mark) else (each.body(), each.short_key())),
                    partition=0, timestamp_ms=at, headers=each.headers(),
                )
                for each in letters
            ]  # fmt: skip
        return [Place(each.partition, each.offset) for each in sent]

    return asyncio.run(send())


def sent_again(settings, topic="commands"):
    """From which letter, and how often."""
    found = read(settings.kafka, settings.topics.prefix + topic)
    return Counter(dict(each.headers)["replayed-from"].decode() for each in found)


def test_letters_are_listed_by_filter_and_state_and_counted(settings):
    others = bury(settings, letter(settings, reason="old"), at=int(LONG_AGO.timestamp() * 1000))
    bury(
        settings,
        letter(settings), letter(settings, reason="invalid"),
        letter(settings, "storage", "expired_url", by="rendercast-storage", attempts=8),
        DeadLetter("too_deep", "not readable", "file.1", -1, -1, "rendercast-connector", b"k", b"[["),
    )  # fmt: skip
    assert [each["reason"] for each in listed()] == ["old", "not_json", "invalid", "expired_url", "too_deep"]
    assert [each["reason"] for each in listed("--reason", "invalid", "--reason", "old")] == ["old", "invalid"]
    assert [each["attempts"] for each in listed("--topic", "storage")] == [8]
    assert [each["topic"] for each in listed("--topic", settings.topics.names.storage)] == [
        settings.topics.names.storage
    ]
    assert [each["reason"] for each in listed("--topic", "file.*")] == ["too_deep"]
    assert [each["reason"] for each in listed("--by", "storage")] == ["expired_url"]
    assert len(listed("--since", "1h")) == 4
    assert [each["place"] for each in listed("--until", "2025-12-01")] == [str(others[0])]
    assert [each["reason"] for each in listed("--limit", "2")] == ["expired_url", "too_deep"]
    assert run("replay", "--reason", "old", "--yes").exit_code == 0
    assert [each["reason"] for each in listed("--state", "replayed")] == ["old"]
    assert len(listed("--state", "open")) == 4
    assert len(listed("--state", "all")) == 5
    table = run("list", "--limit", "1").stdout
    assert "4 open dead letters" in table
    assert "the newest 1" in table
    assert "1   expired_url   storage" in table


def test_a_mark_counts_whatever_time_it_bears(settings):
    [place] = bury(settings, letter(settings))
    bury(settings, Mark(place, LONG_AGO), at=int(LONG_AGO.timestamp() * 1000))
    assert listed("--since", "1h") == []
    assert "sent: 0 letters" in run("replay", "--since", "1h", "--yes").stdout


def test_a_letter_is_shown_with_everything_and_its_bytes_as_they_came(settings):
    places = bury(settings, letter(settings, value=b'{"b":{"a":"\xc3\xa4"}}'), letter(settings, value=b"\x1b[31m\xff"))
    shown = run("show", str(places[0])).stdout
    assert '"a": "ä"' in shown
    for word in ("not_json", "value: Invalid JSON", "processor", settings.topics.names.commands, "replayed:"):
        assert word in shown
    hexed = run("show", str(places[1])).stdout
    assert "1b 5b 33 31 6d ff" in hexed
    assert "\x1b" not in hexed
    assert run("show", "--raw", str(places[1])).stdout_bytes == b"\x1b[31m\xff"
    assert run("replay", str(places[0]), "--yes").exit_code == 0
    assert "replayed:           2" in run("show", str(places[0])).stdout


@pytest.mark.parametrize("place", ["0:1", "0:99", "1:0", "7:0"])
def test_a_place_without_a_letter_is_named(settings, place):
    first = bury(settings, letter(settings))
    assert run("replay", str(first[0]), "--yes").exit_code == 0  # 0:1 is a mark
    result = run("show", place)
    assert (result.exit_code, result.stdout) == (1, "")
    assert place in result.stderr
    result = run("replay", place)
    assert result.exit_code == 1
    assert place in result.stderr


def test_a_letter_is_sent_as_it_came_to_where_it_came_from_and_once(settings):
    key, value = b"any key \xff", b"any value \xff"
    [place] = bury(settings, letter(settings, key=key, value=value))
    dry = run("replay", "--all")
    assert "would send: 1 letter" in dry.stdout
    assert read(settings.kafka, settings.topics.names.commands) == []
    assert "sent: 1 letter" in run("replay", "--all", "--yes").stdout
    assert "replayed before" in run("replay", "--all", "--yes").stdout
    [found] = read(settings.kafka, settings.topics.names.commands)
    assert (found.key, found.value, found.partition) == (key, value, 1)
    assert dict(found.headers) == {"replayed-from": str(place).encode()}
    assert "sent: 1 letter" in run("replay", "--all", "--again", "--yes").stdout
    assert sent_again(settings) == {str(place): 2}


def test_what_cannot_be_sent_again_is_left_and_said_with_the_reason(settings):
    bury(
        settings,
        letter(settings, value=b"v" * 1_000_000), letter(settings, value=None), letter(settings, "watches"),
        letter(settings, partition=9), DeadLetter("too_deep", "", "file.1", -1, -1, "rendercast-connector", b"k", b"["),
    )  # fmt: skip
    result = run("replay", "--all", "--yes")
    assert "sent: 0 letters" in result.stdout
    for why in ("it was cut", "no value", "compacted topic", "not there any more", "no topic of ours"):
        assert why in result.stdout
    assert len(listed()) == 5


def test_an_empty_topic_a_missing_topic_and_no_broker_are_told_in_one_line(settings, monkeypatch):
    assert run("list").stdout == "no open dead letters\n"
    assert listed() == []
    assert "sent: 0 letters" in run("replay", "--all", "--yes").stdout
    monkeypatch.setenv("RENDERCAST_TOPICS__PREFIX", f"{settings.topics.prefix}other.")
    for arguments in (("list",), ("show", "0:0"), ("replay", "--all"), ("replay", "--all", "--yes")):
        result = run(*arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert "topics apply" in result.stderr
    monkeypatch.setenv("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("RENDERCAST_KAFKA__START_TIMEOUT_SECONDS", "1")
    result = run("list")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "no Kafka broker lets us in at 127.0.0.1:1" in result.stderr


CHILD = """
import asyncio, sys
from aiokafka import AIOKafkaProducer
from rendercast.cli import main
from rendercast.dead_letters import replay

commit, moment, seen = AIOKafkaProducer.commit_transaction, sys.argv.pop(1), []
replay.CHUNK_LETTERS = 3

async def commit_and_stand_still(self):
    seen.append(1)
    if len(seen) == 2 and moment == "before":
        await still()
    await commit(self)
    if len(seen) == 2 and moment == "after":
        await still()

async def still():
    print("still", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

AIOKafkaProducer.commit_transaction = commit_and_stand_still
main()
"""


@pytest.mark.parametrize(("moment", "done"), [("before", 3), ("after", 6)])
def test_after_a_kill_in_mid_replay_each_letter_has_been_sent_once(settings, moment, done):
    places = bury(settings, *[letter(settings) for _ in range(10)])
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, moment, "dead-letters", "replay", "--all", "--yes"],
        env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout.readline() == "still\n"
        child.kill()
    result = run("replay", "--all", "--yes")
    assert f"sent: {10 - done} letters" in result.stdout
    assert sent_again(settings) == dict.fromkeys(map(str, places), 1)


def sending(settings):
    return room.replay(settings, Selection(), again=False)


async def drain(chunks):
    return sum(each.why_not is None for chunk in [chunk async for chunk in chunks] for each in chunk)


@pytest.mark.parametrize("moment", ["between its transactions", "before its commit"])
def test_a_second_replay_takes_over_and_each_letter_is_sent_once(settings, monkeypatch, moment):
    places = bury(settings, *[letter(settings) for _ in range(6)])
    monkeypatch.setattr(room, "CHUNK_LETTERS", 2)
    commit = AIOKafkaProducer.commit_transaction

    async def both():
        stands, goes_on, first = asyncio.Event(), asyncio.Event(), sending(settings)
        assert len(await anext(first)) == 2

        async def commit_later(self):
            monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit)
            stands.set()
            await goes_on.wait()
            await commit(self)

        if moment == "before its commit":
            monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit_later)
            rest = asyncio.create_task(drain(first))
            await stands.wait()
            assert await drain(sending(settings)) == 4
            goes_on.set()
        else:
            assert await drain(sending(settings)) == 4
            rest = asyncio.create_task(drain(first))
        with pytest.raises(StopProcess, match="another replay has taken over"):
            await rest

    finish(both())
    assert sent_again(settings) == dict.fromkeys(map(str, places), 1)


def test_what_the_first_commits_while_the_second_starts_is_not_sent_again(settings, monkeypatch):
    places = bury(settings, *[letter(settings) for _ in range(6)])
    monkeypatch.setattr(room, "CHUNK_LETTERS", 2)
    connect = room.connect

    async def both():
        first = sending(settings)
        await anext(first)

        async def connect_later(*arguments):
            await anext(first)
            return await connect(*arguments)

        monkeypatch.setattr(room, "connect", connect_later)
        assert await drain(sending(settings)) == 2
        with pytest.raises(StopProcess, match="another replay has taken over"):
            await drain(first)

    finish(both())
    assert sent_again(settings) == dict.fromkeys(map(str, places), 1)


def test_a_mark_that_an_open_transaction_hides_is_waited_for(settings, monkeypatch):
    places = bury(settings, letter(settings), letter(settings))
    monkeypatch.setattr(room, "CHUNK_LETTERS", 1)

    async def scenario():
        first = sending(settings)
        await anext(first)
        other = AIOKafkaProducer(bootstrap_servers=settings.kafka.servers, transactional_id=uuid.uuid4().hex)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(other)
            await other.begin_transaction()
            await other.send_and_wait(settings.topics.names.dead_letters, b"x", b"k", partition=0)
            assert await drain(first) == 1  # its mark is behind the open transaction
            reading = asyncio.Event()
            read_marks = room.read_marks

            async def told(*arguments):
                reading.set()
                return await read_marks(*arguments)

            monkeypatch.setattr(room, "read_marks", told)
            second = asyncio.create_task(drain(sending(settings)))
            await reading.wait()
            await other.abort_transaction()
            assert await second == 0

    finish(scenario())
    assert sent_again(settings) == dict.fromkeys(map(str, places), 1)


def test_marks_are_no_letters_and_name_theirs(settings):
    [place] = bury(settings, letter(settings))
    assert run("replay", "--all", "--yes").exit_code == 0
    _, mark = eventually(lambda: read(settings.kafka, settings.topics.names.dead_letters))
    assert (marked(mark.headers), mark.value, mark.partition) == (place, None, place.partition)
    assert len(listed("--state", "all")) == 1


def test_a_replay_that_another_has_taken_over_says_so_in_one_line(settings):
    bury(settings, *[letter(settings) for _ in range(10)])
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, "before", "dead-letters", "replay", "--all", "--yes"],
        env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout.readline() == "still\n"
        assert "sent: 7 letters" in run("replay", "--all", "--yes").stdout
        _, said = child.communicate("go on\n", timeout=60)
    *progress, last = said.splitlines()
    assert child.returncode == 1
    assert progress == ["sent so far: 3"]
    assert last.startswith("rendercast: another replay has taken over")


def test_a_replay_that_fails_leaves_no_transaction_open(settings, monkeypatch):
    """It would hide what comes behind it from the readers of the topic."""
    bury(settings, letter(settings))
    write = room._write

    async def failing(*arguments):
        await write(*arguments)
        raise RuntimeError("in mid transaction")

    async def ends():
        names = [settings.topics.names.commands]
        return [(await extent(settings.kafka, names, with_open=each)).end for each in (False, True)]

    async def replay():
        await drain(sending(settings))

    monkeypatch.setattr(room, "_write", failing)
    with pytest.raises(RuntimeError, match="in mid transaction"):
        asyncio.run(replay())
    shown, last = asyncio.run(ends())
    assert shown == last
    assert sum(last.values()) > 0
    assert sent_again(settings) == {}
