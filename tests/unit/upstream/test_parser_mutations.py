"""Real frames and answers, with something in them changed: nothing raises, and what is said can be sent."""

import json
from typing import Any

from fuzz.target import CHANNELS, FILE, PROJECT, SIGHT, check, check_parsed
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.upstream.parser import parse_answer, parse_frame

URL = "https://m.example/2025/6/3/a\\b/clip.mp4?sig=a%2Fb"
WHOLE: dict[str, Any] = {
    "id": FILE, "url": URL, "thumbnail_url": None, "type": "video", "video_generation_id": PROJECT,
    "video_generation": {"id": PROJECT, "prompt": "a cat", "duration": 5.0, "aspect_ratio": None},
    "tasks": [{"type": "video-generation-flow", "status": "in_progress", "id": PROJECT, "file_id": FILE}],
}  # fmt: skip
FRAMES: list[dict[str, Any]] = [
    {"type": "render_progress", "object": {"progress": 75, "file_id": FILE, "message": "upscaling"}},
    {"type": "render_result", "object": {"file_id": FILE, "url": URL, "contentType": "video/mp4"}},
    {"type": "render_result", "object": WHOLE},
    {"type": "file", "object": WHOLE},
    {"type": "task", "object": {"id": PROJECT, "status": "completed", "file_id": FILE, "result_url": URL}},
    {"type": "task", "object": {"id": PROJECT, "status": "in_progress", "file_id": FILE, "progress": 0.4}},
    {"type": "task_status", "object": {"status": "COMPLETED", "task_id": PROJECT}},
    {"type": "data", "object": {"type": "video", "project_id": PROJECT, "value": {"file_id": FILE, "url": URL}}},
    {"type": "error", "object": {"message": "no GPU left", "file_id": FILE}},
]  # fmt: skip
ANSWERS: list[Any] = [
    WHOLE,
    [WHOLE, WHOLE],
    {"id": PROJECT, "tasks": [], "data": [{"id": FILE, "type": "video", "value": {"file_id": FILE, "url": URL}}]},
    {"detail": [{"loc": ["body", "config"], "msg": "no", "type": "literal_error"}]},
]
odd = st.sampled_from(
    [
        None, True, False, 0, -1, 1.0, 1e9, 10**400, float("nan"), float("inf"), "", " ", "\ud800", "\x00",
        "x" * 21_000, "75%", "COMPLETED", "file", FILE.upper(), f"file.{FILE}", f"project.{FILE}", URL,
        "ftp://x/y", [], {}, [[[]]], {"id": FILE}, [WHOLE], WHOLE, json.dumps(WHOLE),
    ]
)  # fmt: skip


def paths(tree: object, so_far: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [so_far, *(path for key, each in inner for path in paths(each, (*so_far, key)))]


def changed(tree: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = changed(tree[path[0]], path[1:], value)
    return copy


@st.composite
def spoiled(draw: st.DrawFn, trees: list[Any]) -> Any:
    """One of `trees`, with up to three of its values changed into others."""
    tree = draw(st.sampled_from(trees))
    for _ in range(draw(st.integers(1, 3))):
        tree = changed(tree, draw(st.sampled_from(paths(tree))), draw(odd))
    return tree


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A stream of real frames with bytes changed, left out, doubled and cut off."""
    end = draw(st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r"]))
    found = draw(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=3))
    stream = bytearray(b"".join(b"data: " + json.dumps(each).encode() + end for each in found))
    for _ in range(draw(st.integers(1, 6))):
        at, size = draw(st.integers(0, len(stream))), draw(st.integers(0, 8))
        stream[at : at + size] = draw(st.binary(max_size=8) | st.just(bytes(stream[at : at + size] * 2)))
    return bytes(stream)


@settings(deadline=None)
@given(spoiled(FRAMES), st.sampled_from(CHANNELS))
def test_a_real_frame_with_odd_values_is_read(frame, channel):
    check_parsed(parse_frame(json.dumps(frame), channel, SIGHT), channel)


@settings(deadline=None)
@given(spoiled(ANSWERS), st.sampled_from(["file", "project", "generate-video", "generate-image"]), st.booleans())
def test_a_real_answer_with_odd_values_is_read(answer, endpoint, asked):
    check_parsed(parse_answer(json.dumps(answer), endpoint, SIGHT, file_id=FILE if asked else None))


@settings(deadline=None)
@given(damaged())
def test_a_real_stream_with_damaged_bytes_is_read(stream):
    check(stream)
