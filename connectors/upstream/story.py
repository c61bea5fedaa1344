"""What befell a watch, for its span."""

from schemas import Watch
from tracing import Event, Tracing, now

MOST = 64
"""Events of one watch that are kept. The last ones are not: they say least of why it took so long."""


class Story:
    """From the watch's beginning in this process to its end here."""

    __slots__ = ("_begun", "_events", "_tracing", "_unkept", "_watch")

    def __init__(self, tracing: Tracing, watch: Watch) -> None:
        self._tracing, self._watch = tracing, watch
        self._begun = now()
        self._events: list[Event] = []
        self._unkept = 0

    def note(self, name: str, **facts: str) -> None:
        if len(self._events) < MOST:
            self._events.append(Event(name, now(), facts))
        else:
            self._unkept += 1

    def tell(self, end: str) -> None:
        """The span. `end` is `expired`, or `stopped`: nobody wants the watch any more, or another process has it."""
        facts: dict[str, str | int] = {"rendercast.kind": self._watch.kind, "rendercast.watch.end": end}
        if self._unkept:
            facts["rendercast.watch.events_not_kept"] = self._unkept
        self._tracing.span(self._watch, "watch", self._begun, now(), facts, events=self._events)
