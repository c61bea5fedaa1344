"""Bytewax: Kafka source and sink, stateful_flat_map, its SQLite recovery store. It has no exactly-once.

The state is the document's bytes: Bytewax pickles it at each epoch, and pickling decoded jobs cost half as much again.
"""

from datetime import timedelta

import bytewax.operators as op
from benchmarks.peers.rule import apply_to_document
from benchmarks.peers.task import DRAINED, FIRST, Task, Tell, collect_rarely, wait_for_the_end
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main


def main() -> None:
    task, first = Task.read(), Tell(FIRST)
    collect_rarely()

    def advance(document: bytes | None, value: bytes) -> tuple[bytes | None, list[bytes]]:
        first()
        after, completion = apply_to_document(document, value)
        return after or document, [completion] if completion else []

    flow = Dataflow("peer")
    source = kafka.input("in", flow, brokers=[task.servers], topics=[task.input], tail=False, batch_size=1_000)
    keyed = op.map("key", source.oks, lambda message: (message.key.decode(), message.value))
    told = op.stateful_flat_map("advance", keyed, advance)
    messages = op.map("message", told, lambda pair: KafkaSinkMessage(pair[0].encode(), pair[1]))
    kafka.output(
        "out", messages, brokers=[task.servers], topic=task.output,
        add_config={"enable.idempotence": "true", "linger.ms": "5"},
    )  # fmt: skip
    store = task.directory / "recovery"
    store.mkdir(parents=True)
    init_db_dir(store, 1)
    cli_main(
        flow, workers_per_process=1, epoch_interval=timedelta(seconds=task.commit_seconds),
        recovery_config=RecoveryConfig(store),
    )  # fmt: skip
    Tell(DRAINED)()  # it commits to no consumer group: it ends at the topic's end instead
    wait_for_the_end()


if __name__ == "__main__":
    main()
