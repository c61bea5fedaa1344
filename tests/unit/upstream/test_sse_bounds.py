"""What a stream may cost: so much is held, and each byte is handled a fixed number of times."""

import tracemalloc
from collections.abc import Iterable

import pytest

from connectors.upstream.frames import MAX_FRAME_BYTES, Frame, FrameDecoder

MIB = 1_048_576
ENDLESS = {
    "one line": (b"data: ", b"x" * 65_536),
    "one line of no field we read": (b"other: ", b"x" * 65_536),
    "a comment": (b":", b"x" * 65_536),
    "many lines of data": (b"", b"data: " + b"x" * 1_000 + b"\n"),
    "many empty lines of data": (b"", b"data\n" * 10_000),
    "many short lines of data": (b"", b"data:ab\r\n" * 10_000),
    "bytes that are no UTF-8": (b"data: ", b"\xff" * 65_536),
}
endless = pytest.mark.parametrize(("start", "piece"), ENDLESS.values(), ids=ENDLESS.keys())


def feed(decoder: FrameDecoder, pieces: Iterable[bytes]) -> list[Frame]:
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def repeated(start: bytes, piece: bytes, size: int) -> Iterable[bytes]:
    yield start
    for _ in range(size // len(piece)):
        yield piece


@endless
def test_a_frame_of_ten_mebibytes_is_held_up_to_the_bound(start, piece):
    decoder = FrameDecoder()
    for each in repeated(start, piece, 10 * MIB):
        decoder.feed(each)
        assert len(decoder._line) <= MAX_FRAME_BYTES + 1
    assert sum(map(len, decoder._events._data)) <= MAX_FRAME_BYTES
    assert len(decoder._events._data) <= MAX_FRAME_BYTES // len(b"data")


@pytest.mark.parametrize("kind", ["one line", "one line of no field we read", "a comment", "many lines of data"])
def test_its_memory_is_bounded_while_it_comes_and_given_back_after_it(kind):
    pieces = repeated(*ENDLESS[kind], 10 * MIB)
    tracemalloc.start()
    try:
        decoder = FrameDecoder()
        before = tracemalloc.get_traced_memory()[0]
        assert feed(decoder, pieces) == []
        peak = tracemalloc.get_traced_memory()[1] - before
        feed(decoder, [b"\n\n"])
        after = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert peak <= 3 * MIB  # a buffer is a bit larger than what is in it, and moves when it grows
    assert after <= MIB // 16


@endless
def test_the_next_frame_is_whole(start, piece):
    found = feed(FrameDecoder(), [*repeated(start, piece, 2 * MIB), b"\n\n", b"data: next\n\n"])
    assert found[-1] == Frame("next")
    assert [each.too_long for each in found[:-1]] in ([True], [])


def test_a_long_line_that_comes_byte_by_byte_is_only_ever_added_to():
    """Were it copied or looked through for each byte, that would be more than a terabyte."""
    decoder = FrameDecoder()
    buffer = decoder._line
    decoder.feed(b"data: ")
    for _ in range(2 * MIB):
        decoder.feed(b"x")
    assert decoder._line is buffer
    (frame,) = feed(decoder, [b"\n", b"\n"])
    assert frame.too_long
    assert len(frame.data) == MAX_FRAME_BYTES - len("data: ")


def test_many_lines_of_one_event_are_one_frame():
    decoder = FrameDecoder()
    lines = MAX_FRAME_BYTES // len(b"data:a")
    for _ in range(lines):
        decoder.feed(b"data:a\n")
    assert feed(decoder, [b"\n"]) == [Frame("\n".join("a" * lines))]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_bound_is_exact(more):
    line = b"data: " + b"x" * (MAX_FRAME_BYTES - len(b"data: ") + more)
    for pieces in ([line + b"\n\n"], [line, b"\n\n"], [line[:10], line[10:], b"\n", b"\n"]):
        (frame,) = feed(FrameDecoder(), pieces)
        assert frame.too_long == (more > 0)
        assert len(frame.data) == MAX_FRAME_BYTES - len("data: ") + min(more, 0)


def test_the_bound_is_of_all_lines_of_an_event_together():
    half = b"data: " + b"x" * (MAX_FRAME_BYTES // 2 - len(b"data: ")) + b"\n"
    assert [each.too_long for each in feed(FrameDecoder(), [half, half, b"\n"])] == [False]
    assert [each.too_long for each in feed(FrameDecoder(), [half, half, b"data\n", b"\n"])] == [True]


def test_what_the_streams_end_cuts_off_can_be_too_long_as_well():
    decoder = FrameDecoder()
    feed(decoder, repeated(b"data: ", b"x" * 65_536, 2 * MIB))
    (frame,) = decoder.finish()
    assert (frame.too_long, frame.cut) == (True, True)
