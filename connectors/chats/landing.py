"""A batch on its way into the databases. What one of them cannot take goes to the dead letters, once."""

from collections.abc import Sequence
from typing import Any

import structlog

from connectors.chats.messages import UnknownChats
from connectors.chats.metrics import RECORDS, REFUSED
from connectors.chats.rows import Entry, Partition, Tools, artifact_key, read
from connectors.chats.spans import tell_written
from connectors.chats.store import Store
from connectors.kafka import send_dead_letter, translated
from schemas import Artifact
from schemas.dead_letters import DeadLetter, Incoming
from schemas.errors import RejectRecord
from schemas.topics import Topics
from tracing import Tracing, now

log = structlog.get_logger()

NAME = "rendercast-chats"


class Landing:
    """Lands batches in all of the stores, each of which takes what it lacks."""

    def __init__(self, stores: Sequence[Store], producer: Any, topics: Topics, tools: Tools, tracing: Tracing) -> None:
        self._stores = stores
        self._producer = producer
        self._topics = topics
        self._tools = tools
        self._tracing = tracing
        self._buried: set[tuple[Partition, int]] = set()  # of batches not landed yet: read again, they send none

    async def land(self, sources: Sequence[Incoming]) -> None:
        """Write what the databases lack. Raises Fenced, RetryLater or StopProcess: then all of it comes again."""
        entries = [Entry(source, await self._read(source)) for source in sources]
        for store in self._stores:
            await self._write(store, entries)
        self._buried -= {((source.topic, source.partition), source.offset) for source in sources}
        for source in sources:
            RECORDS.labels(source.topic.removeprefix(self._topics.prefix)).inc()

    async def _read(self, source: Incoming) -> Any:
        try:
            return read(source, self._topics, self._tools)
        except RejectRecord as error:
            await self._bury(source, error)
            return None

    async def _write(self, store: Store, entries: list[Entry], *, is_repeat: bool = False) -> None:
        """Write the entries. Where the database refuses the data, halve them until the culprit is found."""
        new = [each for each in entries if store.lacks(each)] if self._tracing.is_on else []
        started = now()
        try:
            await store.write(entries)
        except UnknownChats as error:
            await self._write(store, [await self._without_chat(store, entry, error) for entry in entries])
        except RejectRecord as error:
            if len(entries) == 1 and not is_repeat:  # a chat or message that was found may have been deleted since
                await self._write(store, entries, is_repeat=True)
                return
            if len(entries) == 1:
                await store.require_schema()  # it is no fault of the record where their tables have changed under us
                await self._bury(entries[0].source, error)
                await store.write([Entry(entries[0].source, None)])
                return
            half = len(entries) // 2
            await self._write(store, entries[:half])
            await self._write(store, entries[half:])
        else:
            tell_written(self._tracing, store.name, new, started)

    async def _without_chat(self, store: Store, entry: Entry, error: UnknownChats) -> Entry:
        """The entry, passed over and in the dead letters if it is of one of these chats."""
        found = entry.record
        if not isinstance(found, Artifact) or artifact_key(found) not in error.keys or not store.lacks(entry):
            return entry
        words = f"{store.name} has no chat {found.chat.chat_id}"
        await self._bury(entry.source, RejectRecord("unknown_chat", words))
        return Entry(entry.source, None)

    async def _bury(self, source: Incoming, error: RejectRecord) -> None:
        place = (source.topic, source.partition), source.offset
        if place in self._buried:
            return
        with translated():
            letter = DeadLetter.of(source, error.reason, str(error), NAME)
            await send_dead_letter(self._producer, self._topics, letter)
        self._buried.add(place)
        REFUSED.labels(error.reason).inc()
        log.warning("to dead letters", reason=error.reason, topic=source.topic, offset=source.offset)
