"""`rendercast parse`: what the connector's parser makes of bytes from a log."""

import sys
from collections.abc import Iterator
from typing import BinaryIO, cast, get_args

import orjson

from connectors.upstream.frames import Frame, FrameDecoder
from connectors.upstream.parser import Broken, Channel, Endpoint, Ignored, Parsed, Sight, parse_answer, parse_frame
from schemas import utcnow
from schemas.codec import encode
from schemas.errors import StopProcess

PIECE_BYTES = 65_536


def read_channel(channel: str | None, endpoint: str | None) -> tuple[Channel | None, Endpoint | None]:
    """The two options checked. Raises StopProcess with what was expected."""
    if (channel is None) == (endpoint is None):
        raise StopProcess("parse: give --channel (file.<uuid>, project.<uuid>, user.<uuid>) or --endpoint, not both")
    if endpoint is not None:
        if endpoint not in get_args(Endpoint):
            raise StopProcess(f"--endpoint: expected one of {', '.join(get_args(Endpoint))}, got {endpoint!r}")
        return None, cast("Endpoint", endpoint)
    try:
        return Channel.read(channel or ""), None
    except ValueError as error:
        raise StopProcess(f"--channel: {error}") from error


def parse_stream(source: BinaryIO, channel: Channel | None, endpoint: Endpoint | None, *, json_lines: bool) -> int:
    """Print findings as they come; the exit status, 0 whatever came: a stream's noise is normal."""
    for parsed in _parsed(source, channel, endpoint, json_lines=json_lines):
        for found in (*parsed.observations, *parsed.generated):
            sys.stdout.buffer.write(encode(found) + b"\n")
        for missing in parsed.missing:
            _aside({"type": "missing_url", "file_id": missing})
        for ignored in parsed.ignored:
            _aside({"type": "ignored", "reason": ignored.reason, "frame": ignored.type or None})
        for bad in parsed.broken:
            _aside({"type": "broken", "reason": bad.reason, "bytes": bad.value[:500].decode(errors="replace")})
        sys.stdout.buffer.flush()
    return 0


def _parsed(
    source: BinaryIO, channel: Channel | None, endpoint: Endpoint | None, *, json_lines: bool
) -> Iterator[Parsed]:
    if endpoint is not None:
        for body in source if json_lines else [source.read()]:
            if body.strip():
                yield parse_answer(body, endpoint, Sight("poll", utcnow()))
        return
    assert channel is not None
    for frame in _lines(source) if json_lines else _frames(source):
        if frame.too_long:
            yield Parsed(broken=(Broken("too_long", frame.data.encode("utf-8", "surrogateescape")),))
            continue
        parsed = parse_frame(frame.data, channel, Sight("sse", utcnow()))
        yield Parsed(ignored=(Ignored("cut"),)) if frame.cut and parsed.broken else parsed


def _lines(source: BinaryIO) -> Iterator[Frame]:
    """One frame a line; lines copied from a stream may keep their `data:`, and its comments are passed over."""
    for line in source:
        if line.strip() and not line.startswith(b":"):
            yield Frame(line.removeprefix(b"data:").strip().decode("utf-8", "surrogateescape"))


def _frames(source: BinaryIO) -> Iterator[Frame]:
    decoder = FrameDecoder()
    while piece := source.read1(PIECE_BYTES) if hasattr(source, "read1") else source.read(PIECE_BYTES):
        yield from decoder.feed(piece)
    yield from decoder.finish()


def _aside(note: dict[str, object]) -> None:
    sys.stderr.buffer.write(orjson.dumps(note) + b"\n")
