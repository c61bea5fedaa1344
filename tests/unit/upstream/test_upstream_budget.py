"""Whose turn it is to ask the upstream, and when it is anybody's."""

import asyncio
from contextlib import suppress
from unittest.mock import Mock, call

import pytest
from unit.upstream.fake_upstream import until

from connectors.upstream import budget as room
from connectors.upstream.budget import Budget, Line, Rank
from connectors.upstream.errors import NotFound, TooMany, Trouble, Unauthorized
from connectors.upstream.settings import ConnectorSettings

ROUTINE = Rank.ROUTINE


class World:
    """A budget, and requests that wait for their turns. `passed` is the order in which they got in."""

    def __init__(self, **changes) -> None:
        rates = {"requests_per_second": 10_000, "connects_per_second": 10_000, "burst": 100, "breaker_seconds": 0.05}
        self.budget = Budget(ConnectorSettings(**{**rates, **changes}))
        self.passed: list[str] = []
        self.ends: dict[str, asyncio.Future[None]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def join(self, name: str, rank: Rank = ROUTINE, deadline: float = 0, line: Line | None = None):
        """A request that ends when `end` says so."""
        turn = (line or self.budget.looks).turn(rank, deadline)
        self.ends[name] = asyncio.get_running_loop().create_future()

        async def wait() -> None:
            async with turn:
                self.passed.append(name)
                await self.ends[name]

        self.tasks[name] = asyncio.create_task(wait())
        return turn

    async def end(self, name: str, error: Exception | None = None) -> None:
        if error is None:
            self.ends[name].set_result(None)
        else:
            self.ends[name].set_exception(error)
        with suppress(Trouble):
            await self.tasks[name]

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.wait([self.tasks[name]])

    async def all_in(self, count: int) -> list[str]:
        return await until(lambda: len(self.passed) >= count and self.passed)

    async def settle(self) -> None:
        """All that can happen without time passing has happened."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def fail(self, times: int, error: Exception) -> None:
        for number in range(times):
            self.join(f"fails {number}")
            await self.all_in(len(self.passed) + 1)
            await self.end(f"fails {number}", error)
        self.passed.clear()


@pytest.fixture
async def world():
    return World(looks_at_once=1)


async def test_what_is_at_stake_goes_before_the_nearest_deadline_and_that_before_the_rest(world):
    world.join("holds the place")
    await world.settle()
    world.join("late poll", ROUTINE, 9)
    world.join("near poll", ROUTINE, 1)
    world.join("gap", Rank.GAP, 99)
    world.join("deadline", Rank.DEADLINE, 99)
    world.join("asked", Rank.ASKED, 99)
    await world.settle()
    for name in ("holds the place", "asked", "deadline", "gap", "near poll", "late poll"):
        await world.end(name)
    assert world.passed == ["holds the place", "asked", "deadline", "gap", "near poll", "late poll"]


async def test_who_is_hurried_overtakes_the_line(world):
    world.join("holds the place")
    await world.settle()
    world.join("gap", Rank.GAP)
    turn = world.join("hurried", ROUTINE, 9)
    await world.settle()
    turn.hurry()
    for name in ("holds the place", "hurried", "gap"):
        await world.end(name)
    assert world.passed == ["holds the place", "hurried", "gap"]


async def test_only_so_many_are_under_way_and_streams_have_a_number_of_their_own():
    world = World(looks_at_once=2, connects_at_once=1)
    for number in range(4):
        world.join(f"look {number}", deadline=number)
        world.join(f"stream {number}", Rank.GAP, number, world.budget.connects)
    await world.settle()
    assert sorted(world.passed) == ["look 0", "look 1", "stream 0"]
    await world.end("stream 0")
    await world.end("look 1")
    assert sorted(world.passed[3:]) == ["look 2", "stream 1"]


async def test_all_share_one_bucket(monkeypatch):
    world = World(requests_per_second=1, burst=3)
    monkeypatch.setattr(world.budget, "_clock", lambda: 100.0)
    for line in (world.budget.looks, world.budget.connects, world.budget.calls):
        for number in range(2):
            world.join(f"{id(line)} {number}", Rank.GAP, line=line)
    await world.settle()
    assert len(world.passed) == 3


async def test_streams_are_opened_at_a_pace_of_their_own(monkeypatch):
    now = [100.0]
    world = World(connects_per_second=10)
    monkeypatch.setattr(world.budget, "_clock", lambda: now[0])
    for number in range(3):
        world.join(f"stream {number}", Rank.GAP, number, world.budget.connects)
    world.join("look")
    await world.settle()
    assert sorted(world.passed) == ["look", "stream 0"]
    for step in (1, 2):
        now[0] = 100.0 + 0.1 * step - 0.01
        world.budget.let_in()
        await world.settle()
        assert f"stream {step}" not in world.passed
        now[0] = 100.0 + 0.1 * step + 0.001
        world.budget.let_in()
        await world.settle()
        assert f"stream {step}" in world.passed


async def test_who_waits_for_a_pace_is_let_in_when_it_is_time():
    world = World(connects_per_second=50)
    for number in range(5):
        world.join(str(number), Rank.GAP, number, world.budget.connects)
    assert await world.all_in(5) == ["0", "1", "2", "3", "4"]


async def test_who_leaves_the_line_keeps_nobody_waiting(world):
    world.join("holds the place")
    world.join("gone", deadline=1)
    world.join("patient", deadline=2)
    await world.settle()
    await world.cancel("gone")
    await world.end("holds the place")
    assert world.passed == ["holds the place", "patient"]


async def test_who_is_cancelled_with_the_turn_just_given_gives_it_back(world):
    turn = world.budget.looks.turn(ROUTINE, 0)
    await turn.__aenter__()
    world.join("cancelled", deadline=1)
    world.join("next", deadline=2)
    await world.settle()
    await turn.__aexit__(None, None, None)
    await world.cancel("cancelled")  # its turn has come, but it does not know yet
    await world.settle()
    assert world.passed == ["next"]


async def test_a_429_shuts_the_whole_host_for_as_long_as_it_says():
    world = World()
    await world.fail(1, TooMany("status_429", "slowly", after=0.2))
    shut_until = world.budget.shut_until
    for line in (world.budget.looks, world.budget.connects, world.budget.calls):
        world.join(f"{id(line)}", Rank.ASKED, line=line)
    await world.settle()
    assert world.passed == []
    await world.all_in(3)
    assert asyncio.get_running_loop().time() >= shut_until


async def test_so_many_failures_in_a_row_open_the_breaker_and_one_probe_closes_it():
    world = World(breaker_failures=3)
    await world.fail(3, Trouble("status_500", "no"))
    world.join("stream", Rank.GAP, line=world.budget.connects)
    world.join("other")
    world.join("probe", Rank.DEADLINE)
    await world.settle()
    assert world.passed == [], "it is open"
    await world.all_in(1)
    await world.settle()
    assert world.passed == ["probe"], "it is half open: one at a time, the most urgent that is no stream"
    await world.end("probe")
    await world.settle()
    assert sorted(world.passed) == ["other", "probe", "stream"]


async def test_a_probe_that_fails_opens_the_breaker_again_and_one_called_off_makes_room():
    world = World(breaker_failures=1)
    await world.fail(1, Trouble("unreachable", "no"))
    world.join("fails")
    await world.all_in(1)
    await world.end("fails", Trouble("unreachable", "no"))
    world.join("called off")
    await world.settle()
    assert world.passed == ["fails"]
    await world.all_in(2)
    world.join("works", deadline=1)
    await world.settle()
    assert world.passed == ["fails", "called off"]
    await world.cancel("called off")
    await world.all_in(3)


async def test_probes_are_a_look_and_a_stream_by_turns():
    """Either may fail while the other would work: a broken endpoint does not keep the other away."""
    world = World(breaker_failures=1)
    await world.fail(1, Trouble("status_500", "no", status=500))
    for number in range(2):
        world.join(f"look {number}", Rank.ASKED)
        world.join(f"stream {number}", Rank.GAP, line=world.budget.connects)
    for name in ("look 0", "stream 0", "look 1"):
        await world.all_in(1)
        assert world.passed == [name]
        world.passed.clear()
        await world.end(name, Trouble("status_500", "no", status=500))
    await world.all_in(1)
    await world.end("stream 1")
    assert not world.budget.is_open


@pytest.mark.parametrize("status", [302, 410, 422])
async def test_an_answer_that_is_of_no_use_is_an_answer_all_the_same(status):
    world = World(breaker_failures=1)
    await world.fail(3, Trouble(f"status_{status}", "no", status=status))
    assert not world.budget.is_open


async def test_answers_between_failures_keep_the_breaker_closed():
    world = World(breaker_failures=3)
    for _ in range(3):
        await world.fail(2, Trouble("status_502", "no"))
        await world.fail(1, NotFound("status_404", "no"))
    world.join("passes")
    await world.settle()
    assert world.passed == ["passes"]


@pytest.mark.parametrize("cause", ["silent", "reset", "status_524", "status_503", "not_a_stream"])
async def test_what_befalls_streams_alone_does_not_keep_looks_away(cause):
    world = World(breaker_failures=2)
    for number in range(5):
        world.join(str(number), Rank.GAP, line=world.budget.connects)
        await world.all_in(number + 1)
        await world.end(str(number), Trouble(cause, "no"))
    world.join("look")
    await world.settle()
    assert world.passed[-1] == "look"


async def test_a_refused_token_stops_all_but_one_probe_until_it_is_accepted():
    world = World(refused_seconds=0.1)
    await world.fail(1, Unauthorized("status_403", "refused (403)", status=403))
    assert world.budget.refusal == "refused (403)"
    world.join("another file")
    await world.settle()
    assert world.passed == ["another file"], "a 403 may be about one file only"
    await world.end("another file", Unauthorized("status_401", "refused (401)", status=401))
    assert world.budget.refusal == "refused (401)"
    for number in range(3):
        world.join(str(number), deadline=number)
    await world.settle()
    assert world.passed == ["another file"]
    await world.all_in(2)
    await world.settle()
    assert world.passed == ["another file", "0"]
    await world.end("0")
    await world.settle()
    assert world.budget.refusal is None
    assert world.passed == ["another file", "0", "1", "2"]


async def test_a_refused_token_is_told_once_a_minute(monkeypatch):
    world, log = World(refused_seconds=1), Mock()
    monkeypatch.setattr(room, "log", log)
    now = [100.0]
    monkeypatch.setattr(world.budget, "_clock", lambda: now[0])
    for _ in range(20):
        now[0] += 10
        await world.fail(1, Unauthorized("status_401", "refused (401)", status=401))
    assert log.error.call_args_list == [call("upstream refuses the token", status=401)] * 4
