"""The event stream of a turn: `message`, `update`s, and one `complete` or `error` at the end of the whole."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from connectors.gateway import frames
from connectors.gateway.board import Board
from connectors.gateway.changes import Change
from connectors.gateway.orders import unsure
from connectors.gateway.shapes import FAREWELLS
from connectors.gateway.subscriber import End, Subscriber
from connectors.gateway.turn_files import TurnFiles
from connectors.gateway.turns import Turn

_END = frames.comment("end")


class TurnShape:
    """Of one connection, which gets the present state first and ends with the message."""

    def __init__(self, board: Board, subscriber: Subscriber, turn: Turn, shown: Sequence[Mapping[str, Any]]) -> None:
        """`shown` is what the database knows of the files: all there is of those that are no longer held here."""
        self._board, self._subscriber = board, subscriber
        self._turn, self._shown = turn, shown
        self._files = TurnFiles(turn)
        self.has_ended = False

    def opening(self, retry_seconds: float) -> bytes:
        return frames.retry(retry_seconds)

    def beginning(self) -> list[bytes]:
        self._board.present(self._subscriber)
        held = [self._board.view.get(each.file_id) for each in self._turn.files]
        self._files.begin([*self._shown, *(orjson.loads(each.body) for each in held if each and each.body)])
        return [_frame("message", {**self._turn.names(), **self._whole()}), *self._end()]

    def changes(self, changes: Iterable[Change]) -> list[bytes]:
        told: list[bytes] = []
        for each in changes:
            file = self._files.take(orjson.loads(each.body)) if each.body and not self.has_ended else None
            if file is not None:
                update = {"message_id": self._turn.message_id, "percent": self._files.percent(), "file": file}
                told += [_frame("update", update), *self._end()]
        return told

    def ping(self) -> bytes:
        return frames.comment("ping")

    def farewell(self, why: End) -> bytes:
        if why == "slow":
            return frames.SLOW
        return _END if why == "told" else FAREWELLS.get(why, b"")

    def _end(self) -> list[bytes]:
        """The last event, once there is nothing more to wait for; the stream ends behind it."""
        if self._turn.state == "unsure":
            words = {"reason": "unsure", "detail": unsure(self._turn).detail}
            end = _frame("error", {**self._turn.names(), **words, **self._whole()})
        elif self._files.have_ended():
            failure = self._files.failure()
            event = "complete" if failure is None else "error"
            end = _frame(event, {**self._turn.names(), **(failure or {}), **self._whole()})
        else:
            return []
        self.has_ended = True
        self._subscriber.end("told")
        return [end]

    def _whole(self) -> dict[str, Any]:
        return {"percent": self._files.percent(), "files": self._files.told()}


def _frame(event: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), orjson.dumps(data))
