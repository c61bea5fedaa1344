"""Errors, classed by what the caller does next. Edges translate their libraries' exceptions into these."""


class RendercastError(Exception):
    """Base of all errors of this project. `facts` are ids, offsets and names, for logs and dead letters."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts = facts


class RetryLater(RendercastError):
    """The same call may work later. `after` is a number of seconds where the other side named one."""

    def __init__(self, message: str, *, after: float | None = None, **facts: object) -> None:
        super().__init__(message, **facts)
        self.after = after


class RejectRecord(RendercastError):
    """This record can never work: it goes to dead letters under `reason`, and the partition goes on."""

    def __init__(self, reason: str, message: str, **facts: object) -> None:
        super().__init__(message, **facts)
        self.reason = reason


class StopProcess(RendercastError):
    """Nothing here can go on without an operator: the process says so and ends with status 1."""
