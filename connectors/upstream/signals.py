"""What of the upstream's words is a reason to look at the file, and what is news of the job. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.upstream.parser import Ignored
from schemas import Failure, Observation, Progress, Result, Snapshot, TaskChange

_ENDINGS = frozenset({"render_result", "task", "task_status", "error"})
_MAYBE_ENDINGS = frozenset({"file", "data"})
_NAMELESS = frozenset({"names_no_file", "bad_file_id"})
_WITHOUT_ADDRESS = frozenset({*_NAMELESS, "no_url", "bad_url"})
_MOST_ENDS = 100
"""Of one stream that are remembered: far more than end in a second, and no memory for who floods us."""


def asks_for_look(seen: Sequence[Observation], ignored: Sequence[Ignored]) -> bool:
    """Whether what was said means "ask me": an end without its URL, or an error without its file.

    A snapshot never does: it is itself the answer to a look. Nor does an end that brings its URL along.
    """
    if not ignored and len(seen) == 1 and type(seen[0]) is Progress:  # nearly all that is ever said
        return False
    if any(isinstance(each, Result) for each in seen):
        return False
    return any(_is_question(each) for each in seen) or any(_hides_an_end(each) for each in ignored)


def awaits_url(seen: Observation) -> bool:
    """Whether the upstream says the work is done and has not said where the result is: the URL comes later."""
    if isinstance(seen, Snapshot):
        return seen.url is None and seen.task_status == "completed"
    return isinstance(seen, TaskChange) and seen.status == "completed"


def is_unnamed(ignored: Sequence[Ignored]) -> bool:
    """Whether something is said of a file, and not of which."""
    return any(each.reason in _NAMELESS for each in ignored)


@dataclass(slots=True)
class Echoes:
    """Ends of tasks that a shared stream tells twice: by `task` with the file, and then by `task_status` without.

    The second word is no reason to look at every file there. Each end explains one of those, and only for a while.
    """

    _until: list[float] = field(default_factory=list)

    def hear(self, seen: Sequence[Observation], now: float, seconds: float) -> None:
        """What a frame said that named its file."""
        if any(isinstance(each, TaskChange) and each.status in ("completed", "error") for each in seen):
            self._forget(now)
            if len(self._until) < _MOST_ENDS:
                self._until.append(now + seconds)

    def explain(self, ignored: Sequence[Ignored], now: float) -> bool:
        """Whether a frame that named no file is the second word of an end that was heard."""
        self._forget(now)
        if not self._until or not any(each.type == "task_status" and each.reason in _NAMELESS for each in ignored):
            return False
        self._until.pop(0)
        return True

    def _forget(self, now: float) -> None:
        self._until = [each for each in self._until if each > now]


def may_be_end(ignored: Sequence[Ignored]) -> bool:
    """Whether what names no file can be how a job ends; progress cannot."""
    return any(each.reason in _NAMELESS and each.type != "render_progress" for each in ignored)


def url_of(seen: Observation) -> str | None:
    """Where the result is, if it is told."""
    return seen.url if isinstance(seen, Result | Snapshot) else None


def is_news(seen: Observation, progress: float) -> bool:
    """Whether the job moved, `progress` being the highest percent known so far: what the job clock waits for."""
    return seen.progress > progress if isinstance(seen, Progress) else not isinstance(seen, Snapshot)


def gist(seen: Observation) -> tuple[object, ...]:
    """What is the same where a stream says the same again: that is no news."""
    if isinstance(seen, TaskChange):
        return (seen.type, seen.task_id, seen.status)
    return (seen.type, seen.reason, seen.message) if isinstance(seen, Failure) else (seen.type, url_of(seen))


def _is_question(seen: Observation) -> bool:
    if isinstance(seen, TaskChange):
        return seen.status == "completed"
    return isinstance(seen, Failure) and not seen.named


def _hides_an_end(ignored: Ignored) -> bool:
    if ignored.type in _MAYBE_ENDINGS:
        return ignored.reason in _NAMELESS
    return ignored.type in _ENDINGS and ignored.reason in _WITHOUT_ADDRESS
