"""Recovery: a changelog may end in anything, a load may be cut short; the rows are the last committed documents."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from harness import eventually, read
from integration.streams.support import (
    Raw,
    announced,
    document,
    documents,
    expected,
    files,
    fresh_topics,
    producing,
    put,
    raw,
    result,
    settle,
    verdicts,
    write,
)

from rendercast import topics as admin
from schemas import utcnow
from schemas.codec import encode
from streams.exactly_once import changelog

PARTITIONS = 2


class Owner:
    """Writes a changelog as the owner of its partitions does, and keeps what it has committed."""

    def __init__(self, topics, producers):
        self.topic, self._producers = topics.names.jobs, producers
        self.rows = {number: {} for number in range(PARTITIONS)}
        self.files = {number: files(60) for number in range(PARTITIONS)}

    async def transaction(self, documents_of, end="commit"):
        """On each partition one; `documents_of` makes a partition's documents by file id, None being a tombstone."""
        for number, producer in self._producers.items():
            written = {file: each and encode(each) for file, each in documents_of(number).items()}
            await producer.begin_transaction()
            await put(producer, [Raw(self.topic, file.encode(), value, number) for file, value in written.items()])
            if end == "commit":
                await producer.commit_transaction()
                self.rows[number] = {
                    file: value for file, value in {**self.rows[number], **written}.items() if value is not None
                }
            elif end == "abort":
                await producer.abort_transaction()

    async def write(self, version, end="commit", first=0, last=60):
        await self.transaction(lambda n: {each: document(each, version) for each in self.files[n][first:last]}, end)

    async def delete(self, first, last):
        await self.transaction(lambda n: dict.fromkeys(self.files[n][first:last]))


@asynccontextmanager
async def owning(kafka, topics):
    """Under the transactional ids of the processor: its start ends what this leaves open."""
    async with AsyncExitStack() as stack:
        ids = {number: f"{topics.prefix}processor-{number}" for number in range(PARTITIONS)}
        yield Owner(
            topics,
            {
                number: await stack.enter_async_context(producing(kafka, transactional_id=each))
                for number, each in ids.items()
            },
        )


async def nothing(owner):
    pass


async def only_aborted(owner):
    await owner.write(1, "abort")


async def a_commit(owner):
    await owner.write(1)
    await owner.write(2)


async def an_abort_of_much(owner):
    await a_commit(owner)
    await owner.write(3, "abort")
    await owner.write(4, "abort", last=1)


async def tombstones(owner):
    await a_commit(owner)
    await owner.delete(0, 20)


async def nothing_but_tombstones(owner):
    await a_commit(owner)
    await owner.delete(0, 60)


async def keys_written_again_behind_their_tombstones(owner):
    await a_commit(owner)
    await owner.delete(0, 20)
    await owner.write(5, last=10)


async def a_tombstone_that_was_aborted(owner):
    await a_commit(owner)
    await owner.transaction(lambda n: dict.fromkeys(owner.files[n]), "abort")


async def an_open_transaction(owner):
    await a_commit(owner)
    await owner.write(6, "leave open")


async def more_than_one_fetch(owner):
    for _ in range(5):
        owner.files = {number: files(3_000) for number in owner.files}
        await owner.write(1, last=3_000)
    await owner.delete(0, 100)
    await owner.write(2, "abort")


ENDINGS = {
    nothing: 0, only_aborted: 0, a_commit: 60, an_abort_of_much: 60, tombstones: 40, nothing_but_tombstones: 0,
    keys_written_again_behind_their_tombstones: 50, a_tombstone_that_was_aborted: 60, an_open_transaction: 60,
    more_than_one_fetch: 14_900,
}  # fmt: skip
"""What a changelog ends in, and how many rows each partition has then."""


def loaded(kafka, topics):
    found = asyncio.run(changelog.load(kafka, topics.names.jobs, range(PARTITIONS)))
    return {number: {key.decode(): bytes(value) for key, value in dict(rows).items()} for number, rows in found.items()}


def as_read(kafka, topics):
    """The same by a plain reader."""
    rows = {number: {} for number in range(PARTITIONS)}
    for each in read(kafka, topics.names.jobs):
        rows[each.partition].pop(each.key.decode(), None)
        if each.value is not None:
            rows[each.partition][each.key.decode()] = each.value
    return rows


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda each: each.__name__.replace("_", " "))
def test_the_rows_are_the_last_committed_documents_whatever_the_changelog_ends_in(kafka, topics, ending):
    async def run():
        async with owning(kafka, topics) as owner:
            await ending(owner)
            return owner.rows

    rows = asyncio.run(run())
    assert [len(each) for each in rows.values()] == [ENDINGS[ending]] * PARTITIONS
    assert loaded(kafka, topics) == rows
    assert as_read(kafka, topics) == rows


def test_a_load_that_is_killed_leaves_nothing_half_done_and_a_dead_owners_transaction_counts_for_nothing(
    kafka, topics, processes
):
    """The changelog has unfinished, ended and forgotten jobs; its owner died while it ended them all."""
    unfinished, ended, forgotten = files(6_000), files(6_000), files(50)
    ending = {"status": "completed", "outcome": "completed", "watching": False, "finished_at": utcnow()}

    async def run():
        async with owning(kafka, topics) as owner:
            half = {number: slice(number, None, PARTITIONS) for number in range(PARTITIONS)}
            await owner.transaction(lambda n: {each: document(each) for each in (unfinished + forgotten)[half[n]]})
            await owner.transaction(
                lambda n: {each: document(each, url="https://x.example/a.mp4", **ending) for each in ended[half[n]]}
            )
            await owner.transaction(lambda n: dict.fromkeys(each for each in forgotten if home(each) == n))
            await owner.transaction(
                lambda n: {each: document(each, 2, **ending) for each in unfinished[half[n]]}, "leave open"
            )

    places = (unfinished + forgotten, ended)
    homes = {each: place % PARTITIONS for some in places for place, each in enumerate(some)}
    home = homes.__getitem__
    asyncio.run(run())

    worker = processes()
    for moment in (
        lambda: '"started"' in worker.log,
        lambda: worker.metric("rendercast_processor_recovered_records_total"),
        lambda: worker.metric("rendercast_processor_recovered_records_total") > len(ended),
    ):
        eventually(moment, 20, "a moment to kill it")
        worker.kill()
        worker.start()
    worker.wait_ready()
    some = [*unfinished[:200], *unfinished[-200:], *ended[:200], *ended[-200:], *forgotten]
    write(kafka, [raw(topics.names.upstream, result(each), home(each)) for each in some])
    settle(kafka, topics)
    assert announced(kafka, topics) == expected(some[:400])
    assert verdicts(worker, "ended") == 400
    assert verdicts(worker, "duplicate") == 400
    assert verdicts(worker, "unknown") == len(forgotten)
    known = documents(kafka, topics)
    assert {known[each].version for each in some[:400]} == {2}


@pytest.fixture(scope="module", autouse=True)
def compacted(kafka):
    """Topics of which `jobs` is compacted as soon as it can be, while the other tests here run; and its rows."""
    quick = {
        "cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "500", "delete.retention.ms": "0",
    }  # fmt: skip

    async def fill(topics):
        names = topics.names
        async with admin.admin(kafka) as client:
            await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, names.jobs, configs=quick)])
        async with owning(kafka, topics) as owner:
            await owner.write(1)
            await owner.write(2)
            await owner.write(3, first=20)
            await owner.delete(40, 60)
            return owner.rows

    with fresh_topics(kafka, partitions=PARTITIONS) as topics:
        yield topics, asyncio.run(fill(topics))


def test_the_rows_are_whole_where_compaction_has_taken_what_the_changelog_ended_in(kafka, compacted):
    """Neither the last documents' earlier versions nor any tombstone is left; behind them only aborted records."""
    topics, rows = compacted

    async def abort():  # makes new segments, and work for the broker's cleaner
        async with owning(kafka, topics) as owner:
            await owner.write(9, "abort", last=1)

    def is_compacted():
        asyncio.run(abort())
        return len(read(kafka, topics.names.jobs)) == sum(map(len, rows.values()))

    eventually(is_compacted, 60, "compaction")
    assert [len(each) for each in rows.values()] == [40] * PARTITIONS
    assert loaded(kafka, topics) == rows
