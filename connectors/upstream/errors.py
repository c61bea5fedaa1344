"""What the upstream's answers mean for the caller. `cause` is a short label for metrics, logs and gaps."""

from schemas.errors import RejectRecord, RetryLater

NEVER_SENT = frozenset({"unreachable", "certificate", "no_turn"})
"""Causes of trouble that befalls before a byte of the request has left."""


class Trouble(RetryLater):
    """The upstream could not be reached, broke off, or answered with something that may be better later."""

    def __init__(self, cause: str, message: str, *, after: float | None = None, **facts: object) -> None:
        super().__init__(message, after=after, cause=cause, **facts)
        self.cause = cause

    @property
    def is_answer(self) -> bool:
        """Whether the host has answered, and not with an error of its own."""
        status = self.facts.get("status")
        said_so = isinstance(status, int) and status < 500  # noqa: PLR2004
        return said_so or isinstance(self, TooMany | Unauthorized | NotFound)

    @property
    def began_nothing(self) -> bool:
        """Whether a generate call that ended so has certainly begun nothing: it never left, or was turned away.

        An error of the host, a silence or a break says nothing of it, nor does a 2xx that cannot be read.
        """
        status = self.facts.get("status")
        turned_away = isinstance(status, int) and 300 <= status < 500  # noqa: PLR2004
        return turned_away or self.cause in NEVER_SENT or isinstance(self, TooMany)


class TooMany(Trouble):
    """429, or a 503 that names a time: nobody asks this host for `after` seconds."""


class Unauthorized(Trouble):
    """401 or 403: an operator must act; no job is failed for it."""


class NotFound(Trouble):
    """404: not visible yet, or not at all."""


class Refused(RejectRecord):
    """A generate call that can never work as it is. `field` is what to change, "" where nobody named one."""

    def __init__(self, field: str, message: str, **facts: object) -> None:
        super().__init__("refused", f"{field}: {message}" if field else message, field=field, **facts)
        self.field = field
