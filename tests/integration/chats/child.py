"""A chat sink that ends itself at a point of its work. Its one argument is JSON; see support.Child.

Points: `statement:N` (before the N-th statement of a transaction that has moved offsets), `before commit`,
`after commit` (of that transaction), `before group` (before the group is told).
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from sqlalchemy import event
from sqlalchemy.engine import Engine

from connectors.chats import ChatSink, ChatsSettings
from schemas.settings import KafkaSettings
from schemas.topics import Topics

ACTS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


def arm(at: str, act: str) -> None:
    done = False
    statements: list[str] = []

    def reached(point: str) -> None:
        nonlocal done
        if point == at and not done:
            done = True
            print("reached", point, *statements[-1:], flush=True)
            os.kill(os.getpid(), ACTS[act])

    def in_batch() -> bool:
        return any("UPDATE consumer_offset" in each for each in statements)

    @event.listens_for(Engine, "begin")
    def _(_: object) -> None:
        statements.clear()

    @event.listens_for(Engine, "before_cursor_execute")
    def _(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)
        if in_batch():
            reached(f"statement:{len(statements)}")

    @event.listens_for(Engine, "commit")
    def _(connection: object) -> None:
        if in_batch():
            reached("before commit")
            connection.connection.dbapi_connection.commit()
            reached("after commit")

    commit = AIOKafkaConsumer.commit

    async def told(self: AIOKafkaConsumer, offsets: object) -> None:
        if in_batch():
            reached("before group")
        await commit(self, offsets)

    AIOKafkaConsumer.commit = told


async def main() -> None:
    told = json.loads(sys.argv[1])
    if told["at"]:
        arm(told["at"], told["act"])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sink = ChatSink(ChatsSettings(**told["settings"]), KafkaSettings(**told["kafka"]), Topics(told["prefix"]))
    await sink.run(stop)


sys.path.insert(0, str(Path(__file__).parents[3]))
asyncio.run(main())
