"""Sending dead letters again, to the topic and partition they came from. None is sent twice unless that is asked for.

Letters are sent in chunks, each in one Kafka transaction: the records, and for each letter a mark on the dead-letters
topic that says so. A reader of committed records sees both or neither, so "was it sent?" and "is it marked?" have one
answer. What could break that is a mark that exists and is not seen:

- *Killed at any moment.* Before the commit was asked for, neither record nor mark counts: the next replay's
  InitProducerId, or the broker after the transaction's timeout, aborts them. After it, both count, even if this
  process never heard of it: the coordinator carries a commit through, and answers no InitProducerId before it has.
- *Two at once.* There is one transactional id for all replays, so the second's InitProducerId ends what the first has
  open and fences it: none of its later writes is taken. Only then does the second read the marks. Whatever the first
  has committed lies before the end that is read then; what it has not will never be.
- *A mark behind somebody else's open transaction.* Processors bury letters in transactions of their own, and a
  committed record behind an open one is not shown yet. So the end is the very end of the topic, not that of what is
  shown, and reading waits until it has come there; where it cannot, nothing is sent.
- *A mark that is gone.* A mark lies in the letter's partition, behind it; retention takes from the front.

The marks are read once. Later ones can only be of a later replay, and that one has fenced this one.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from connectors.kafka import close, connect, producer
from rendercast.dead_letters.letters import Decision, Letter, Marks, Selection, decide
from rendercast.dead_letters.shelf import read_letters, read_marks, where
from rendercast.reading import Extent, partition_counts
from rendercast.settings import Settings
from schemas import utcnow
from schemas.dead_letters import Mark, replayed_from
from schemas.errors import StopProcess

_NAME = "rendercast-dead-letters"
TRANSACTION_SECONDS = 20
"""After this the broker ends what a killed replay has left open; until then it hides what comes behind it."""
_ABORT_SECONDS = 5
CHUNK_LETTERS = 500
CHUNK_BYTES = 4 << 20


async def rehearse(settings: Settings, selection: Selection, *, again: bool) -> AsyncGenerator[Decision]:
    """What `replay` would do now. Sends nothing and disturbs nobody."""
    what = await where(settings, selection)
    marks = await read_marks(settings.kafka, what)
    async for decision in _decisions(settings, selection, what, marks, again=again):
        yield decision


async def replay(settings: Settings, selection: Selection, *, again: bool) -> AsyncGenerator[list[Decision]]:
    """Send them again; what was decided, chunk by chunk, each after it is committed.

    Letters buried meanwhile are not looked at: one that is sent and buried again is a new letter. Raises StopProcess,
    also where another replay takes over.
    """
    client = producer(
        settings.kafka, _NAME,
        transactional_id=f"{settings.topics.prefix}dead-letters-replay",
        transaction_timeout_ms=TRANSACTION_SECONDS * 1000,
        max_batch_size=1 << 20,
    )  # fmt: skip
    await connect(client, settings.kafka)  # from here on no other replay commits
    try:
        what = await where(settings, selection, with_open=True)
        marks = await read_marks(settings.kafka, what)
        chunk, size = list[Decision](), 0
        async for decision in _decisions(settings, selection, what, marks, again=again):
            chunk.append(decision)
            size += len(decision.letter.told.value or b"")
            if len(chunk) >= CHUNK_LETTERS or size >= CHUNK_BYTES:
                await _send(client, settings, chunk)
                yield chunk
                chunk, size = [], 0
        if chunk:
            await _send(client, settings, chunk)
            yield chunk
    finally:
        await close(client)


async def _decisions(
    settings: Settings, selection: Selection, what: Extent, marks: Marks, *, again: bool
) -> AsyncGenerator[Decision]:
    names = settings.topics.names
    partitions = await partition_counts(settings.kafka, [spec.name for spec in names.specs()])
    async for letter in read_letters(settings.kafka, what, selection):
        yield decide(letter, marks, names, partitions, again=again)


async def _send(client: AIOKafkaProducer, settings: Settings, chunk: list[Decision]) -> None:
    letters = [each.letter for each in chunk if each.why_not is None]
    if not letters:
        return
    with _translated():
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                await client.begin_transaction()
                await _write(client, settings.topics.names.dead_letters, letters)
                await client.commit_transaction()
        except (ProducerFenced, InvalidProducerEpoch):
            raise
        except BaseException:
            await _abort(client)
            raise


async def _write(client: AIOKafkaProducer, topic: str, letters: list[Letter]) -> None:
    sent, now = [], utcnow()
    for letter in letters:
        told, mark = letter.told, Mark(letter.place, now)
        again = await client.send(
            told.topic, told.value, told.key, partition=told.partition, headers=replayed_from(letter.place)
        )
        marked = await client.send(topic, None, mark.key(), partition=letter.place.partition, headers=mark.headers())
        sent += [again, marked]
        for each in (again, marked):
            each.add_done_callback(_heard)
    await asyncio.gather(*sent)


def _heard(sent: asyncio.Future[object]) -> None:
    """When one fails all do, and only the first is awaited."""
    if not sent.cancelled():
        sent.exception()


async def _abort(client: AIOKafkaProducer) -> None:
    """Left open, it would hide what comes behind it from every reader until the broker ends it."""
    with contextlib.suppress(KafkaError, TimeoutError, AssertionError):  # it had not begun, or has ended already
        async with asyncio.timeout(_ABORT_SECONDS):
            await client.abort_transaction()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ProducerFenced, InvalidProducerEpoch) as error:
        raise StopProcess(
            "another replay has taken over, or this one stood still for too long. What was sent is marked"
        ) from error
    except (KafkaError, TimeoutError) as error:
        raise StopProcess(
            f"Kafka did not take the letters ({str(error) or 'no answer in time'}). What was sent is marked: "
            "run it again to go on"
        ) from error
