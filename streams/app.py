"""The Faust app. `faust -A streams.app worker` and `rendercast processor` run the same one.

The latter also looks at the topics before it starts, and answers `/readyz` and `/metrics`.

commands, upstream ──► agent ──► lane of the partition ──► advance() ──► one transaction ──► all topics downstream
"""

import atexit
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import faust
from faust.auth import Credentials, OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types import StreamT
from pydantic_settings import SettingsConfigDict

from brokers import arguments
from schemas import utcnow
from schemas.environment import Environment
from schemas.settings import KafkaSettings, TopicSettings
from streams import metrics, spans
from streams.exactly_once import BulkTables, Engine, HeldPartition, LaneTable, Ledger, RawRecord, Sensor, install
from streams.exactly_once import metrics as engine_metrics
from streams.forgetting import Forgetting
from streams.settings import ProcessorSettings
from streams.step import Effects, Stepper
from tracing import OFF, Tracing, TracingSettings, now, started


def create_app(
    kafka: KafkaSettings, topics: TopicSettings, settings: ProcessorSettings, tracing: Tracing = OFF
) -> faust.App:
    """The processor as a Faust app with the table `jobs`; `app.transport.lanes` tells whether it is ready."""
    names = topics.names
    settings.data_directory.mkdir(parents=True, exist_ok=True)  # Faust makes no parents
    app = faust.App(
        settings.group or f"{topics.prefix}processor",
        broker=[f"kafka://{server}" for server in kafka.servers],
        broker_credentials=credentials(arguments(kafka)),
        datadir=settings.data_directory,
        store="memory://",
        TableManager=BulkTables,
        Monitor=Sensor,
        Table=LaneTable,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=topics.partitions,
        table_standby_replicas=0,
        stream_wait_empty=False,
        consumer_group_instance_id=settings.instance_id,
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=settings.heartbeat_interval,
        broker_commit_interval=settings.commit_interval,
        broker_max_poll_records=settings.engine.max_poll_records,
    )
    raw: dict[str, Any] = {
        "key_type": bytes, "key_serializer": "raw", "value_type": bytes, "value_serializer": "raw",
    }  # fmt: skip
    app.Table(
        "jobs", key_type=bytes, value_type=bytes, partitions=topics.partitions,
        changelog_topic=app.topic(names.jobs, compacting=True, partitions=topics.partitions, **raw),
    )  # fmt: skip
    stepper = Stepper(names, tracing.headers)

    async def step(held: HeldPartition, records: list[RawRecord]) -> None:
        began = now() if tracing.is_on else None
        effects = stepper(held.rows, records)
        await carry_out(held, effects)
        if began is not None:
            spans.tell(tracing, names, records, effects, began)
        engine_metrics.STEP_RECORDS.observe(len(records))

    async def forget(held: HeldPartition, keys: list[bytes], before: datetime) -> None:
        await carry_out(held, stepper.forget(held.rows, keys, before))

    engine = Engine(
        sources={names.commands: "commands", names.upstream: "upstream"},
        changelog=names.jobs, positions=names.positions,
        step=step, chore=lambda: Forgetting(settings.retention, forget),
        ends=Ledger(settings.data_directory),
    )  # fmt: skip
    lanes = install(app, kafka, engine, settings.engine)

    @app.agent(app.topic(names.commands, names.upstream, **raw))
    async def route(stream: StreamT[bytes]) -> None:
        async for event in stream.noack().events():  # the lane acks, after its transaction
            lanes.put(event)

    return app


async def carry_out(held: HeldPartition, effects: Effects) -> None:
    """All of it in one transaction; then, and only then, in memory and in the counters."""
    if effects.out:
        started = time.perf_counter()
        await held.transact(effects.out)
        engine_metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - started)
    effects.write_to(held.rows)
    count(effects)


def count(effects: Effects) -> None:
    """Tell Prometheus what a step has done that has just committed."""
    for (source, verdict), times in effects.verdicts.items():
        metrics.events(source, verdict).inc(times)
    for reason, times in effects.dead_letters.items():
        metrics.DEAD_LETTERS.labels(reason).inc(times)
    metrics.REPLAYS.inc(effects.replays)
    if not effects.completions:
        return
    now = utcnow()
    for each in effects.completions:
        source = each.won_by or "none"
        metrics.outcomes(each.outcome, source, "true" if each.late else "false").inc()
        metrics.jobs(each.outcome).observe((each.finished_at - each.tracked_at).total_seconds())
        metrics.announced(source).observe(max(0.0, (now - each.finished_at).total_seconds()))


def credentials(reach: Mapping[str, Any]) -> Credentials | None:
    """What a client of aiokafka is given, as Faust wants to be told it."""
    context = reach.get("ssl_context")
    match reach.get("sasl_mechanism"):
        case None:
            return None if context is None else SSLCredentials(context)
        case "OAUTHBEARER":
            return OAuthCredentials(oauth_cb=reach["sasl_oauth_token_provider"], ssl_context=context)
        case mechanism:
            return SASLCredentials(
                username=reach["sasl_plain_username"], password=reach["sasl_plain_password"],
                mechanism=mechanism, ssl_context=context,
            )  # fmt: skip


class _Environment(Environment):
    """The part of `RENDERCAST_…` that the processor reads when Faust's own command starts it."""

    model_config = SettingsConfigDict(extra="ignore")

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    processor: ProcessorSettings = ProcessorSettings()
    tracing: TracingSettings = TracingSettings()


def __getattr__(name: str) -> Any:
    """`streams.app.app`, made when it is asked for: importing this module does nothing."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = _Environment()
    ending = ExitStack()
    atexit.register(ending.close)
    tracing = ending.enter_context(started(found.tracing, "processor"))
    globals()[name] = create_app(found.kafka, found.topics, found.processor, tracing)
    return globals()[name]
