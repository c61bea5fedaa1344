"""Whose turn it is to ask the upstream."""

import asyncio
from contextlib import suppress

from unit.upstream.fake_upstream import until

from connectors.upstream.budget import Budget, Gate
from connectors.upstream.errors import TooMany, Trouble, Unauthorized
from connectors.upstream.settings import ConnectorSettings


class Line:
    """Requests that wait at a gate, and the order in which they got in."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.passed: list[str] = []
        self.times: list[float] = []
        self.tasks: list[asyncio.Task[None]] = []

    def join(self, name: str, deadline: float, *, urgent: bool = False):
        turn = self.gate.turn(deadline, urgent=urgent)

        async def wait() -> None:
            async with turn:
                self.passed.append(name)
                self.times.append(asyncio.get_running_loop().time())

        self.tasks.append(asyncio.create_task(wait()))
        return turn

    async def empty(self) -> list[str]:
        await asyncio.wait_for(asyncio.gather(*self.tasks), 5)
        return self.passed


async def shut(gate: Gate, seconds: float) -> None:
    gate.shut_until(asyncio.get_running_loop().time() + seconds)


async def test_the_nearest_deadline_goes_first_and_the_urgent_before_all():
    line = Line(Gate(10_000))
    await shut(line.gate, 0.05)
    line.join("late", 9)
    line.join("near", 1)
    line.join("urgent", 99, urgent=True)
    assert await line.empty() == ["urgent", "near", "late"]


async def test_who_is_hurried_overtakes_the_line():
    line = Line(Gate(10_000))
    await shut(line.gate, 0.05)
    line.join("near", 1)
    turn = line.join("hurried", 9)
    await asyncio.sleep(0)
    turn.hurry()
    assert await line.empty() == ["hurried", "near"]


async def test_a_gate_keeps_its_rate():
    line = Line(Gate(100))
    for number in range(40):
        line.join(str(number), number)
    await line.empty()
    assert 0.3 < line.times[-1] - line.times[0] < 1


async def test_a_gate_lets_in_only_so_many_at_once_and_a_leaver_lets_in_the_next():
    gate = Gate(10_000, at_once=2)
    inside = most = 0

    async def visit() -> None:
        nonlocal inside, most
        async with gate.turn(0):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.wait_for(asyncio.gather(*(visit() for _ in range(10))), 5)
    assert most == 2


async def test_who_leaves_the_line_keeps_nobody_waiting():
    gate = Gate(10_000, at_once=1)
    line = Line(gate)
    holding = asyncio.Event()

    async def hold() -> None:
        async with gate.turn(0):
            await holding.wait()

    holder = asyncio.create_task(hold())
    await until(lambda: gate._inside == 1)
    line.join("gone", 1)
    line.join("patient", 2)
    await asyncio.sleep(0)
    gone = line.tasks.pop(0)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    holding.set()
    await holder
    assert await line.empty() == ["patient"]


async def test_who_is_cancelled_with_the_turn_just_given_gives_it_back():
    gate = Gate(10_000, at_once=1)
    line = Line(gate)
    turn = gate.turn(0)
    await turn.__aenter__()
    line.join("cancelled", 1)
    line.join("next", 2)
    await asyncio.sleep(0)
    await turn.__aexit__(None, None, None)
    first = line.tasks.pop(0)
    first.cancel()  # its turn has come, but it does not know yet
    with suppress(asyncio.CancelledError):
        await first
    assert await line.empty() == ["next"]


async def test_a_429_shuts_looks_and_connects_and_other_trouble_does_not():
    budget = Budget(ConnectorSettings())
    budget.heed(Trouble("status_500", "no"))
    assert budget.looks._opens_at == 0
    budget.heed(TooMany("status_429", "slowly", after=50))
    now = asyncio.get_running_loop().time()
    for gate in (budget.looks, budget.connects):
        assert 49 < gate._opens_at - now <= 50


async def test_a_refused_token_is_remembered_until_the_next_answer():
    budget = Budget(ConnectorSettings())
    budget.heed(Unauthorized("status_403", "refused (403)", status=403))
    assert budget.refusal == "refused (403)"
    assert budget.looks._opens_at == 0, "a 403 may be about one file only"
    budget.heed(Unauthorized("status_401", "refused (401)", status=401))
    assert budget.looks._opens_at > asyncio.get_running_loop().time() + 50
    budget.worked()
    assert budget.refusal is None
