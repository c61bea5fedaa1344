"""A deadline that moves: it rings once, when nothing has moved it for its time, and never after its `with`."""

import asyncio

from connectors.gateway.alarm import Alarm


class Clock:
    """A loop that only keeps timers, whose time stands until it is moved."""

    def __init__(self):
        self.now, self.timers = 0.0, []

    def time(self):
        return self.now

    def call_at(self, when, callback):
        timer = asyncio.TimerHandle(when, callback, (), self)
        self.timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, timer):
        pass

    def get_debug(self):
        return False

    def pass_to(self, now):
        self.now = now
        while due := sorted(
            (each for each in self.timers if not each.cancelled() and each.when() <= now), key=lambda each: each.when()
        ):
            self.timers.remove(due[0])
            due[0]._run()


def alarm(monkeypatch):
    clock, rung = Clock(), []
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock, rung, Alarm(lambda: rung.append(clock.now))


def test_it_rings_when_nothing_has_moved_it_for_its_time(monkeypatch):
    clock, rung, found = alarm(monkeypatch)
    found.set(10)
    clock.pass_to(9)
    assert rung == []
    clock.pass_to(10)
    clock.pass_to(100)
    assert rung == [10]


def test_to_move_it_makes_no_timer(monkeypatch):
    clock, rung, found = alarm(monkeypatch)
    for now in range(100):
        clock.pass_to(now)
        found.set(15)
        assert len(clock.timers) == 1
    clock.pass_to(113)
    assert rung == []
    clock.pass_to(114)
    assert rung == [114]


def test_it_can_be_moved_nearer_and_set_again_after_it_has_rung(monkeypatch):
    clock, rung, found = alarm(monkeypatch)
    found.set(30)
    found.set(5)
    clock.pass_to(5)
    found.set(5)
    clock.pass_to(40)
    assert rung == [5, 40]


def test_it_does_not_ring_after_its_end(monkeypatch):
    clock, rung, found = alarm(monkeypatch)
    with found:
        found.set(5)
    clock.pass_to(100)
    assert rung == []
