"""The event-stream cases of the HTML standard, named after those of web-platform-tests (`eventsource/format-*`).

Each is fed whole, cut in two at every byte, and byte by byte. `message` lists the data of the events that a browser
would dispatch. Where `ours` stands beside it we differ on purpose: what the stream's end cuts off is told, as `cut`;
bytes that are not UTF-8 are kept. The event's name, its id and `retry` are read by nobody here: the upstream sends
none. The `format-mime-*` cases are about a header: see the client's tests.
"""

from dataclasses import dataclass

import httpx_sse._decoders
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.upstream.frames import Frame, FrameDecoder

BOM = b"\xef\xbb\xbf"
LONG = b"y" * 3_000


@dataclass(frozen=True)
class Case:
    name: str
    stream: bytes
    message: list[str]
    ours: list[Frame] | None = None

    @property
    def frames(self) -> list[Frame]:
        return [Frame(each) for each in self.message] if self.ours is None else self.ours


CASES = [
    # web-platform-tests
    Case(
        "format-bom: one at the very beginning, not later",
        BOM + b"data:a\n\n" + BOM + b"data:b\n\ndata:c\n\n",
        ["a", "c"],
    ),
    Case("format-bom-2: only one", BOM + BOM + b"data:a\n\ndata:b\n\n", ["b"]),
    Case(
        "format-comments: of any length, between any line ends, with anything in them",
        b"data:a\r:\0\n:\r\ndata:b\n:" + LONG + b"\rdata:c\n:data:no\r:" + LONG + b"\ndata:d\n\n",
        ["a\nb\nc\nd"],
    ),
    Case(
        "format-data-before-final-empty-line: an event without its blank line is none",
        b"retry:9\ndata:a\n\nid:7\ndata:b",
        ["a"],
        [Frame("a"), Frame("b", cut=True)],
    ),
    Case("format-field-data: empty, twice empty, not", b"data:\n\ndata\ndata\n\ndata:a\n\n", ["", "\n", "a"]),
    Case("format-field-event: whatever it is called", b"event:other\ndata:a\n\ndata:b\n\n", ["a", "b"]),
    Case("format-field-event-empty: an empty name is none", b"event: \ndata:a\n\n", ["a"]),
    Case("format-field-id: changes no data", b"id:7\ndata:a\n\n", ["a"]),
    Case(
        "format-field-id-2: nor does a later or empty one",
        b"id:7\ndata:a\n\nid\ndata:b\n\nid:\ndata:c\n\n",
        ["a", "b", "c"],
    ),
    Case("format-field-id-3: nor one that is no ASCII", "id: \u2026\ndata:a\n\n".encode(), ["a"]),
    Case("format-field-id-null: nor one with U+0000", b"id:7\0\0\ndata:a\n\n", ["a"]),
    Case(
        "format-field-parsing: a field's name is all that stands before the colon",
        b"data:\0\ndata:  b\rData:no\ndata\0:no\ndata:c\r"
        b"\0data:no\nda-ta:no\rdata_5\ndata:d\rdata:\r\n data:no\ndata:e\n\n",
        ["\0\n b\nc\nd\n\ne"],
    ),
    Case("format-field-retry: changes no data", b"retry:9\ndata:a\n\n", ["a"]),
    Case("format-field-retry-bogus: nor one that is no number", b"retry:9\nretry:1x\ndata:a\n\n", ["a"]),
    Case("format-field-retry-empty: nor an empty one", b"retry\nretry:\ndata:a\n\n", ["a"]),
    Case(
        "format-field-unknown: is passed over",
        b"data:a\n data\ndata\nother:no\nonly text\n:comment\ndata:b\n\n",
        ["a\n\nb"],
    ),
    Case("format-leading-space: one, and only a space", b"data:\ta\rdata: \ndata:b\ndata:  c\n\n", ["\ta\n\nb\n c"]),
    Case("format-newlines: CRLF, LF and CR in one stream", b"data:a\r\ndata\ndata:b\r\n\r", ["a\n\nb"]),
    Case("format-null-character: is a character", b"data:\0\n\n", ["\0"]),
    Case("format-utf-8: whatever the header says", "data:ok\u2026\n\n".encode(), ["ok\u2026"]),
    Case(
        "event-data: two lines, an empty one, the rest",
        b"data:a\ndata: a\n\ndata:\n\ndata:end\n\n",
        ["a\na", "", "end"],
    ),
    # the standard's own text
    Case("a space behind the colon makes no difference", b"data:a\n\ndata: a\n\n", ["a", "a"]),
    Case("an event with no data is none", b"event:x\nid:7\n\n\n\n: ping\n\ndata:a\n\n", ["a"]),
    Case("a line end alone begins nothing", b"\n\r\n\r\n\n\rdata:a\n\n", ["a"]),
    Case("data that ends in an empty line keeps it", b"data:a\ndata:\n\n", ["a\n"]),
    Case("a colon in the value is the value's", b'data: {"a": 1}\n\ndata::\n\n', ['{"a": 1}', ":"]),
    Case(
        "other separators end no line",
        "data:a\v\f\x1c\x1d\x1e\x85\u2028b\n\n".encode(),
        ["a\v\f\x1c\x1d\x1e\x85\u2028b"],
    ),
    Case("an event may end in CR", b"data:a\r\rdata:b\r\r", ["a", "b"]),
    Case("an empty stream is empty", b"", []),
    Case("a BOM alone is nothing", BOM, []),
    Case("half a BOM is a field of no name we know", BOM[:2] + b"data:a\n\ndata:b\n\n", ["b"]),
    Case("the word alone at the end", b"data:a\n\ndata", ["a"], [Frame("a"), Frame("", cut=True)]),
    Case("a line end and no blank line", b"data:a\n", [], [Frame("a", cut=True)]),
    Case("a CR and no blank line", b"data:a\r", [], [Frame("a", cut=True)]),
    Case("a comment at the end", b"data:a\n\n: pin", ["a"]),
    # where we differ
    Case("bytes that are no UTF-8 can be had back", b"data:\xff\xc3\n\n", ["\ufffd\ufffd"], [Frame("\udcff\udcc3")]),
    Case(
        "and so can a surrogate in UTF-8's form",
        b"data:\xed\xa0\x80\n\n",
        ["\ufffd" * 3],
        [Frame("\udced\udca0\udc80")],
    ),
]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda each: each.name)


def decode(*pieces: bytes) -> list[Frame]:
    decoder = FrameDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)] + decoder.finish()


@by_name
def test_the_case_holds(case):
    assert decode(case.stream) == case.frames


@by_name
def test_the_case_holds_cut_at_every_byte(case):
    for at in range(len(case.stream) + 1):
        assert decode(case.stream[:at], case.stream[at:]) == case.frames, at


@by_name
def test_the_case_holds_byte_by_byte_and_with_empty_pieces_between(case):
    pieces = [case.stream[at : at + 1] for at in range(len(case.stream))]
    assert decode(*pieces) == case.frames
    assert decode(*[each for piece in pieces for each in (b"", piece, b"")]) == case.frames


@pytest.mark.parametrize(("old", "new"), [(b"\n", b"\r\n"), (b"\n", b"\r")])
@pytest.mark.parametrize("case", [case for case in CASES if b"\r" not in case.stream], ids=lambda each: each.name)
def test_the_case_holds_with_any_line_end(case, old, new):
    assert decode(case.stream.replace(old, new)) == case.frames


@by_name
def test_what_a_browser_would_dispatch_is_told_and_the_rest_is_marked(case):
    told = [
        each.data.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for each in case.frames if not each.cut
    ]
    assert told == case.message


def test_a_frame_is_told_as_soon_as_its_blank_line_begins():
    decoder = FrameDecoder()
    assert decoder.feed(b"data:a\r\n\r") == [Frame("a")]
    assert decoder.feed(b"\ndata:b\n\n") == [Frame("b")]


lines = st.sampled_from(
    [
        b"data", b"data:", b"data: ", b"data:a", b"data:  b", b"data: {}", b":", b": ping", b"event:x", b"retry:1",
        b"Data:x", b"datax", b"data :x", b" data:x", "data:\u00e9".encode(),
    ]
)  # fmt: skip
streams = st.lists(st.tuples(lines | st.just(b""), st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=30).map(
    lambda parts: b"".join(line + end for line, end in parts)
)


@settings(deadline=None)
@given(streams, st.integers(1, 40))
def test_the_frames_are_those_of_httpx_sse(stream, size):
    """Of its decoders: they read text, have no bound, and hold a last CR back. Empty data they tell in other cases."""
    lines, events = httpx_sse._decoders.SSELineDecoder(), httpx_sse._decoders.SSEDecoder()
    told = [events.decode(line) for line in lines.decode(stream.decode() + "\n\n")]
    found = decode(*[stream[at : at + size] for at in range(0, len(stream), size)])
    assert [each.data for each in found if each.data] == [each.data for each in told if each and each.data]
