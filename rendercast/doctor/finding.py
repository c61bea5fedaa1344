"""What was looked at, and how it is."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["good", "doubtful", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`next` is what to do about it; there is none where it is good."""

    about: str
    state: State
    words: str
    next: str | None = None

    def as_dict(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value is not None}


Findings = AsyncIterator[Finding]
Examination = Callable[[], Findings]


def good(about: str, words: str) -> Finding:
    """Nothing is to be done."""
    return Finding(about, "good", words)


def doubtful(about: str, words: str, then: str) -> Finding:
    """It works, and may be not what was meant."""
    return Finding(about, "doubtful", words, then)


def wrong(about: str, words: str, then: str) -> Finding:
    """A process that needs it cannot work."""
    return Finding(about, "wrong", words, then)
