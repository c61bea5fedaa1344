"""Workers are started again as a supervisor would, and an end that nothing explains is a problem."""

import asyncio
import contextlib
import signal
import subprocess
import sys

import pytest

from rendercast.supervisor import Child
from rendercast.verify import workers as module
from rendercast.verify.workers import Workers

SLEEPS = "import time; time.sleep(60)"
ENDS = "import sys; sys.exit({})"
STOPS_WITH = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit({}))
print("up", flush=True)
time.sleep(60)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


class OtherChild(Child):
    """Runs what its lives are to be, one after the other; the last one for ever."""

    lives: list

    def start(self):
        code = self.lives.pop(0) if len(self.lives) > 1 else self.lives[0]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log)


class OtherSupervisor:
    """Makes children of other programs."""

    def __init__(self, directory, lives):
        self.directory, self.lives, self.children = directory, lives, []

    def start(self, name, *_, **__):
        child = OtherChild(name, (), {}, self.directory / f"{name}.log", 0)
        child.lives = [*self.lives]
        self.children.append(child)
        child.start()
        return child


@pytest.fixture
def made(tmp_path, monkeypatch):
    supervisors = []
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module.Worker, "is_ready", is_up)

    def make(*lives):
        supervisors.append(OtherSupervisor(tmp_path, lives))
        workers = Workers(supervisors[-1], {})
        workers.add()
        return workers

    yield make
    for child in [child for supervisor in supervisors for child in supervisor.children]:
        child.kill()


async def is_up(worker):
    return "up" in worker.child.log.read_text()[worker.log_from :]


@contextlib.asynccontextmanager
async def kept_alive(workers):
    task = asyncio.create_task(workers.keep_alive())
    yield
    task.cancel()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is on other processes
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("status", "is_problem"), [(70, False), (1, True), (0, True)])
async def test_what_dies_is_started_again_and_only_70_is_a_reason(made, status, is_problem):
    workers = made(ENDS.format(status), SLEEPS)
    async with kept_alive(workers):
        await until(lambda: workers.restarts == 1 and workers.all[0].is_running)
    assert workers.exits == {str(status): 1}
    assert bool(workers.problems) == is_problem
    assert all(f"ended by itself with status {status}" in each for each in workers.problems)


async def test_a_killed_worker_is_started_again_without_a_problem(made):
    workers = made(SLEEPS)
    async with kept_alive(workers):
        workers.kill(workers.all[0])
        await until(lambda: workers.restarts == 1)
    assert (workers.exits, workers.problems) == ({"-9": 1}, [])


async def test_a_worker_may_give_up_on_a_broker_that_is_away_and_comes_back_with_it(made):
    workers = made(ENDS.format(1), SLEEPS)
    workers.broker_goes()
    async with kept_alive(workers):
        await until(lambda: workers.exits == {"1": 1})
        assert workers.restarts == 0
        workers.broker_is_back()
        assert workers.restarts == 1
    assert workers.problems == []


async def test_a_roll_asks_for_an_orderly_end(made):
    workers = made(STOPS_WITH.format(0), SLEEPS)
    [worker] = workers.all
    assert await workers.ready(worker, 20)
    async with kept_alive(workers):
        await workers.roll(worker)
        assert worker.is_running
    assert (workers.exits, workers.restarts, workers.problems) == ({"0": 1}, 1, [])


@pytest.mark.parametrize("was_frozen", [False, True])
async def test_a_disorderly_end_is_a_problem_unless_it_had_been_frozen(made, was_frozen):
    workers = made(STOPS_WITH.format(70), SLEEPS)
    [worker] = workers.all
    assert await workers.ready(worker, 20)
    if was_frozen:
        await workers.freeze(worker, 0.01)
    await workers.remove(worker)
    assert workers.exits == {"70": 1}
    assert [("stopped with status 70" in each) for each in workers.problems] == [True] * (not was_frozen)
    assert workers.all == []


async def test_a_worker_that_does_not_stop_is_a_problem_and_is_killed(made, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    workers = made(DEAF)
    assert await workers.ready(workers.all[0], 20)
    await workers.stop_all()
    assert workers.exits == {str(-signal.SIGKILL): 1}
    assert "did not stop within" in workers.problems[0]


async def test_a_worker_that_is_not_up_yet_may_die_of_the_signal(made):
    workers = made(SLEEPS)
    await workers.stop_all()
    assert (workers.exits, workers.problems) == ({str(-signal.SIGTERM): 1}, [])
