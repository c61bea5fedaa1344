"""Faust with one transaction per step: batch events, a lane for each partition, bulk recovery.

    app = faust.App(..., TableManager=BulkTables, Table=LaneTable, stream_wait_empty=False)
    lanes = install(app, kafka, engine, settings)

    @app.agent(app.topic(*sources, ...))
    async def route(stream):
        async for event in stream.noack().events():
            lanes.put(event)

Here, and nowhere else, private parts of Faust 0.15.3 and aiokafka 0.14.0 are used; README.md says which, and why. Why
it holds is argued in ARCHITECTURE.md, "Exactly once".
"""

from typing import Any

from schemas.settings import KafkaSettings
from streams.exactly_once import metrics
from streams.exactly_once.batch import Batch, RawRecord
from streams.exactly_once.exits import Ledger, end_process_after, remember_in
from streams.exactly_once.held import HeldPartition
from streams.exactly_once.lanes import Engine, Lanes
from streams.exactly_once.recovery import BulkTables
from streams.exactly_once.sensor import Sensor
from streams.exactly_once.table import LaneTable
from streams.exactly_once.transport import BatchTransport
from streams.settings import EngineSettings

__all__ = [
    "Batch", "BulkTables", "Engine", "EngineSettings", "HeldPartition", "LaneTable", "Lanes", "Ledger", "RawRecord",
    "Sensor", "install",
]  # fmt: skip


def install(app: Any, kafka: KafkaSettings, engine: Engine, settings: EngineSettings) -> Lanes:
    """Put the engine under a Faust app; `engine.step(held, records)` is awaited once per step.

    Exceptions of it end the process.
    """
    lanes = Lanes(app.conf.id, kafka, engine, settings)
    remember_in(engine.ends)
    metrics.watch(lanes, engine.ends)
    app.transport = BatchTransport(kafka.servers, app, lanes)

    async def crash(reason: BaseException) -> None:
        end_process_after(reason, "the Faust app crashed")

    app.crash = crash
    return lanes
