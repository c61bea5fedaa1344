"""What keeps the sink from going on, by what is in trouble: readiness tells it, the log says it once."""

import structlog

from schemas.errors import RetryLater

log = structlog.get_logger()


class Troubles:
    """Begins with one: the sink is starting."""

    def __init__(self) -> None:
        self._words = {"start": "starting"}

    @property
    def first(self) -> str | None:
        return next(iter(self._words.values()), None)

    def await_partitions(self) -> None:
        self._words.pop("start", None)
        self._words["partitions"] = "waiting for partitions"

    def note(self, what: str, error: RetryLater) -> None:
        if what not in self._words:
            log.warning("cannot go on for now", what=what, reason=str(error))
        self._words[what] = str(error)

    def over(self, what: str) -> None:
        if self._words.pop(what, None) is not None:
            log.info("going on", what=what)
