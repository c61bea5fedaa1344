"""Quix Streams, exactly once: StreamingDataFrame, stateful apply, RocksDB state and its changelog topic."""

from benchmarks.peers.rule import apply_to_document
from benchmarks.peers.task import FIRST, Task, Tell, collect_rarely
from quixstreams import Application, State


def main() -> None:
    task, first = Task.read(), Tell(FIRST)
    collect_rarely()
    app = Application(
        broker_address=task.servers,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=task.commit_seconds,
        state_dir=task.directory / "state",
        loglevel="WARNING",
        producer_extra_config={"linger.ms": 0 if task.low_latency else 5},
        consumer_poll_timeout=0.01 if task.low_latency else 1.0,
    )

    def advance(value: bytes, state: State) -> list[bytes]:
        first()
        document, completion = apply_to_document(state.get_bytes("job"), value)
        if document is not None:
            state.set_bytes("job", document)
        return [completion] if completion else []

    events = app.topic(task.input, key_deserializer="str", value_deserializer="bytes")
    completions = app.topic(task.output, key_serializer="str", value_serializer="bytes")
    app.dataframe(events).apply(advance, stateful=True, expand=True).to_topic(completions)
    app.run()


if __name__ == "__main__":
    main()
