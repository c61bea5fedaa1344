"""Faust with one transaction per step: batch events, a lane for each partition, bulk recovery.

    app = faust.App(..., TableManager=BulkTables, Table=LaneTable, stream_wait_empty=False)
    lanes = install(app, kafka, changelog, sources, step, settings)

    @app.agent(app.topic(*sources, ...))
    async def route(stream):
        async for event in stream.noack().events():
            lanes.put(event)

Here, and nowhere else, private parts of Faust 0.15.3 and aiokafka 0.14.0 are used; both are pinned, and a newer one
has to pass this room's tests. Why it holds is argued in ARCHITECTURE.md, "Exactly once".
"""

from collections.abc import Iterable
from typing import Any

from schemas.settings import KafkaSettings
from streams.exactly_once.batch import Batch, RawRecord
from streams.exactly_once.exits import end_process
from streams.exactly_once.held import HeldPartition
from streams.exactly_once.lane import StepFunction
from streams.exactly_once.lanes import Lanes
from streams.exactly_once.recovery import BulkTables
from streams.exactly_once.table import LaneTable
from streams.exactly_once.transport import BatchTransport
from streams.settings import EngineSettings

__all__ = ["Batch", "BulkTables", "EngineSettings", "HeldPartition", "LaneTable", "Lanes", "RawRecord", "install"]


def install(
    app: Any, kafka: KafkaSettings, changelog: str, sources: Iterable[str],
    step: StepFunction, settings: EngineSettings,
) -> Lanes:  # fmt: skip
    """Put the engine under a Faust app.

    `step(held, records)` is awaited once per step; its exceptions end the process.
    """
    lanes = Lanes(app.conf.id, kafka, changelog, frozenset(sources), step, settings)
    app.transport = BatchTransport(kafka.servers, app, lanes)

    async def crash(reason: BaseException) -> None:
        end_process("the Faust app crashed", error=repr(reason))

    app.crash = crash
    return lanes
