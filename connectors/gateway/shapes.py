"""The two shapes an event stream can have: our own, and the upstream's."""

from collections.abc import Iterable
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from connectors.gateway import frames
from connectors.gateway.board import Board
from connectors.gateway.changes import Change
from connectors.gateway.resume import Gap
from connectors.gateway.subscriber import End, Subscriber
from connectors.gateway.upstream_shape import UpstreamShape

ShapeName = Literal["native", "upstream"]

FAREWELLS: dict[End, bytes] = {
    "slow": frames.comment("events came faster than they were read; connect again"),
    "expired": frames.comment("the token has expired; connect again with a fresh one"),
    "closing": frames.comment("the gateway is closing; connect again"),
    "reading anew": frames.comment("the gateway reads all jobs anew; connect again"),
}


class StreamQuery(BaseModel):
    """`GET /api/events?shape=…`."""

    model_config = ConfigDict(frozen=True)

    shape: ShapeName = "native"


class Shape(Protocol):
    """What is written to one stream, and how."""

    def opening(self, retry_seconds: float) -> bytes: ...

    def beginning(self) -> list[bytes]:
        """What is; from then on every change is told."""
        ...

    def changes(self, changes: Iterable[Change]) -> list[bytes]: ...

    def ping(self) -> bytes: ...

    def farewell(self, why: End) -> bytes: ...


def shape_of(name: ShapeName, board: Board, subscriber: Subscriber, last_event_id: str | None) -> Shape:
    """The shape of that name, for one stream."""
    if name == "upstream":
        return _Upstream(board, subscriber)
    return Native(board, subscriber, last_event_id)


class Native:
    """Ours: the only one with event ids, so the only one that can go on where it was."""

    def __init__(self, board: Board, subscriber: Subscriber, last_event_id: str | None) -> None:
        self._board, self._subscriber, self._last_event_id = board, subscriber, last_event_id
        self._ids = board.event_ids(subscriber.channels)
        self._since: list[bytes] | Gap | None = None

    def opening(self, retry_seconds: float) -> bytes:
        return frames.retry(retry_seconds)

    async def catch_up(self) -> None:
        """Find what was missed since the last event id. `beginning` is to be asked for at once after this."""
        if self._last_event_id is not None:
            self._since = await self._board.since(self._subscriber, self._last_event_id)

    def beginning(self) -> list[bytes]:
        self._ids = self._board.event_ids(self._subscriber.channels)  # the topic may be another one by now
        return self._board.beginning(self._subscriber, self._since)

    def changes(self, changes: Iterable[Change]) -> list[bytes]:
        return [self._board.frame(each, self._ids) for each in changes]

    def ping(self) -> bytes:
        return frames.comment("ping", self._board.position(self._subscriber.channels))

    def farewell(self, why: End) -> bytes:
        return frames.SLOW if why == "slow" else FAREWELLS.get(why, b"")


class _Upstream:
    def __init__(self, board: Board, subscriber: Subscriber) -> None:
        self._board, self._subscriber = board, subscriber
        self._shape = UpstreamShape()

    def opening(self, retry_seconds: float) -> bytes:  # noqa: ARG002 - the upstream sends no `retry:`
        return frames.comment("connected")

    def beginning(self) -> list[bytes]:
        """The oldest change first: as it would have come."""
        jobs = self._board.present(self._subscriber).jobs
        return self._shape.frames(reversed(jobs)) if jobs else [frames.comment("nothing is known of this yet")]

    def changes(self, changes: Iterable[Change]) -> list[bytes]:
        return self._shape.frames(changes)

    def ping(self) -> bytes:
        return frames.comment("ping")

    def farewell(self, why: End) -> bytes:
        return FAREWELLS.get(why, b"")
