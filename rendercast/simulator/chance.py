"""Chance that can be repeated: each draw depends on the seed and the names of what is drawn, and on nothing else."""

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

from rendercast.simulator.faults import Faults

T = TypeVar("T")


def _digest(size: int, key: tuple[object, ...]) -> bytes:
    return blake2b("/".join(map(str, key)).encode(), digest_size=size).digest()


def uniform(*key: object) -> float:
    """A number from 0 up to, not including, 1."""
    return (int.from_bytes(_digest(8, key), "big") >> 11) / 2**53


def pick(options: Sequence[T], *key: object) -> T:
    """One of the options, each as likely as the others."""
    return options[int(uniform(*key) * len(options))]


def coin(*key: object) -> bool:
    """True half of the time."""
    return pick((True, False), *key)


def uuid(*key: object) -> str:
    """A UUID in the form of a random one."""
    return str(UUID(bytes=_digest(16, key), version=4))


class Dice:
    """Draws faults by their rates and counts those that happened. `rates` may be replaced at any time."""

    def __init__(self, seed: int, rates: Faults) -> None:
        self.seed = seed
        self.rates = rates
        self.happened: Counter[str] = Counter()

    def falls(self, fault: str, *key: object, rates: Faults | None = None) -> bool:
        """Whether the fault happens to what `key` names. `rates` are those of a file with rates of its own."""
        rate: float = getattr(rates or self.rates, fault)
        if rate == 0 or uniform(self.seed, fault, *key) >= rate:
            return False
        self.happened[fault] += 1
        return True
