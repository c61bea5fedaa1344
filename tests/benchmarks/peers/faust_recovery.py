"""Stock Faust reads a table back from its changelog: `STATE` names that; it says when it began and when it had it."""

from typing import Any

import faust
from benchmarks.peers.task import ASSIGNED, RECOVERED, RECOVERY_PARTITIONS, Task, Tell


def main() -> None:
    task = Task.read()
    app = faust.App(
        task.group, broker=f"kafka://{task.servers}", store="memory://", topic_partitions=RECOVERY_PARTITIONS,
        datadir=task.directory, web_enabled=False, table_standby_replicas=0,
        topic_allow_declare=False, topic_disable_leader=True,
    )  # fmt: skip
    raw: dict[str, Any] = {
        "key_type": bytes, "key_serializer": "raw", "value_type": bytes, "value_serializer": "raw",
    }  # fmt: skip
    jobs = app.Table(
        "jobs", key_type=bytes, value_type=bytes, partitions=RECOVERY_PARTITIONS,
        changelog_topic=app.topic(task.state, compacting=True, partitions=RECOVERY_PARTITIONS, **raw),
    )  # fmt: skip
    assigned, recovered = Tell(ASSIGNED), Tell(RECOVERED)

    @app.agent(app.topic(task.input, **raw))
    async def read(stream: faust.types.StreamT) -> None:
        async for _ in stream.events():
            pass

    @app.on_partitions_assigned.connect
    async def begin(*_: Any, **__: Any) -> None:
        assigned()

    @jobs.on_recover
    async def end() -> None:
        print(f"rows {len(jobs.data)}", flush=True)
        recovered()

    faust.Worker(app, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
