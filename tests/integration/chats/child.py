"""A chat sink that ends itself at a point of its work. Its one argument is JSON; see support.Child.

Points: `before batch` (it is read, nothing is written yet), `statement:N` (before the N-th statement of a transaction
that has moved offsets), `before commit`, `after commit` (of that transaction), `before group` (before the group is
told).
"""

import asyncio
import json
import os
import signal
import sys

from aiokafka import AIOKafkaConsumer
from sqlalchemy import event
from sqlalchemy.engine import Engine

from connectors.chats.settings import ChatsSettings
from connectors.chats.sink import ChatSink
from connectors.chats.store import Store
from schemas.settings import KafkaSettings
from schemas.topics import Topics

ACTS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


class Trap:
    """Springs once."""

    def __init__(self, at: str, act: str) -> None:
        self._at, self._act = at, act
        self._sprung = False
        self._statements: list[str] = []

    def set(self) -> None:
        event.listen(Engine, "begin", lambda _: self._statements.clear())
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", self._commit)
        write, tell = Store.write, AIOKafkaConsumer.commit

        async def written(store: Store, entries: object) -> None:
            self._spring("before batch")
            await write(store, entries)

        async def told(consumer: AIOKafkaConsumer, offsets: object) -> None:
            self._reached("before group")
            await tell(consumer, offsets)

        Store.write, AIOKafkaConsumer.commit = written, told

    def _statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):  # SQLite's; Postgres is told by its driver
            self._statements.append(statement)
            self._reached(f"statement:{len(self._statements)}")

    def _commit(self, connection: object) -> None:
        self._reached("before commit")
        connection.connection.dbapi_connection.commit()
        self._reached("after commit")

    def _reached(self, point: str) -> None:
        if any("consumer_offset SET" in each for each in self._statements):
            self._spring(point)

    def _spring(self, point: str) -> None:
        if point == self._at and not self._sprung:
            self._sprung = True
            print("reached", point, len(self._statements), *self._statements[-1:], flush=True)
            os.kill(os.getpid(), ACTS[self._act])


async def main() -> None:
    told = json.loads(sys.argv[1])
    if told["at"]:
        Trap(told["at"], told["act"]).set()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sink = ChatSink(ChatsSettings(**told["settings"]), KafkaSettings(**told["kafka"]), Topics(told["prefix"]))
    await sink.run(stop)


asyncio.run(main())
