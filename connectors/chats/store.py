"""A database, and how far it has read.

Where a local store is configured there are two of them, and no transaction spans both. Nothing is lost and nothing is
doubled all the same, because each keeps its own offsets beside its own rows:

- Within one database rows and offsets change together, so a record at or above its offset is not in it, and one below
  is. That holds after every crash, by itself.
- The consumer starts from the lower of the two offsets, so whatever either database lacks is read again.
- From what is read each takes only what lies at or above its own offset, so the one that is ahead writes nothing twice.

A crash between the two transactions leaves one database ahead; the next batch brings the other up to it.
"""

import asyncio
from collections.abc import Collection, Sequence

from connectors.chats.database import look, make_engine, translated
from connectors.chats.metrics import BATCH, WRITE
from connectors.chats.plan import OWN, Plan
from connectors.chats.rows import Entry, Partition, batch
from connectors.chats.tables import Tables, own_tables
from connectors.chats.writer import read_offsets, write
from schemas.errors import StopProcess


class Store:
    """`name` is for messages (`the chat database`); `tools` says whether tool chats are kept here."""

    def __init__(self, url: str, name: str, group: str, *, tools: bool, timeout: float, plan: Plan = OWN) -> None:
        self.name = name
        self.expected: dict[Partition, int] = {}
        self._engine = make_engine(url)
        self._group = group
        self._tools = tools
        self._timeout = timeout
        self._plan = plan
        self._found: Tables | None = own_tables(plan.prefix) if plan.layout is None else None

    @property
    def _tables(self) -> Tables:
        assert self._found is not None, "with a layout, require_schema comes first"
        return self._found

    async def require_schema(self) -> None:
        """Raises StopProcess when the schema is not this release's or their tables do not fit the layout.

        Raises RetryLater when the database is away.
        """
        found = await look(self._engine, self.name, self._plan)
        self._found = found.adapted.require(self.name)
        if not found.revisions.match:
            raise StopProcess(
                f"{self.name} has schema revision {found.revisions.current or 'none'}, this release needs "
                f"{found.revisions.expected}: run `rendercast db upgrade`"
            )

    async def place(self, partitions: Collection[Partition]) -> None:
        """Learn from the database how far it has read. Raises RetryLater."""
        with translated(self.name):
            async with asyncio.timeout(self._timeout), self._engine.begin() as connection:
                self.expected = await read_offsets(connection, self._tables, self._group, partitions)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write what is not here yet, in one transaction.

        Raises Fenced, RetryLater, UnknownChats, or RejectRecord for the batch.

        After RetryLater it may have been written or not: `place` tells.
        """
        new = batch(entries, self.expected, tools=self._tools)
        if not new.moves:
            return
        with translated(self.name), WRITE.labels(self.name).time():
            async with asyncio.timeout(self._timeout), self._engine.begin() as connection:
                await write(connection, self._tables, self._plan, self._group, new)
        BATCH.observe(len(entries))
        self.expected.update({partition: reached for partition, (_, reached) in new.moves.items()})

    def lacks(self, entry: Entry) -> bool:
        """Whether the record is not here yet, neither written nor refused."""
        return entry.offset >= self.expected[entry.partition]

    async def close(self) -> None:
        await self._engine.dispose()
