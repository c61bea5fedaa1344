"""Rounds in turn, and their medians: both sides of a ratio see the same minutes of a shared machine."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")

Rounds = list[dict[str, T | str]]
"""By round and name: what was measured, or in words why it could not be."""


class Failed(Exception):
    """A measurement that could not be made; its words stand in the table."""


def interleave(
    names: Iterable[str], rounds: int, measure: Callable[[str], T], tell: Callable[[str], None] = lambda _: None
) -> Rounds[T]:
    """Each name once, then each again: one that fails is told of and tried again in the next round."""
    names, found = list(names), Rounds[T]()
    for number in range(1, rounds + 1):
        found.append({})
        for name in names:
            try:
                found[-1][name] = value = measure(name)
                tell(f"round {number}, {name}: {value}")
            except Failed as error:
                found[-1][name] = words = f"error: {error}"
                tell(f"round {number}, {name}: {words}")
    return found


def each(rounds: Rounds[T], part: Callable[[T], float]) -> Rounds[float]:
    """One number of what was measured; words stay words."""
    return [{name: value if isinstance(value, str) else part(value) for name, value in one.items()} for one in rounds]


def medians(rounds: Rounds[float]) -> dict[str, float | str]:
    """By name: the median of the rounds that gave a number; where none did, the last one's words."""
    found: dict[str, float | str] = {}
    for name in dict.fromkeys(name for one in rounds for name in one):
        values = [one[name] for one in rounds if name in one]
        numbers = [value for value in values if not isinstance(value, str)]
        found[name] = median(numbers) if numbers else values[-1]
    return found


def at_least(value: float | str, factor: float, other: float | str | None) -> bool:
    """Whether `value` is at least `factor` times `other`. What was not measured proves nothing."""
    return isinstance(value, int | float) and isinstance(other, int | float) and value >= factor * other


def at_most(value: float | str, bound: float) -> bool:
    return isinstance(value, int | float) and value <= bound


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed. Raises Failed where there are none."""
    if not values:
        raise Failed("nothing was measured")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def without(found: Mapping[str, float | str], name: str) -> dict[str, float | str]:
    return {other: value for other, value in found.items() if other != name}
