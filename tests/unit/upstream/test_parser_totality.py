"""No input raises, and whatever the parser says can be written to Kafka."""

import json
from typing import get_args

import orjson
import pytest
from fuzz.target import CHANNELS, FILE, SIGHT, check_parsed
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.upstream.frames import FrameDecoder
from connectors.upstream.parser import Endpoint, parse_answer, parse_frame, parse_refusal

TYPES = ["render_progress", "render_result", "file", "task", "task_status", "data", "entity", "scene", "error", "test"]
KEYS = [
    "id", "file_id", "fileId", "url", "file_url", "thumbnail_url", "type", "object", "tasks", "status", "progress",
    "message", "error", "detail", "errors", "loc", "msg", "result_url", "value", "data", "project_id", "projectId",
    "video_generation", "video_generation_id", "image_generation", "contentType", "content_type", "task_id",
]  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20)
    | st.sampled_from([FILE, f"file.{FILE}", "https://m.example/a.mp4", "COMPLETED", "error", "75%", "\ud800", 10**400])
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=5),
    max_leaves=15,
)  # fmt: skip
frames = st.fixed_dictionaries({"type": st.sampled_from(TYPES) | leaves, "object": trees | trees.map(json.dumps)})


@settings(deadline=None)
@given(frames | trees, st.sampled_from(CHANNELS))
def test_any_json_frame_is_read_and_what_it_says_can_be_sent(frame, channel):
    check_parsed(parse_frame(json.dumps(frame), channel, SIGHT), channel)


@settings(deadline=None)
@given(
    st.binary() | st.text(st.characters()).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(CHANNELS),
)
@example(b"[" * 100_000, CHANNELS[0])
@example(b'{"type":"file","object":' + b'{"id":' * 900 + b"1" + b"}" * 901, CHANNELS[0])
@example(b'{"type":"render_progress","object":{"progress":' + b"1" * 5000 + b"}}", CHANNELS[0])
@example(b'{"type":"error","object":{"message":"\\ud800"}}', CHANNELS[0])
def test_any_bytes_are_read_and_the_broken_ones_kept(raw, channel):
    check_parsed(parse_frame(raw.decode("utf-8", "surrogateescape"), channel, SIGHT), channel, raw)


@settings(deadline=None)
@given(st.text(st.characters()))
def test_any_text_is_read_even_with_surrogates_that_stand_for_no_byte(text):
    check_parsed(parse_frame(text, CHANNELS[0], SIGHT), CHANNELS[0])


@pytest.mark.parametrize("endpoint", get_args(Endpoint))
@settings(deadline=None)
@given(body=trees | st.binary() | trees.map(lambda tree: json.dumps(tree).encode()), asked=st.none() | st.just(FILE))
def test_any_answer_is_read(endpoint, body, asked):
    check_parsed(parse_answer(body, endpoint, SIGHT, file_id=asked))


@settings(deadline=None)
@given(st.binary() | trees.map(lambda tree: json.dumps(tree).encode()))
@example(b'{"detail": [{"loc": [' + b"[" * 900 + b"]" * 900 + b"]}]}")
@example(b'{"detail": ' * 900 + b"1" + b"}" * 900)
def test_any_refusal_is_read(body):
    field, words = parse_refusal(body)
    assert orjson.dumps([field, words])


stream_pieces = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b'{"type": ', b'"test"}', b"\n", b"\r", b"\r\n", b"\n\n", b": ping\n\n", b"id: 7\n",
         b"event: x\n", b"\xef\xbb\xbf", b"\xff", "é".encode()]
    )
    | st.binary(max_size=8),
    max_size=30,
).map(b"".join)  # fmt: skip


@settings(deadline=None)
@given(stream_pieces, st.data())
def test_a_stream_cut_anywhere_gives_the_same_frames(stream, data):
    whole = FrameDecoder()
    expected = whole.feed(stream) + whole.finish()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = FrameDecoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += pieces.feed(stream[start:end])
    assert found + pieces.finish() == expected


@settings(deadline=None)
@given(stream_pieces)
def test_a_stream_cut_at_every_byte_gives_the_same_frames(stream):
    whole, pieces = FrameDecoder(), FrameDecoder()
    found = [frame for at in range(len(stream)) for frame in pieces.feed(stream[at : at + 1])]
    assert found + pieces.finish() == whole.feed(stream) + whole.finish()
