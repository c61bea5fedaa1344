"""`rendercast verify`: a broker, topics of its own, a trial, a report; and nothing is left behind."""

import asyncio
import contextlib
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import orjson
from rich.console import Console

from rendercast import logs
from rendercast import topics as admin
from rendercast.broker.local import LocalBroker, can_run
from rendercast.broker.obtain import kafka as obtain_kafka
from rendercast.settings import kafka_variables, load, reached
from rendercast.supervisor import Supervisor
from rendercast.verify import evidence
from rendercast.verify.faults import Fault
from rendercast.verify.report import Report, show
from rendercast.verify.trial import Order, Site, Trial
from rendercast.verify.workers import Workers
from schemas.environment import PREFIX
from schemas.errors import StopProcess
from schemas.settings import TopicSettings

KEPT, BROKEN, NOT_RUN, INTERRUPTED = 0, 1, 3, 130
"""Exit statuses; 2 is click's for wrong options."""

SERVERS = f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS"
OWN_SESSION_SECONDS, NAMED_SESSION_SECONDS = 1.0, 6.0
"""What our own broker allows, and the least that brokers allow by default."""

START_SECONDS = 60
"""For a worker to find its broker."""


def run(
    *, jobs: int, workers: int, partitions: int, seconds: float, faults: Sequence[Fault], seed: int | None,
    session: float | None, patience: float, keep: bool, as_json: bool,
) -> int:  # fmt: skip
    """The exit status: every promise kept, one broken, could not be run, or Ctrl-C."""
    console = Console(stderr=as_json)
    logs.set_up("verify", "error")
    logging.disable(logging.ERROR)  # clients say much about a broker that is away, which is no news here
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal is a Ctrl-C, too
        signal.signal(number, signal.default_int_handler)
    order = Order(
        jobs, workers, partitions, seconds, faults,
        random.randrange(1_000_000) if seed is None else seed,  # noqa: S311 - what happens, no secret
        session or (NAMED_SESSION_SECONDS if SERVERS in os.environ else OWN_SESSION_SECONDS),
        patience,
    )  # fmt: skip
    try:
        with _directory() as directory, _site(order, directory / "kafka", console, keep=keep) as site:
            report = _try(order, site, directory, console)
    except StopProcess as error:
        console.print(f"rendercast: {error}", markup=False, highlight=False)
        return NOT_RUN
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running")
        return INTERRUPTED
    show(report, console)
    if as_json:
        sys.stdout.write(orjson.dumps(report.as_json()).decode() + "\n")
    return KEPT if report.is_kept else BROKEN


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="rendercast-verify-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _site(order: Order, directory: Path, console: Console, *, keep: bool) -> Iterator[Site]:
    """Topics of this run's own, on the broker that is named or on one of our own; deleted at the end."""
    with _broker(order, directory, console) as (servers, broker):
        kafka = reached(servers)
        topics = TopicSettings(
            prefix=f"verify-{uuid4().hex[:8]}.", partitions=order.partitions, replication=load().topics.replication
        )
        try:
            asyncio.run(admin.apply(kafka, topics))
            yield Site(kafka, topics, broker)
        finally:
            if keep:
                console.print(f"kept: the topics {topics.prefix}* on {servers}")
            else:
                with contextlib.suppress(StopProcess):  # the broker is gone, and has taken them along
                    asyncio.run(admin.delete(kafka, topics))


@contextlib.contextmanager
def _broker(order: Order, directory: Path, console: Console) -> Iterator[tuple[str, LocalBroker | None]]:
    """Its address, and the broker itself where it can be killed."""
    named = load().kafka.bootstrap_servers if SERVERS in os.environ else None
    if "broker" not in order.faults:
        with obtain_kafka(named, directory, console.print) as servers:
            yield servers, None
    elif named:
        raise StopProcess(
            f"the fault broker kills a broker of our own, and {SERVERS} names {named}: "
            "unset it, or leave broker out of --faults"
        )
    elif not can_run():
        raise StopProcess("the fault broker needs a broker from Apache Kafka's jars: install Java 17 and Maven")
    else:
        with LocalBroker(directory) as broker:
            yield broker.bootstrap_servers, broker


def _try(order: Order, site: Site, directory: Path, console: Console) -> Report:
    shared = {
        **kafka_variables(site.kafka),
        f"{PREFIX}KAFKA__START_TIMEOUT_SECONDS": str(START_SECONDS),
        f"{PREFIX}TOPICS__PREFIX": site.topics.prefix,
        f"{PREFIX}TOPICS__PARTITIONS": str(site.topics.partitions),
        f"{PREFIX}TOPICS__REPLICATION": str(site.topics.replication),
    }
    # Small steps and short times: more moments at which something can go wrong.
    settings = {
        "processor__session_timeout": order.session,
        "processor__heartbeat_interval": round(order.session / 4, 3),
        "processor__commit_interval": 0.2,
        "processor__engine": '{"step_records": 50, "max_poll_records": 50}',
        "monitoring__port": 0,
    }
    with Supervisor(directory, shared) as supervisor:
        workers = Workers(supervisor, settings)
        report = asyncio.run(Trial(order, site, workers, console.print).run())
        if not report.is_kept:
            _keep(report, site, directory)
    return report


def _keep(report: Report, site: Site, directory: Path) -> None:
    """Logs, and what the topics have of the files concerned."""
    kept = Path(tempfile.mkdtemp(prefix="rendercast-verify-evidence-"))
    for log in directory.rglob("*.log"):
        shutil.copy(log, kept)
    asyncio.run(evidence.keep(site.kafka, site.topics, report.files, kept / "records.jsonl"))
    report.evidence = str(kept)
    (kept / "report.json").write_bytes(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
