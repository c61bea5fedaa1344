"""What is broken at the moment, by hand or by script: for how long, and for whom. Pure; time is the caller's."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from schemas.base import FileId, Name

Seconds = Annotated[float, Field(ge=0, le=86_400)]
What = Literal["end_streams", "reset_streams", "hang_up", "refuse", "rate_limit", "slow", "stall"]


class Body(BaseModel):
    """What a test or a script asks for. A name that does not exist is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Scoped(Body):
    channel: Name | None = Field(default=None, description="this channel alone: `file.<uuid>`, `project.<uuid>`")
    file_id: FileId | None = Field(default=None, description="this file alone: its channel and its GETs")

    @model_validator(mode="after")
    def _one_scope(self) -> "_Scoped":
        if self.channel is not None and self.file_id is not None:
            raise ValueError("channel or file_id, not both")
        return self

    def concerns(self, channel: str | None, file_id: str | None) -> bool:
        """Whether this is for a stream of the channel, or for a call about the file."""
        if self.channel is not None:
            return channel == self.channel
        if self.file_id is not None:
            return file_id == self.file_id or channel == f"file.{self.file_id}"
        return True


class _Lasting(_Scoped):
    seconds: Seconds | None = Field(default=None, description="simulated; until it is healed if left out")


class _OfRequests(_Lasting):
    of: Literal["all", "streams", "calls"] = Field(default="all", description="`streams`, `calls` (the rest) or `all`")


class EndStreams(_Scoped):
    """End open streams now: cleanly, or with a reset."""

    what: Literal["end_streams", "reset_streams"]


class HangUp(Body):
    """Reset every connection now, but for the one that asks."""

    what: Literal["hang_up"]


class Refuse(_OfRequests):
    """Answer with a status instead."""

    what: Literal["refuse"]
    status: Annotated[int, Field(ge=400, le=599, description="of the answer")] = 503


class RateLimit(_OfRequests):
    """Answer 429 with Retry-After."""

    what: Literal["rate_limit"]
    retry_after: Annotated[int, Field(ge=0, le=86_400, description="seconds")] = 1
    as_date: bool = Field(default=False, description="a date instead of seconds")
    skew_seconds: Annotated[
        int, Field(ge=-31_536_000, le=31_536_000, description="how far that date's clock is off")
    ] = 0


class Slow(_OfRequests):
    """Answer late."""

    what: Literal["slow"]
    delay: Annotated[Seconds, Field(description="simulated; before the answer")] = 5


class Stall(_Lasting):
    """Streams stay open and say nothing, not even a ping. What would have been said is gone."""

    what: Literal["stall"]


BREAKS = (EndStreams, HangUp, Refuse, RateLimit, Slow, Stall)
Lasting = Refuse | RateLimit | Slow | Stall


class Break(RootModel[Annotated[EndStreams | HangUp | Lasting, Field(discriminator="what")]]):
    """`POST /__break`."""


class Heal(_Scoped):
    """`POST /__heal`: everything that is broken, or what these names pick."""

    id: int | None = Field(default=None, description="as `/__break` answered it")
    what: What | None = None

    def picks(self, outage: "Outage") -> bool:
        """Whether it heals this."""
        broken = outage.broken
        return (
            self.id in {None, outage.id}
            and self.what in {None, broken.what}
            and self.channel in {None, broken.channel}
            and self.file_id in {None, broken.file_id}
        )


@dataclass(frozen=True, slots=True)
class Outage:
    """Something broken, until a moment of the caller's clock."""

    id: int
    broken: Lasting
    until: float


class Outages:
    """Those that last. Where several concern the same request, the oldest of each sort counts."""

    def __init__(self) -> None:
        self._made = 0
        self._lasting: list[Outage] = []

    def add(self, broken: Lasting, *, now: float, seconds: float | None) -> Outage:
        """Broken from now on."""
        self._made += 1
        outage = Outage(self._made, broken, inf if seconds is None else now + seconds)
        self._lasting.append(outage)
        return outage

    def heal(self, wanted: Heal, *, now: float) -> int:
        """Returns how many were healed."""
        present = list(self.present(now))
        self._lasting = [each for each in present if not wanted.picks(each)]
        return len(present) - len(self._lasting)

    def present(self, now: float) -> Iterator[Outage]:
        self._lasting = [each for each in self._lasting if each.until > now]
        yield from self._lasting

    def stalled(self, channel: str, *, now: float) -> bool:
        """Whether the stream has to be silent."""
        return any(isinstance(each.broken, Stall) and each.broken.concerns(channel, None) for each in self.present(now))

    def of_request(
        self, channel: str | None, file_id: str | None, *, now: float
    ) -> Iterator[Refuse | RateLimit | Slow]:
        """What befalls a request now: for a stream if it has a channel."""
        for each in self.present(now):
            broken = each.broken
            if isinstance(broken, Stall) or broken.of == ("calls" if channel else "streams"):
                continue
            if broken.concerns(channel, file_id):
                yield broken
