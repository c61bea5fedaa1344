"""Plain Faust, as its documentation shows it: a table, and an agent over `stream.events()`; at least once."""

from typing import Any

import faust
from benchmarks.peers.rule import apply_to_document
from benchmarks.peers.task import FIRST, Task, Tell, collect_rarely

PARTITIONS = 4


def main() -> None:
    task, first = Task.read(), Tell(FIRST)
    collect_rarely()
    app = faust.App(
        task.group, broker=f"kafka://{task.servers}", store="memory://", topic_partitions=PARTITIONS,
        datadir=task.directory, broker_commit_interval=task.commit_seconds, web_enabled=False,
        table_standby_replicas=0,
    )  # fmt: skip
    raw: dict[str, Any] = {
        "key_type": bytes, "key_serializer": "raw", "value_type": bytes, "value_serializer": "raw",
    }  # fmt: skip
    completions = app.topic(task.output, **raw)
    jobs = app.Table("jobs", key_type=bytes, value_type=bytes)

    @app.agent(app.topic(task.input, **raw))
    async def advance(stream: faust.types.StreamT) -> None:
        async for event in stream.events():
            first()
            document, completion = apply_to_document(jobs.get(event.key), event.value)
            if document is not None:
                jobs[event.key] = document
            if completion is not None:
                await completions.send(key=event.key, value=completion)

    faust.Worker(app, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
