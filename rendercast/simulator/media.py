"""Bytes behind the media URLs: the same URL has the same bytes, a PNG or something that begins as an MP4. Pure."""

import struct
import zlib
from functools import lru_cache
from hashlib import sha256, shake_256
from typing import NamedTuple
from urllib.parse import urlsplit

_SIDE = 48  # pixels
_FTYP = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp42")


class Digest(NamedTuple):
    """What a copy must have."""

    sha256: str
    size: int


def media_path(url: str) -> str:
    """The path by which a URL is found. Clients may send a backslash as it is, encoded, or as a slash."""
    return urlsplit(url).path.replace("\\", "/")


def content_type(path: str) -> str:
    """What is served under this path: a video or an image."""
    return "video/mp4" if path.endswith(".mp4") else "image/png"


def media_bytes(path: str, video_bytes: int) -> bytes:
    """A valid PNG of random pixels, or an MP4 of `video_bytes` bytes that has a type and data, and no track."""
    if content_type(path) == "video/mp4":
        size = video_bytes - len(_FTYP)
        return _FTYP + struct.pack(">I4s", size, b"mdat") + _noise(path, size - 8)
    rows = _noise(path, _SIDE * _SIDE * 3)
    width = _SIDE * 3
    pixels = b"".join(b"\0" + rows[start : start + width] for start in range(0, len(rows), width))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(pixels, 1))
        + _chunk(b"IEND", b"")
    )


@lru_cache(maxsize=200_000)
def media_digest(path: str, video_bytes: int) -> Digest:
    """The digest of `media_bytes`."""
    body = media_bytes(path, video_bytes)
    return Digest(sha256(body).hexdigest(), len(body))


def _noise(path: str, size: int) -> bytes:
    block = shake_256(path.encode()).digest(min(size, 8_192))
    return (block * (size // len(block) + 1))[:size]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
