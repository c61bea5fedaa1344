"""What one subject may take of the gateway: open streams, and requests by a token bucket. No clock: times come in."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

from connectors.bucket import Bucket
from connectors.gateway.errors import Problem
from connectors.gateway.settings import GatewaySettings

MAX_SUBJECTS = 20_000
"""Of those without an open stream, the ones heard of longest ago are forgotten, and start with a full bucket again."""


@dataclass(slots=True)
class _Subject:
    requests: Bucket
    streams: int = 0


class Subjects:
    """The same limits for each."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._known: OrderedDict[str, _Subject] = OrderedDict()

    def count(self, subject: str, now: float) -> None:
        """One request. Raises Problem 429 with the time after which the next may come."""
        requests = self._find(subject).requests
        if requests.opens_at() > now:
            raise _too_many("Too many requests.", requests.opens_at() - now)
        requests.take(now)

    @contextmanager
    def stream(self, subject: str) -> Iterator[None]:
        """One open stream, for as long as the block runs."""
        found = self._find(subject)
        found.streams += 1
        try:
            yield
        finally:
            found.streams -= 1

    def require_room(self, subject: str) -> None:
        """Raises Problem 429 where the subject has as many streams open as it may."""
        if self._find(subject).streams >= self._settings.streams_per_subject:
            raise _too_many(f"{self._settings.streams_per_subject} event streams are open already.", 5)

    def _find(self, subject: str) -> _Subject:
        found = self._known.get(subject)
        if found is None:
            if len(self._known) >= MAX_SUBJECTS:
                self._forget_one()
            bucket = Bucket(self._settings.requests_per_subject, self._settings.requests_burst)
            found = self._known[subject] = _Subject(bucket)
        self._known.move_to_end(subject)
        return found

    def _forget_one(self) -> None:
        idle = next((name for name, each in self._known.items() if not each.streams), None)
        if idle is not None:
            del self._known[idle]


def _too_many(detail: str, seconds: float) -> Problem:
    return Problem(429, detail, headers={"Retry-After": str(max(1, ceil(seconds)))})
