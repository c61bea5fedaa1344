"""Bytes of an event stream to frames, piece by piece, with no IO: the live stream and `rendercast parse` use it."""

import re
from dataclasses import dataclass

from httpx_sse._decoders import SSEDecoder

MAX_FRAME_BYTES = 1_048_576
"""Of one line, and of all data of one event. What is longer is cut off, and the frame says so."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_DATA = b"data"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event's data. Bytes that are not UTF-8 stand in it as surrogate escapes: nothing of it is lost.

    Of a `too_long` one only the beginning is here; a `cut` one was ended by the stream's end, not by a blank line.
    """

    data: str
    too_long: bool = False
    cut: bool = False


class FrameDecoder:
    """Feed it the pieces as they come: however they were cut, the frames are the same.

    Lines are found here, in bytes, because httpx-sse's line decoder holds an event that ends in CR back until more
    comes, and has no bound. What data lines add up to is httpx-sse's business; the upstream sends no other fields.
    """

    def __init__(self) -> None:
        self._events = SSEDecoder()
        self._line = bytearray()
        self._held = 0
        self._has_data = False
        self._too_long = False
        self._after_cr = False
        self._first = True

    def feed(self, piece: bytes) -> list[Frame]:
        """The frames that `piece` completes."""
        if not piece:
            return []
        if self._after_cr:
            piece = piece.removeprefix(b"\n")  # a CR has ended the line already
        *whole, rest = piece.split(b"\n") if b"\r" not in piece else _LINE_END.split(piece)
        found: list[Frame] = []
        for line in whole:
            self._grow(line)
            found.extend(self._end_line())
        self._after_cr = piece.endswith(b"\r")
        self._grow(rest)
        return found

    def finish(self) -> list[Frame]:
        """What stood without its blank line when the stream ended: it may be whole all the same."""
        self._after_cr = False
        return [Frame(each.data, each.too_long, cut=True) for each in self.feed(b"\n\n")]

    def _grow(self, piece: bytes) -> None:
        # One byte more than allowed is kept, to know later that there were more.
        self._line += piece[: max(0, MAX_FRAME_BYTES + 1 - len(self._line))]

    def _end_line(self) -> list[Frame]:
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            line = line.removeprefix(_BOM)
            self._first = False
        if not line:
            return self._end_event()
        if line.startswith(_DATA) and not self._too_long:
            self._has_data = True
            room = MAX_FRAME_BYTES - self._held
            self._too_long = len(line) > room
            self._held += len(line)
            self._events.decode(line[:room].decode("utf-8", "surrogateescape"))
        return []

    def _end_event(self) -> list[Frame]:
        event = self._events.decode("")
        found = [Frame(event.data, self._too_long)] if event and self._has_data else []
        self._held, self._has_data, self._too_long = 0, False, False
        return found
