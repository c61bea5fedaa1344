"""`rendercast demo`: a Kafka, an upstream with its faults on, five processes, forty jobs, and an audit."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
from rich.console import Console
from rich.live import Live

from connectors.chats import database
from rendercast import logs
from rendercast import topics as admin
from rendercast.broker.local import free_port
from rendercast.broker.obtain import kafka as obtain_kafka
from rendercast.demo import outcome
from rendercast.demo.audit import Summary, audit
from rendercast.demo.board import Board
from rendercast.demo.plan import PlannedJob, forty_jobs, number_of_jobs
from rendercast.demo.upstream import Caller, Tracked, expected, reports
from rendercast.settings import kafka_variables, load, reached
from rendercast.simulator.settings import ALL_FAULTS
from rendercast.supervisor import Supervisor
from schemas import utcnow
from schemas.environment import PREFIX
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings, TopicSettings

READY_SECONDS = 60
JOBS_SECONDS = 100
SINKS_SECONDS = 20
BETWEEN_TRACKS = 0.1

Tell = Callable[[str], None]

# The upstream's minutes, in seconds: its pings, its proxy's patience, and ours.
CONNECTOR = {
    "connector__first_byte_seconds": 4, "connector__bytes_seconds": 7, "connector__events_seconds": 10,
    "connector__job_seconds": 10, "connector__poll_after_seconds": 3, "connector__poll_steps_seconds": "[1,2,5]",
    "connector__stable_seconds": 10, "connector__backoff_cap_seconds": 4, "connector__not_found_seconds": 15,
    "connector__last_look_seconds": 8,
}  # fmt: skip
SIMULATOR = {
    "simulator__ping_seconds": 3, "simulator__image_seconds": 9, "simulator__video_seconds": 18,
    "simulator__timeout_524_seconds": 5, "simulator__faults": ALL_FAULTS.model_dump_json(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything of this run is."""

    directory: Path
    kafka: KafkaSettings
    topics: TopicSettings
    simulator_port: int
    gateway_port: int
    seed: int

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def simulator(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"

    @property
    def chats(self) -> Path:
        return self.directory / "chats.db"

    @property
    def local_chats(self) -> Path:
        return self.directory / "tool-chats.db"

    @property
    def objects(self) -> Path:
        return self.directory / "objects"


def run(*, as_json: bool, keep: bool, seed: int | None = None) -> int:
    """The exit status: 0 when every promise was kept, 1 when not, 130 after Ctrl-C."""
    console = Console(stderr=as_json)
    logs.set_up("demo", "error")
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal is a Ctrl-C, too
        signal.signal(number, signal.default_int_handler)
    try:
        with _directory() as directory:
            seed = random.randrange(1_000_000) if seed is None else seed  # noqa: S311 - which faults, no secret
            return _in(directory, console, seed, as_json=as_json, keep=keep)
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running")
        return 130


def _in(directory: Path, console: Console, seed: int, *, as_json: bool, keep: bool) -> int:
    named = os.environ.get(f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS")
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(obtain_kafka(named, directory / "kafka", console.print))
        site = Site(
            directory,
            reached(servers),
            _topics(on_named_broker=bool(named)),
            free_port(),
            free_port(),
            seed,
        )
        if named and not _has_prefix():
            stack.callback(lambda: asyncio.run(admin.delete(site.kafka, site.topics)))
        supervisor = stack.enter_context(Supervisor(directory, _shared(site)))
        summary = asyncio.run(_run(site, supervisor, console, keep=keep))
        if summary.problems:
            kept = Path(tempfile.mkdtemp(prefix="rendercast-demo-logs-"))
            for log in directory.glob("*.log"):
                shutil.copy(log, kept)
            console.print(f"logs: {kept}")
    if as_json:
        sys.stdout.write(orjson.dumps(summary.as_dict()).decode() + "\n")
    return 1 if summary.problems else 0


def _has_prefix() -> bool:
    return f"{PREFIX}TOPICS__PREFIX" in os.environ


def _topics(*, on_named_broker: bool) -> TopicSettings:
    """The topics that are named; else the default ones on a broker of our own, and new ones on somebody's."""
    if _has_prefix():
        return load().topics
    prefix = f"demo-{uuid4().hex[:8]}." if on_named_broker else "render."
    return TopicSettings(prefix=prefix, partitions=4)


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="rendercast-demo-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _shared(site: Site) -> dict[str, str]:
    return {
        **kafka_variables(site.kafka),
        f"{PREFIX}TOPICS__PREFIX": site.topics.prefix,
        f"{PREFIX}TOPICS__PARTITIONS": str(site.topics.partitions),
    }


async def _run(site: Site, supervisor: Supervisor, console: Console, *, keep: bool) -> Summary:
    started = time.monotonic()
    await admin.apply(site.kafka, site.topics)
    for path in (site.chats, site.local_chats):
        await database.upgrade(f"sqlite:///{path}")
    _start_all(site, supervisor)
    await _until_ready(supervisor, console.print)
    console.print(f"ready after {time.monotonic() - started:.1f} s; faults drawn from --seed {site.seed}")
    console.print(f"topics {site.topics.prefix}* on {site.kafka.bootstrap_servers}; the gateway: {site.gateway}")
    plan = forty_jobs()
    board = Board(console, number_of_jobs(plan), since=utcnow())
    caller = Caller(site.simulator, site.gateway)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(caller.close)
        await stack.enter_async_context(_task(outcome.follow_jobs(site.kafka, site.topics.names, board.show)))
        await stack.enter_async_context(_task(_keep_alive(supervisor)))
        with Live(board, console=console, refresh_per_second=8, transient=False) if console.is_terminal else _silent():
            begun = time.monotonic()
            tracked = await _track(caller, board, plan)
            await _until(lambda: board.ended >= number_of_jobs(plan), JOBS_SECONDS)
        summary = await _audit(site, caller, tracked)
        summary.seconds = round(time.monotonic() - begun, 1)
        summary.restarts = {each.name: each.restarts for each in supervisor.children.values() if each.restarts}
        _report(summary, console)
        if keep:
            console.print(f"left running; the gateway: {site.gateway} (Ctrl-C ends it)")
            with contextlib.suppress(asyncio.CancelledError):  # that is the Ctrl-C
                await asyncio.Event().wait()
    return summary


def _start_all(site: Site, supervisor: Supervisor) -> None:
    supervisor.start(
        "simulator", "simulator", simulator__port=site.simulator_port, simulator__seed=site.seed, **SIMULATOR
    )
    supervisor.start(
        "connector", "connector",
        connector__base_url=site.simulator, connector__token="simulator-token", **CONNECTOR,  # noqa: S106
    )  # fmt: skip
    supervisor.start(
        "processor", "processor",
        processor__session_timeout=6, processor__data_directory=site.directory / "faust",
    )  # fmt: skip
    supervisor.start(
        "sink-chats", "sink", "chats",
        chats__url=f"sqlite:///{site.chats}", chats__local_url=f"sqlite:///{site.local_chats}",
    )  # fmt: skip
    supervisor.start(
        "sink-storage", "sink", "storage",
        storage__store_url=f"file://{site.objects}", storage__allow_http="true",
        storage__allow_private_hosts=f'["127.0.0.1:{site.simulator_port}"]',
    )  # fmt: skip
    supervisor.start(
        "gateway", "gateway",
        gateway__port=site.gateway_port, gateway__auth="off", chats__url=f"sqlite:///{site.chats}",
        connector__base_url=site.simulator, connector__token="simulator-token",  # noqa: S106
    )  # fmt: skip


async def _until_ready(supervisor: Supervisor, tell: Tell) -> None:
    async with httpx.AsyncClient(timeout=2) as http:
        waiting = {each.name: "not started" for each in supervisor.children.values()}
        give_up = time.monotonic() + READY_SECONDS
        while waiting:
            for child in [each for each in supervisor.children.values() if each.name in waiting]:
                if child.process is not None and child.process.poll() is not None:
                    raise StopProcess(f"{child.name} ended at start: {child.tail()}")
                with contextlib.suppress(httpx.TransportError):
                    answer = await http.get(f"http://127.0.0.1:{child.monitoring}/readyz")
                    waiting[child.name] = answer.text
                    if answer.is_success:
                        del waiting[child.name]
                        tell(f"  {child.name} is ready")
            if time.monotonic() > give_up:
                raise StopProcess(f"not ready within {READY_SECONDS} s: {waiting}")
            await asyncio.sleep(0.1)


async def _track(caller: Caller, board: Board, plan: list[PlannedJob]) -> list[Tracked]:
    tracked = []
    for number, each in enumerate(plan, 1):
        tracked.append(await caller.begin(each, f"demo-{number}"))
        await asyncio.sleep(BETWEEN_TRACKS)
    for first in [each for each in tracked if each.plan.again]:
        await _until(partial(board.has_ended, first.file_id, first.generation), JOBS_SECONDS)
        tracked.append(await caller.again(first, f"{first.generation}-again"))
    return tracked


async def _audit(site: Site, caller: Caller, tracked: list[Tracked]) -> Summary:
    """Checked again until all is well or the sinks have had their time."""
    give_up = time.monotonic() + SINKS_SECONDS
    while True:
        record = await caller.record()
        summary = audit(
            expected(record, tracked),
            await outcome.completions(site.kafka, site.topics.names),
            await outcome.artifacts(site.chats, site.local_chats),
            await outcome.stored(site.kafka, site.topics.names),
        )
        summary.upstream_reports = reports(record)
        if not summary.problems or time.monotonic() > give_up:
            return summary
        await asyncio.sleep(0.5)


def _report(summary: Summary, console: Console) -> None:
    console.print(
        f"\n{summary.jobs} jobs in {summary.seconds} s: {summary.completed} completed, {summary.failed} failed, "
        f"{summary.timed_out} timed out\n"
        f"upstream said “done” {summary.upstream_reports} times; announced {summary.announced}, "
        f"lost {summary.lost}, twice {summary.announced_twice}\n"
        f"artifacts in chats {summary.artifacts}, objects stored with the right bytes {summary.stored}"
    )
    if summary.restarts:
        console.print(f"started again: {', '.join(f'{name} ({times})' for name, times in summary.restarts.items())}")
    for problem in summary.problems:
        console.print(f"[red]✗[/red] {problem}")
    if not summary.problems:
        console.print("[green]✓[/green] every outcome was announced once; all of it is where it belongs")


@contextlib.asynccontextmanager
async def _task(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_alive(supervisor: Supervisor) -> None:
    while True:
        supervisor.revive()
        await asyncio.sleep(0.3)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Until the condition holds, or the time is over: the audit says what is missing."""
    give_up = time.monotonic() + seconds
    while not condition() and time.monotonic() < give_up:  # noqa: ASYNC110 - the condition is on other processes
        await asyncio.sleep(0.1)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    yield
