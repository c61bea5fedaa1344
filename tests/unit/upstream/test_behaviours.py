"""The connector's behaviours, row by row of the table in `ARCHITECTURE.md`, with default settings on the simulator.

Sockets are real; the clock of the loop, and with it of the policy, runs twenty times as fast. A test says in seconds of
that clock what it expects, and leaves room for a machine that is slow.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps
from inspect import signature
from itertools import pairwise
from typing import Any

import httpx
import pytest
from unit.upstream.fake_upstream import Letters
from unit.upstream.fast_loop import SPEED, run_fast

from connectors.upstream import metrics
from connectors.upstream.budget import Budget
from connectors.upstream.client import UpstreamClient
from connectors.upstream.fleet import Fleet
from connectors.upstream.settings import ConnectorSettings
from connectors.upstream.shared import Shared
from rendercast.simulator.server import Simulator
from rendercast.simulator.settings import SimulatorSettings
from schemas import Expired, Failure, Gap, Progress, Result, Snapshot, TaskChange, Watch, utcnow

PATIENCE = 20 * SPEED


def now() -> float:
    return asyncio.get_running_loop().time()


class World:
    """A simulator, a fleet that watches it, and what it tells."""

    def __init__(self, http: httpx.AsyncClient, fleet: Fleet, letters: Letters, budget: Budget) -> None:
        self.http, self.fleet, self.letters, self.budget = http, fleet, letters, budget

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):  # noqa: ASYNC110 - anything may change it
                await asyncio.sleep(0.1)
            return found

    async def record(self) -> dict[str, Any]:
        """What the simulator says it did."""
        return dict((await self.http.get("/__record")).json())

    async def until_record(self, condition: Callable[[dict[str, Any]], Any]) -> Any:
        """What the condition finds in the simulator's record."""
        async with asyncio.timeout(PATIENCE):
            while not (found := condition(await self.record())):  # noqa: ASYNC110 - the record cannot be waited for
                await asyncio.sleep(0.2)
            return found

    async def file(self, seconds: float = 3_000, **wanted: Any) -> str:
        """A file that is being made for so long."""
        answer = await self.http.post("/__script", json={"seconds": seconds, **wanted})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def break_(self, what: str, **more: Any) -> None:
        answer = await self.http.post("/__break", json={"what": what, **more})
        assert answer.status_code == 200, answer.text

    async def heal(self) -> None:
        await self.http.post("/__heal", json={})

    def watch(self, file_id: str, seconds: float = 3_000, **more: Any) -> Watch:
        at = utcnow()
        found = Watch(
            file_id=file_id, generation="one", kind="video", tracked_at=at, deadline_at=at + timedelta(seconds=seconds),
            **more,
        )  # fmt: skip
        self.fleet.put(found)
        return found

    async def live(self, file_id: str) -> None:
        """Returns when the stream is open and its look answered."""
        await self.until(lambda: self.seen(Snapshot, file_id))

    def seen(self, kind: type, file_id: str) -> list[Any]:
        return [each for each in self.letters.of(kind) if each.file_id == file_id]


def distances(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


class Times(list[float]):
    """When a watch's looks were answered, or its streams opened."""


def look_times(world: World, file_id: str) -> Times:
    """Filled while the test goes on."""
    found = Times()
    put = world.letters.put

    def note(observation: Any, partition: int | None = None) -> None:
        put(observation, partition)
        if isinstance(observation, Snapshot) and observation.file_id == file_id and observation.source != "sse":
            found.append(now())

    world.letters.put = note  # type: ignore[method-assign]
    return found


def value(metric: Any, *labels: str) -> float:
    return float(metric.labels(*labels)._value.get())


def behaviour(**changes: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """The test in a world whose connector has default settings, but for `changes`."""

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        @wraps(test)
        def run(**given: Any) -> None:
            async def in_world() -> None:
                async with started(**changes) as world:
                    await test(world, **given)

            run_fast(in_world())

        _, *others = signature(test).parameters.values()
        run.__signature__ = signature(test).replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate


@asynccontextmanager
async def started(**changes: Any) -> AsyncIterator[World]:
    letters = Letters()
    async with (
        Simulator(SimulatorSettings(hidden_seconds=10, ping_seconds=5)) as simulator,
        httpx.AsyncClient(base_url=simulator.url, timeout=PATIENCE) as http,
    ):
        settings = ConnectorSettings(base_url=simulator.url, token="simulator-token", **changes)
        budget = Budget(settings)
        async with UpstreamClient(settings, budget) as client, asyncio.TaskGroup() as tasks:
            fleet = Fleet(Shared(settings, client, budget, letters, lambda: 0.5, tasks))
            try:
                yield World(http, fleet, letters, budget)
            finally:
                fleet.close()


@behaviour(poll_after_seconds=3_000)
async def test_watch_appears__subscribe_first_then_one_get_as_soon_as_the_stream_is_live(world):
    file_id = await world.file()
    await world.break_("refuse", of="streams", status=502)
    world.watch(file_id)
    await asyncio.sleep(5)
    assert (await world.record())["files"][file_id]["gets"] == 0
    await world.heal()
    await world.live(file_id)
    file = (await world.record())["files"][file_id]
    assert (file["gets"], file["streams_open"]) == (1, 1)


@behaviour()
async def test_after_every_reconnect_one_get_closes_the_gap_and_the_gap_is_told(world):
    file_id = await world.file()
    world.watch(file_id)
    await world.live(file_id)
    for lost in range(1, 4):
        await world.break_("end_streams")
        await world.until(lambda lost=lost: len(world.seen(Gap, file_id)) == lost)
        await world.until(lambda lost=lost: len(world.seen(Snapshot, file_id)) == lost + 1)
    assert {each.cause for each in world.seen(Gap, file_id)} == {"ended"}
    assert all(each.since < each.until for each in world.seen(Gap, file_id))


@behaviour()
async def test_stream_not_live_after_10_s__poll_beside_it_1_2_5_10_s_until_it_is_live(world):
    file_id = await world.file()
    await world.break_("refuse", of="streams", status=524)
    looks, began = look_times(world, file_id), now()
    world.watch(file_id)
    await world.until(lambda: len(looks) >= 6)
    assert looks[0] - began >= 10
    assert looks[5] - began >= 10 + 0.8 * (1 + 2 + 5 + 10 + 10)
    await world.heal()
    await world.until_record(lambda record: record["files"][file_id]["streams_open"])
    await asyncio.sleep(2)
    polled = len(looks)
    await asyncio.sleep(40)
    assert len(looks) - polled <= 1


@behaviour()
async def test_bytes_but_no_events_for_60_s__still_live_one_get_then_one_each_minute(world):
    file_id = await world.file()
    looks = look_times(world, file_id)
    world.watch(file_id)
    await world.until(lambda: len(looks) >= 4)
    assert all(each > 50 for each in distances(looks))
    file = (await world.record())["files"][file_id]
    assert (file["stream_connects"], world.seen(Gap, file_id)) == (1, [])


@behaviour()
async def test_no_bytes_for_35_s__the_stream_is_dead_reconnect_and_poll_meanwhile(world):
    file_id = await world.file()
    looks = look_times(world, file_id)
    world.watch(file_id)
    await world.live(file_id)
    await world.break_("stall")
    stalled_at, looked = now(), len(looks)
    await world.until_record(lambda record: record["files"][file_id]["stream_connects"] >= 2)
    assert now() - stalled_at >= 30
    await world.until(lambda: len(looks) >= looked + 3)
    await world.heal()
    (gap,) = await world.until(lambda: world.seen(Gap, file_id))
    assert gap.cause == "silent"


@behaviour(project_streams="always")
async def test_job_clock__no_news_for_90_s_on_a_stream_with_events_one_get(world):
    project_id = str(uuid.uuid4())
    busy = await world.file(project_id=project_id, seconds=400)
    still = await world.file(project_id=project_id)
    job_looks = value(metrics.LOOKS, "job", "answered")
    for each in (busy, still):
        world.watch(each, project_id=project_id)
    looks = look_times(world, still)
    await world.until(lambda: len(looks) >= 1)
    await world.until(lambda: value(metrics.LOOKS, "job", "answered") > job_looks)
    assert looks[-1] - looks[0] >= 60
    assert world.seen(Gap, still) == []


@pytest.mark.parametrize("fault", ["stream_524", "stream_drop", "stream_reset", "stream_silent"])
@behaviour()
async def test_524_end_reset_or_silence__reconnect_with_backoff_without_flapping(world, fault):
    file_id = await world.file(seconds=90, faults={fault: 1, "result_lost": 1})
    began = now()
    world.watch(file_id)
    await world.until(lambda: [each for each in world.seen(Snapshot, file_id) if each.url])
    connects = (await world.record())["files"][file_id]["stream_connects"]
    assert connects >= 2
    assert now() - began >= sum(0.5 * min(30, 2**each) for each in range(connects - 1))


@behaviour()
async def test_429__retry_after_for_the_whole_host(world):
    one, other = await world.file(), await world.file()
    watches = [world.watch(each) for each in (one, other)]
    for each in (one, other):
        await world.live(each)
    await world.break_("rate_limit", of="calls", file_id=one, retry_after=30)
    world.fleet.put(watches[0].model_copy(update={"check": 1}))
    shut_until = await world.until(lambda: world.budget.shut_until > 0 and world.budget.shut_until)
    looks = look_times(world, other)
    world.fleet.put(watches[1].model_copy(update={"check": 1}))
    await world.until(lambda: looks)
    assert looks[0] >= shut_until


@behaviour()
async def test_404__not_visible_yet_for_30_s_and_then_not_found(world):
    hidden, nowhere = await world.file(faults={"not_found_at_first": 1}), str(uuid.uuid4())
    began = now()
    for each in (hidden, nowhere):
        world.watch(each)
    await world.live(hidden)
    assert world.seen(Failure, hidden) == []
    (failure,) = await world.until(lambda: world.seen(Failure, nowhere))
    assert now() - began >= 30
    assert failure.reason == "not_found"
    assert world.seen(Failure, hidden) == []


@behaviour(last_look_seconds=600)
async def test_401__stop_asking_tell_try_again_slowly_and_fail_no_job(world):
    await world.break_("refuse", status=401)
    files = [await world.file() for _ in range(20)]
    began = now()
    for each in files:
        world.watch(each, seconds=100)
    await world.until(lambda: world.budget.refusal)
    await asyncio.sleep(200)
    # Those that were under way, and probes: after 5, 10, 20, 40 s, and then each minute.
    assert (await world.record())["total"]["statuses"]["401"] <= 20 + 4 + (now() - began) / 60
    assert world.letters.observations == [], "also those past their deadline are not given up"
    await world.heal()
    for each in files:
        await world.until(lambda each=each: world.seen(Expired, each))
        assert world.seen(Snapshot, each)
    assert world.budget.refusal is None


@behaviour()
async def test_5xx_and_connection_errors__backoff_per_host_with_a_breaker(world):
    files = [await world.file() for _ in range(30)]
    for each in files:
        world.watch(each)
    for each in files:
        await world.live(each)
    await world.break_("refuse", status=500)
    await world.break_("end_streams")
    await world.until(lambda: world.budget.is_open)
    opened_at, before = now(), (await world.record())["total"]["statuses"]["500"]
    await asyncio.sleep(100)
    asked = (await world.record())["total"]["statuses"]["500"] - before
    assert asked <= 64 + (now() - opened_at) / 5 + 1, "those under way, and probes"
    await world.heal()
    for each in files:
        await world.until(lambda each=each: len(world.seen(Snapshot, each)) >= 2)


@behaviour()
async def test_check_counter_raised__one_get_now_ahead_of_the_queue(world):
    file_id = await world.file()
    watch = world.watch(file_id)
    await world.live(file_id)
    for check in range(1, 11):
        world.fleet.put(watch.model_copy(update={"check": check}))
    await world.until(lambda: len(world.seen(Snapshot, file_id)) == 2)
    await asyncio.sleep(10)
    assert [each.source for each in world.seen(Snapshot, file_id)] == ["poll", "check"]


@behaviour()
async def test_deadline__one_last_get_then_expiry(world):
    file_id = await world.file()
    world.watch(file_id, seconds=40)
    await world.until(lambda: world.seen(Expired, file_id))
    mine = [each.type for each in world.letters.observations if each.file_id == file_id]
    assert mine[-2:] == ["snapshot", "expired"]
    assert (await world.record())["files"][file_id]["gets"] == mine.count("snapshot")
    await world.until_record(lambda record: record["files"][file_id]["streams_open"] == 0)


@behaviour()
async def test_tombstone__stream_and_polls_end_at_once(world):
    polled, listened = await world.file(), await world.file()
    await world.break_("refuse", channel=f"file.{polled}", status=502)
    for each in (polled, listened):
        world.watch(each)
        await world.live(each)
    for each in (polled, listened):
        world.fleet.drop(each)
    await world.until_record(lambda record: record["streams"]["open"] == 0)
    before = (await world.record())["total"]["requests_by_kind"]
    await asyncio.sleep(60)
    assert (await world.record())["total"]["requests_by_kind"] == before


@behaviour()
async def test_kafka_down__reading_stops_and_then_one_get_per_watch_closes_the_gap(world):
    files = [await world.file(seconds=100) for _ in range(5)]
    for each in files:
        world.watch(each)
        await world.live(each)
    world.letters.full = True
    await world.until(lambda: world.letters.is_read_no_more)
    told = len(world.letters.observations)
    await asyncio.sleep(150)
    assert len(world.letters.observations) <= told + len(files), "one read of each that was under way"
    world.letters.full = False
    for each in files:
        await world.until(
            lambda each=each: [got for got in world.seen(Snapshot, each) if got.source == "poll" and got.url]
        )
        assert world.seen(Result, each) or world.seen(Snapshot, each)


@behaviour()
async def test_a_healthy_job_costs_one_stream_one_get_and_one_when_its_task_ends_before_the_url(world):
    file_id = await world.file(seconds=50)
    world.watch(file_id)
    await world.until(
        lambda: world.seen(Result, file_id) or [each for each in world.seen(Snapshot, file_id) if each.url]
    )
    file = (await world.record())["files"][file_id]
    assert (file["stream_connects"], file["gets"]) == (1, 2)
    assert world.seen(Progress, file_id)
    assert world.seen(TaskChange, file_id)
