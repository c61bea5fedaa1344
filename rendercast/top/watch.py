"""The figures, from Kafka: jobs and completions are followed, ends and committed offsets are asked for."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from connectors.kafka import close, connect, consumer, translated
from rendercast.rights import Process, rights
from rendercast.settings import Settings
from rendercast.top.figures import WINDOW, Figures, Outcomes, Rates, Unfinished
from rendercast.topics import admin
from schemas import utcnow
from schemas.codec import decode_completion, decode_job_view
from schemas.errors import RejectRecord, StopProcess

_NAME = "rendercast-top"
_READ_MILLISECONDS = 200
_COMMIT_NOTHING: tuple[Process, ...] = ("connector",)
"""It reads its partitions from their beginning; its metrics tell its lag."""


class Watch:
    """Holds the unfinished jobs and the outcomes of the last minutes."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._names = settings, settings.topics.names
        self._unfinished, self._outcomes, self._rates = Unfinished(), Outcomes(), Rates()

    async def figures(self, interval: float) -> AsyncGenerator[Figures]:
        """The first once the jobs have been read, then one each `interval` seconds. Raises StopProcess, RetryLater."""
        async with admin(self._settings.kafka) as asking:
            tps = await self._partitions(asking)
            client = await connect(consumer(self._settings.kafka, _NAME, None), self._settings.kafka)
            try:
                with translated():
                    await self._begin(client, tps)
                    while True:
                        ends = await client.end_offsets(tps)
                        await self._read(client, ends)
                        yield await self._now(asking, ends)
                        await asyncio.sleep(interval)
            finally:
                await close(client)

    async def _partitions(self, asking: AIOKafkaAdminClient) -> list[TopicPartition]:
        wanted, there = [each.name for each in self._names.specs()], set(await asking.list_topics())
        missing = [each for each in wanted if each not in there]
        if missing:
            raise StopProcess(f"there is no topic {', '.join(missing)} (`rendercast topics apply` makes it)")
        counts = {each["topic"]: len(each["partitions"]) for each in await asking.describe_topics(wanted)}
        return [TopicPartition(name, number) for name in wanted for number in range(counts[name])]

    async def _begin(self, client: AIOKafkaConsumer, tps: list[TopicPartition]) -> None:
        followed = [tp for tp in tps if tp.topic in (self._names.jobs, self._names.completions)]
        client.assign(followed)
        begin, end = await asyncio.gather(client.beginning_offsets(followed), client.end_offsets(followed))
        since = int((utcnow() - WINDOW).timestamp() * 1000)
        recent = await client.offsets_for_times({tp: since for tp in followed if tp.topic == self._names.completions})
        for tp in followed:
            if tp in recent:
                client.seek(tp, end[tp] if recent[tp] is None else recent[tp].offset)
            else:
                client.seek(tp, begin[tp])

    async def _read(self, client: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        """Up to these ends, which are known by position: a topic can end in markers of transactions."""
        unread = set(client.assignment())
        while unread := {tp for tp in unread if await client.position(tp) < ends[tp]}:
            for tp, records in (await client.getmany(*unread, timeout_ms=_READ_MILLISECONDS)).items():
                for each in records:
                    try:
                        self._take(tp.topic, each.key or b"", each.value)
                    except RejectRecord:
                        continue  # the processor stops at such a document, and says so

    def _take(self, topic: str, key: bytes, value: bytes | None) -> None:
        if topic == self._names.jobs:
            self._unfinished.read(key, None if value is None else decode_job_view(value))
        elif value is not None:
            self._outcomes.read(decode_completion(value))

    async def _now(self, asking: AIOKafkaAdminClient, ends: Mapping[TopicPartition, int]) -> Figures:
        at, oldest = utcnow(), self._unfinished.oldest()
        recent = self._outcomes.recent(at)
        sums = {each.name: 0 for each in self._names.specs()}
        for tp, end in ends.items():
            sums[tp.topic] += end
        return Figures(
            at=at,
            unfinished=self._unfinished.by_status(),
            overdue=self._unfinished.overdue(at),
            oldest_seconds=None if oldest is None else (at - oldest.tracked_at).total_seconds(),
            oldest_file=None if oldest is None else oldest.file_id,
            outcomes=Counter(each.outcome for each in recent),
            won_by=Counter(each.won_by or "nobody" for each in recent),
            late=sum(each.late for each in recent),
            lag=await self._lags(asking, ends),
            rates={topic.removeprefix(self._names.prefix): rate for topic, rate in self._rates.read(sums, at).items()},
        )

    async def _lags(self, asking: AIOKafkaAdminClient, ends: Mapping[TopicPartition, int]) -> dict[str, int | None]:
        """Offsets that a process has not committed yet; None where its group has committed nothing."""
        found: dict[str, int | None] = {}
        for process, needed in rights(self._settings).items():
            if needed.group is None or process in _COMMIT_NOTHING:
                continue
            try:
                committed = await asking.list_consumer_group_offsets(needed.group)
            except KafkaError:  # its coordinator moves, or there never was one
                committed = {}
            read = {tp: offset.offset for tp, offset in committed.items() if tp in ends and offset.offset >= 0}
            found[process] = sum(max(0, ends[tp] - at) for tp, at in read.items()) if read else None
        return found
