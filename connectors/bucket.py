"""A token bucket, pure. Times are seconds of one clock. It makes nobody wait: who asks decides what to do."""

from math import inf


class Bucket:
    """Tokens come at a rate; at most `burst` of them wait for somebody to take them."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._distance = 1 / per_second
        self._saved = (burst - 1) * self._distance
        self._next = -inf

    def opens_at(self) -> float:
        """From when on a token is there."""
        return self._next

    def take(self, now: float) -> None:
        """One token less. To be called at `opens_at` or later."""
        self._next = max(self._next, now - self._saved) + self._distance
