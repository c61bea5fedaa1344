"""What a token allows: for each action the channels, as patterns. Pure.

The claim, after Mercure's: `{"rendercast": {"read": ["project.7f…", "user.{id}"], "cancel": ["project.7f…"]}}`.
A pattern is a channel, a URI template of one (RFC 6570: `{name}` stands for letters, digits and `-._~%`, `{+name}` for
anything), or `*` for every channel.
"""

import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from connectors.gateway.errors import Problem

CLAIM = "rendercast"
Action = Literal["read", "track", "check", "cancel", "generate"]
ACTIONS: tuple[Action, ...] = get_args(Action)

MAX_PATTERNS, MAX_LENGTH, MAX_VARIABLES = 200, 400, 4
_PART = re.compile(r"\{(\+?)[A-Za-z0-9_]+\}")
_SIMPLE = frozenset(string.ascii_letters + string.digits + "-._~%")


@dataclass(frozen=True, slots=True)
class Grants:
    """Patterns by action. `EVERYTHING` is what everybody has where authorization is off."""

    patterns: Mapping[Action, tuple[str, ...]]

    def allows(self, action: Action, channel: str) -> bool:
        return any(_fits(each, channel) for each in self.patterns.get(action, ()))

    def require_all(self, action: Action, channels: Iterable[str]) -> None:
        """Raises Problem 403 that names the channel."""
        for channel in channels:
            if not self.allows(action, channel):
                raise _forbidden(action, channel)

    def require_any(self, action: Action, channels: Iterable[str]) -> None:
        """Raises Problem 403 where none of the channels, the first of which names the job, is allowed."""
        known = tuple(channels)
        if not any(self.allows(action, each) for each in known):
            raise _forbidden(action, known[0])


EVERYTHING = Grants(dict.fromkeys(ACTIONS, ("*",)))


def parse_grants(claim: object) -> Grants:
    """The claim's grants. Raises ValueError that names what is wrong; unknown actions are a newer issuer's."""
    if not isinstance(claim, dict):
        raise ValueError(f"{CLAIM}: should be an object of actions and patterns")  # noqa: TRY004 - a value's error
    found: dict[Action, tuple[str, ...]] = {}
    for action in ACTIONS:
        patterns = claim.get(action, [])
        if not isinstance(patterns, list) or len(patterns) > MAX_PATTERNS or not all(map(_is_pattern, patterns)):
            raise ValueError(f"{CLAIM}.{action}: should be a list of at most {MAX_PATTERNS} patterns of channels")
        found[action] = tuple(patterns)
    return Grants(found)


def _is_pattern(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_LENGTH and len(_PART.findall(value)) <= MAX_VARIABLES


def _fits(pattern: str, channel: str) -> bool:
    """In time that grows with the channel's length: an expression of four variables can take seconds for one."""
    if pattern == "*" or "{" not in pattern:
        return pattern in {"*", channel}
    ends = {0}  # where the parts so far may end
    for part in _parts(pattern):
        if isinstance(part, str):
            ends = {end + len(part) for end in ends if channel.startswith(part, end)}
        else:
            ends = set(_ends_of_variable(channel, ends, is_anything=part))
        if not ends:
            return False
    return len(channel) in ends


def _ends_of_variable(channel: str, begins: set[int], *, is_anything: bool) -> Iterator[int]:
    is_within = False
    for place in range(min(begins), len(channel)):
        is_within = (is_within or place in begins) and (is_anything or channel[place] in _SIMPLE)
        if is_within:
            yield place + 1


@lru_cache(maxsize=4_096)
def _parts(pattern: str) -> tuple[str | bool, ...]:
    """Texts, and for each variable whether it stands for anything."""
    parts: list[str | bool] = []
    end = 0
    for found in _PART.finditer(pattern):
        parts += [pattern[end : found.start()], bool(found[1])]
        end = found.end()
    return (*parts, pattern[end:])


def _forbidden(action: Action, channel: str) -> Problem:
    return Problem(403, f"The token does not allow to {action} {channel}.")
