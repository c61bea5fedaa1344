"""Spans on their way out: a bounded queue and a thread, so that no event loop ever waits for the endpoint."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from tracing.metrics import SPANS
from tracing.spans import Span

log = structlog.get_logger()

BATCH = 512
GATHER_SECONDS = 1.0
CLOSE_SECONDS = 2.0
"""At the end of a process: what was not sent by then is not sent."""


class Exporter:
    """Takes spans and hands them to `send` in batches. `send` says whether they were taken, and may block."""

    def __init__(self, send: Callable[[Sequence[Span]], bool], most: int) -> None:
        self._send = send
        self._most = most
        self._waiting: deque[Span] = deque()
        self._closing = threading.Event()
        self._enough = threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
        self._thread.start()

    def put(self, span: Span) -> None:
        """Never waits: a span for which there is no room is dropped and counted."""
        if len(self._waiting) >= self._most:
            SPANS.labels("dropped").inc()
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH:
            self._enough.set()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what waits, for so long at most."""
        self._closing.set()
        self._enough.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._enough.wait(GATHER_SECONDS)
            self._enough.clear()
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                taken, reason = self._send(batch), "refused"
            except Exception as error:  # noqa: BLE001 - whatever an exporter raises ends no process
                taken, reason = False, repr(error)
            SPANS.labels("sent" if taken else "failed").inc(len(batch))
            self._note(taken=taken, reason=reason)

    def _note(self, *, taken: bool, reason: str) -> None:
        """One line when it begins to fail, one when it works again."""
        if taken == self._is_failing:
            if taken:
                log.info("spans are taken again")
            else:
                log.warning("spans are not taken", reason=reason)
        self._is_failing = not taken
