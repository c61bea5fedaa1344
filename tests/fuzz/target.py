"""What holds of any bytes an upstream may send: hypothesis, atheris and the kept corpus all check this one function."""

from datetime import UTC, datetime
from typing import get_args

from connectors.upstream.frames import MAX_FRAME_BYTES, Frame, FrameDecoder
from connectors.upstream.parser import (
    Broken,
    Channel,
    Endpoint,
    Generated,
    Ignored,
    Parsed,
    Sight,
    parse_answer,
    parse_frame,
    parse_refusal,
)
from connectors.upstream.parser.reasons import BrokenReason, IgnoredReason
from schemas import Track, is_uuid
from schemas.codec import decode_observation, encode
from schemas.headers import headers
from streams.machine import Verdict, advance

FILE = "998d5ae4-0000-4000-8000-000000000001"
PROJECT = "50e5f1c2-0000-4000-8000-000000000003"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SIGHT = Sight("sse", NOW, {FILE: "generation-1"})
CHANNELS = (Channel("file", FILE), Channel("project", PROJECT), Channel("user", PROJECT))
TYPES = frozenset(
    {"render_progress", "render_result", "file", "task", "task_status", "data", "entity", "scene", "error", "test"}
)
JOB = advance(None, Track(file_id=FILE, kind="video", request_id="generation-1", issued_at=NOW)).job


def check(data: bytes) -> None:
    """Raise AssertionError, or whatever the code under it raised, where something does not hold of `data`."""
    frames = check_stream(data)
    for channel in CHANNELS:
        for frame in frames:
            check_parsed(parse_frame(frame.data, channel, SIGHT), channel)
        check_parsed(parse_frame(data.decode("utf-8", "surrogateescape"), channel, SIGHT), channel, data)
    for endpoint in get_args(Endpoint):
        for asked in (None, FILE):
            check_parsed(parse_answer(data, endpoint, SIGHT, file_id=asked), raw=data)
    field, words = parse_refusal(data)
    assert (field + words).encode() is not None


def check_stream(data: bytes) -> list[Frame]:
    """The frames of a stream: the same however it was cut, each within the bound, and none twice."""
    whole, bytewise = FrameDecoder(), FrameDecoder()
    frames = whole.feed(data) + whole.finish()
    assert [each for at in range(len(data)) for each in bytewise.feed(data[at : at + 1])] + bytewise.finish() == frames
    assert whole.finish() == []
    assert not any(each.cut for each in frames[:-1])
    assert all(len(each.data) <= MAX_FRAME_BYTES for each in frames)
    return frames


def check_parsed(found: Parsed, channel: Channel | None = None, raw: bytes | None = None) -> None:
    """All that was found fits its records, can be sent, and can be counted; a file's channel tells of that file."""
    for observation in found.observations:
        assert decode_observation(encode(observation)) == observation
        assert headers(observation)
        assert channel is None or channel.kind != "file" or observation.file_id == channel.id
        if observation.file_id == FILE:
            assert advance(JOB, observation).verdict in get_args(Verdict)
    for generated in found.generated:
        assert Generated.model_validate_json(encode(generated)) == generated
    assert all(is_uuid(each) and each == each.lower() for each in found.missing)
    for each in (*found.ignored, *found.broken):
        check_reason(each)
    assert raw is None or all(each.value == raw for each in found.broken)


def check_reason(found: Ignored | Broken) -> None:
    """Its reason is of the closed list, and its type is one of the table's or none."""
    if isinstance(found, Ignored):
        assert found.reason in get_args(IgnoredReason)
        assert found.type in TYPES | {""}
    else:
        assert found.reason in get_args(BrokenReason)
