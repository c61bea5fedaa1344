"""Whether one upstream host may be asked: a circuit breaker, pure. Times are seconds of one clock.

Why not a library: the ones there are wait in a line of their own, first come, first served. Here one line, ordered by
what is at stake (`budget.py`), asks breaker and bucket when its first may go.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

State = Literal["closed", "open", "half_open"]


@dataclass(slots=True)
class Breaker:
    """Closed, all pass. So many failures in a row open it: nothing passes for a time that doubles from trial to trial.

    After that it is half open: one request passes, the probe. If it works the breaker closes, if not it opens again;
    one that ends without having been answered at all (it was called off) makes room for another.
    """

    failures: int
    seconds: float
    cap_seconds: float
    state: State = "closed"
    in_a_row: int = 0
    _trials: int = 0
    _until: float = -inf
    _probing: bool = False

    def opens_at(self) -> float:
        """From when on a request may pass: infinity while a probe is under way."""
        if self.state == "closed":
            return -inf
        return inf if self._probing else self._until

    def passed(self) -> bool:
        """A request leaves; whether it is the probe."""
        if self.state == "closed" or self._probing:
            return False
        self.state, self._probing = "half_open", True
        return True

    def worked(self) -> None:
        """A request was answered, whichever: the host is there."""
        self.state, self.in_a_row, self._trials, self._probing = "closed", 0, 0, False

    def failed(self, now: float, *, probe: bool) -> None:
        """A request was not answered. Those that left before it opened tell nothing new."""
        self.in_a_row += 1
        if probe or (self.state == "closed" and self.in_a_row >= self.failures):
            self.trip(now, min(self.cap_seconds, self.seconds * 2.0 ** min(self._trials, 30)))
            self._trials += 1

    def refused(self, now: float, cap_seconds: float) -> None:
        """The host will not have us: open at once, and longer each time it says so."""
        self.trip(now, min(cap_seconds, self.seconds * 2.0 ** min(self._trials, 30)))
        self._trials += 1

    def trip(self, now: float, seconds: float) -> None:
        """Open, for so long."""
        self.state, self._until, self._probing = "open", now + seconds, False

    def called_off(self) -> None:
        """The probe ended without an answer."""
        self._probing = False
