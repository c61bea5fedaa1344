"""What is due of a plan: by the clock, and by what the processor has told. Pure."""

import heapq
from collections import defaultdict
from collections.abc import Sequence

from rendercast.verify.plan import Await, Fact, Say, Script


class Agenda:
    """Hands out each script's steps in their order. Times are seconds since the run began."""

    def __init__(self, plan: Sequence[Script]) -> None:
        self._plan = plan
        self._next_step = [0] * len(plan)
        self._timed = [(_first(script), number) for number, script in enumerate(plan)]
        heapq.heapify(self._timed)
        self._awaited: dict[Fact, list[int]] = defaultdict(list)
        self._told: set[Fact] = set()
        self.moves = 0  # grows with whatever is said, heard or waited for

    def due(self, now: float) -> list[Say]:
        """All that can be said now, once."""
        found: list[Say] = []
        while self._timed and self._timed[0][0] <= now:
            _, number = heapq.heappop(self._timed)
            self._go_on(number, now, found)
        return found

    def heard(self, fact: Fact) -> None:
        """The processor has told this."""
        self.moves += fact not in self._told
        self._told.add(fact)
        for number in self._awaited.pop(fact, ()):
            heapq.heappush(self._timed, (0.0, number))

    @property
    def awaited(self) -> list[Fact]:
        """What scripts wait for at this moment."""
        return list(self._awaited)

    @property
    def is_over(self) -> bool:
        """Everything was said."""
        return not self._timed and not self._awaited

    def _go_on(self, number: int, now: float, found: list[Say]) -> None:
        for step in self._plan[number].steps[self._next_step[number] :]:
            if isinstance(step, Await):
                if step.fact not in self._told:
                    self._awaited[step.fact].append(number)
                    self.moves += 1
                    return
            elif step.at > now:
                heapq.heappush(self._timed, (step.at, number))
                return
            else:
                found.append(step)
                self.moves += 1
            self._next_step[number] += 1


def _first(script: Script) -> float:
    return next((step.at for step in script.steps if isinstance(step, Say)), 0.0)
