"""gzip for answers that never end: what was written can be read at once, and a silent stream holds no memory for it.

zlib holds four times the window and 512 times 2^level bytes: 20 KiB here, where its defaults take 256 KiB. A window of
4 KiB holds the last few changes, which are what the next one resembles.
"""

import struct
import zlib

_WINDOW_BITS, _MEMORY_LEVEL = 12, 3
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""RFC 1952: deflate, no name, no time, no system."""


class Gzip:
    """One stream's compressor: a gzip member whose deflate blocks come from one zlib object after another."""

    def __init__(self) -> None:
        self._header = _HEADER
        self._deflate: zlib._Compress | None = None
        self._checksum, self._size = 0, 0

    def part(self, body: bytes, *, more: bool) -> bytes:
        """The next bytes of the stream, with all of `body` in them; its end where there is no `more`."""
        if self._deflate is None:
            self._deflate = zlib.compressobj(
                zlib.Z_DEFAULT_COMPRESSION,
                zlib.DEFLATED,
                -_WINDOW_BITS,
                _MEMORY_LEVEL,  # minus: blocks only
            )
        header, self._header = self._header, b""
        self._checksum, self._size = zlib.crc32(body, self._checksum), self._size + len(body)
        blocks = self._deflate.compress(body) + self._deflate.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)
        return header + blocks + (b"" if more else struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF))

    def rest(self) -> None:
        """Let go of the memory: what comes next is compressed without what came before."""
        self._deflate = None


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header allows gzip (RFC 9110, 12.5.3): by its name, or by `*`, and not with a weight of 0."""
    weights: dict[str, float] = {}
    for each in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        weights[name] = next((_weight(part) for part in parameters if part.startswith("q=")), 1.0)
    return next((weights[name] for name in ("gzip", "x-gzip", "*") if name in weights), 0.0) > 0


def _weight(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0
