"""Bytes of an event stream to frames, piece by piece, with no IO: the live stream and `rendercast parse` use it."""

from dataclasses import dataclass

from httpx_sse._decoders import SSEDecoder

MAX_FRAME_BYTES = 1_048_576
"""Of one line, and of all data of one event. What is longer is cut off, and the frame says so."""

_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = b"\r\n"


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
    comes, and has no bound. What data lines add up to is httpx-sse's business.

    The event streams of the HTML standard, with four differences. Fields other than `data` are passed over: the
    upstream sends none, and there is no resume. Bytes that are not UTF-8 are kept (see `Frame`), not replaced. An event
    that the stream's end cuts off is told, as `cut`. An event past the bound is told, as `too_long`.

    It holds at most one line and one event, each up to the bound, and copies each byte a fixed number of times.
    """

    __slots__ = ("_after_cr", "_events", "_has_data", "_held", "_is_first", "_line", "_too_long")

    def __init__(self) -> None:
        self._events = SSEDecoder()
        self._line = bytearray()
        self._held = 0
        self._has_data = False
        self._too_long = False
        self._after_cr = False
        self._is_first = True

    def feed(self, piece: bytes) -> list[Frame]:
        """The frames that `piece` completes."""
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")  # a CR has ended the line already
            self._after_cr = False
        if not piece:
            return []
        lines = piece.splitlines()  # of bytes: CRLF, CR and LF, and nothing else
        self._after_cr = piece.endswith(b"\r")
        rest = b"" if piece[-1] in _LINE_ENDS else lines.pop()
        found: list[Frame] = []
        for line in lines:
            if self._line:
                self._begin(line)
                whole = bytes(self._line)
                self._line.clear()
            else:
                whole = line
            if self._is_first:
                whole = whole.removeprefix(_BOM)
                self._is_first = False
            if whole:
                self._take(whole)
            elif self._has_data:
                found.append(self._event())
        if rest:
            self._begin(rest)
        return found

    def finish(self) -> list[Frame]:
        """What stood without its blank line when the stream ended: it may be whole all the same."""
        self._after_cr = False
        return [Frame(each.data, each.too_long, cut=True) for each in self.feed(b"\n\n")]

    def _begin(self, piece: bytes) -> None:
        # One byte more than allowed is kept, to know later that there were more.
        self._line += piece[: MAX_FRAME_BYTES + 1 - len(self._line)]

    def _take(self, line: bytes) -> None:
        """Add a line's data to the event. The bound counts whole lines, so that empty ones count too."""
        if not (line.startswith(b"data:") or line == b"data") or self._too_long:
            return
        self._has_data = True
        room = MAX_FRAME_BYTES - self._held
        self._too_long = len(line) > room
        self._held += len(line)
        self._events.decode(line[:room].decode("utf-8", "surrogateescape"))

    def _event(self) -> Frame:
        event = self._events.decode("")
        frame = Frame(event.data if event else "", self._too_long)
        self._held, self._has_data, self._too_long = 0, False, False
        return frame
