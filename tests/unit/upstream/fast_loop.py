"""An event loop whose clock runs fast: waits of minutes take seconds, sockets stay real."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

SPEED = 20


class _Selector(selectors.DefaultSelector):
    """Waits as much shorter as the loop's clock is faster."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / SPEED)


class FastLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_Selector())

    def time(self) -> float:
        return super().time() * SPEED


def run_fast(what: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(what)
