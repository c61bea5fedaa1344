"""What is normal on the wire: pings, CRLF, CR, a BOM, data over several lines, frames cut in two."""

import pytest

from connectors.upstream.frames import MAX_FRAME_BYTES, Frame, FrameDecoder


def decode(*pieces: bytes) -> list[Frame]:
    decoder = FrameDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends_end_lines(end):
    assert decode(b"data: a" + end + b"data: b" + end + end + b"data: c" + end + end) == [Frame("a\nb"), Frame("c")]


def test_an_event_that_ends_in_cr_is_told_at_once():
    assert decode(b"data: a\r\r") == [Frame("a")]


def test_a_crlf_cut_in_two_is_one_line_end():
    assert decode(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [Frame("a\nb")]


def test_pings_and_comments_are_no_frames():
    assert decode(b": ping - 2026-01-02\r\n\r\n: ping\n\ndata: a\n: ping\n\n") == [Frame("a")]


def test_a_bom_is_not_part_of_the_first_line():
    assert decode(b"\xef", b"\xbb\xbfdata: a\n\n") == [Frame("a")]


def test_empty_data_is_a_frame_and_an_event_without_data_is_none():
    assert decode(b"data:\n\nevent: x\nid: 7\n\n\n") == [Frame("")]


def test_a_letter_cut_in_two_is_whole():
    assert decode(b"data: caf\xc3", b"\xa9\n\n") == [Frame("café")]


def test_bytes_that_are_not_utf8_can_be_had_back():
    (frame,) = decode(b"data: \xff\xfe\n\n")
    assert frame.data.encode("utf-8", "surrogateescape") == b"\xff\xfe"


@pytest.mark.parametrize("line", [b"x" * 3_000_000, b"\ndata: ".join([b"x" * 1000] * 3000)])
def test_a_frame_without_end_is_cut_off_said_to_be_and_does_not_spoil_the_next(line):
    decoder = FrameDecoder()
    stream = b"data: " + line + b"\n\ndata: next\n\n"
    found = [frame for at in range(0, len(stream), 65_536) for frame in decoder.feed(stream[at : at + 65_536])]
    assert [frame.too_long for frame in found] == [True, False]
    assert len(found[0].data) <= MAX_FRAME_BYTES
    assert found[1].data == "next"


def test_a_comment_without_end_spoils_nothing():
    assert decode(b":" + b"x" * 3_000_000, b"\ndata: a\n\n") == [Frame("a")]


def test_what_the_streams_end_cut_off_is_told_as_cut():
    decoder = FrameDecoder()
    assert decoder.feed(b"data: a\n\ndata: b") == [Frame("a")]
    assert decoder.finish() == [Frame("b", cut=True)]
    assert decoder.finish() == []
