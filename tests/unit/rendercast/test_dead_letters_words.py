"""Which letters are meant, which can be sent again, and how they are shown."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.console import Console

from rendercast.cli import main
from rendercast.dead_letters import shelf
from rendercast.dead_letters.letters import Decision, Letter, Marks, Selection, decide
from rendercast.dead_letters.words import HEX_BYTES, Tally, counted, line, listed, shown
from schemas.dead_letters import DeadLetter, Place
from schemas.topics import Topics

TOPICS = Topics()
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOLD = DeadLetter("not_json", "value: no", "render.commands", 1, 7, "processor", b"k", b"v")
LETTER = Letter(Place(0, 5), AT, TOLD)
PARTITIONS = {spec.name: 2 for spec in TOPICS.specs()}


def variant(**fields):
    return replace(LETTER, told=replace(TOLD, **fields))


@pytest.mark.parametrize(
    ("selection", "is_taken"),
    [
        (Selection(), True),
        (Selection(reasons=frozenset({"not_json", "x"})), True),
        (Selection(reasons=frozenset({"x"})), False),
        (Selection(topics=frozenset({"render.commands"})), True),
        (Selection(topics=frozenset({"commands"})), False),
        (Selection(bys=frozenset({"processor"})), True),
        (Selection(bys=frozenset({"x"})), False),
        (Selection(since=AT), True),
        (Selection(since=AT.replace(second=6)), False),
        (Selection(until=AT), False),
        (Selection(until=AT.replace(second=6)), True),
        (Selection(places=frozenset({Place(0, 5)})), True),
        (Selection(places=frozenset({Place(1, 5)})), False),
        (Selection(reasons=frozenset({"not_json"}), bys=frozenset({"x"})), False),
    ],
)
def test_a_selection_takes_what_all_its_parts_admit(selection, is_taken):
    assert selection.takes(LETTER) is is_taken


@pytest.mark.parametrize(
    ("letter", "why_not"),
    [
        (LETTER, None),
        (variant(topic="render.storage"), None),
        (variant(key=None), None),
        (variant(topic="file.1", partition=-1), "no topic of ours"),
        (variant(topic="other.commands"), "no topic of ours"),
        (variant(topic=TOPICS.dead_letters), "no topic of ours"),
        (variant(topic=TOPICS.watches), "compacted"),
        (variant(topic=TOPICS.jobs), "compacted"),
        (variant(truncated_from=1_000_000), "it was cut"),
        (variant(key_truncated_from=2_000), "it was cut"),
        (variant(value=None), "no value"),
        (variant(value=b""), "no value"),
        (variant(partition=2), "not there any more"),
    ],
)
def test_only_what_can_go_back_as_it_came_is_sent(letter, why_not):
    found = decide(letter, Marks(), TOPICS, PARTITIONS, again=False).why_not
    assert found is None if why_not is None else why_not in found


def test_a_marked_letter_is_sent_only_again():
    marks = Marks([Place(0, 5), Place(0, 6)])
    assert "replayed before" in decide(LETTER, marks, TOPICS, PARTITIONS, again=False).why_not
    assert decide(LETTER, marks, TOPICS, PARTITIONS, again=True).why_not is None
    assert decide(replace(LETTER, place=Place(1, 5)), marks, TOPICS, PARTITIONS, again=False).why_not is None


@pytest.mark.parametrize("milliseconds", [-1, 0, 2**62])
def test_a_record_may_bear_any_time(milliseconds):
    record = SimpleNamespace(partition=0, offset=1, timestamp=milliseconds, headers=(), key=None, value=None)
    assert 1970 <= Letter.of(record).at.year < 2200
    assert line(Letter.of(record), replayed=False)["at"]


def text(table, width=80):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(table)
    return [each.rstrip() for each in out.getvalue().splitlines()]


def test_a_line_tells_all_but_the_value():
    found = line(replace(variant(attempts=3, value=b"secret" * 2, key=b"\xff")), replayed=True)
    assert found == {
        "place": "0:5", "at": "2026-01-02T03:04:05.000Z", "state": "replayed", "reason": "not_json",
        "detail": "value: no", "by": "processor", "attempts": 3, "topic": "render.commands", "partition": 1,
        "offset": 7, "key": "\\xff", "bytes": 12,
    }  # fmt: skip
    cut = line(variant(truncated_from=1_000_000), replayed=False)
    assert (cut["bytes"], cut["truncated"], cut["state"]) == (1_000_000, True, "open")


@pytest.mark.parametrize(
    ("topic", "partition", "found"),
    [
        ("render.commands", 1, "render.commands"),
        ("file.998d1234", -1, "file.*"),
        ("GET file/998d1234", -1, "GET file/*"),
        ("", -1, ""),
    ],
)
def test_what_the_upstream_said_is_counted_together(topic, partition, found):
    assert variant(topic=topic, partition=partition).origin == found


def test_each_letter_has_one_line_however_narrow_the_terminal():
    rows = [line(variant(detail="d" * 300), replayed=False)] * 3
    for width in (80, 120):
        found = text(listed(rows, "render.", with_by=False, with_state=True), width)
        assert len(found) == 2 + len(rows)
        assert all(len(each) <= width for each in found)
        assert re.match(r"0:5 +01-02 03:04:05 +not_json +commands 1:7 +open +d+…$", found[2])


def test_nothing_that_a_terminal_obeys_is_printed():
    nasty = variant(reason="\x1b[31m[red]", detail="\x9b1m\nx", topic="file.\x07", partition=-1, key=b"\x1b]0;x\x07")
    tally = Tally()
    tally.add([Decision(nasty), Decision(nasty, "left")])
    row = line(nasty, replayed=False)
    seen = [
        *text(listed([row], "render.", with_by=True, with_state=True), 200),
        *text(counted(tally.sent, "render.")), *text(tally.lefts()),
        *shown(replace(nasty, told=replace(nasty.told, value='{"a": "\x9b"}'.encode())), []),
        *shown(replace(nasty, told=replace(nasty.told, value=b"\x1b[1m")), []),
    ]  # fmt: skip
    assert all(each.isprintable() for part in seen for each in part.splitlines())
    assert any("\\x1b[31m[red]" in each for each in seen)


def test_json_is_shown_indented_other_text_as_it_is_and_the_rest_in_hex():
    def body(value):
        return list(shown(variant(value=value), []))[-1]

    assert body(b'{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert body(b'{"a":[1') == '{"a":[1'
    assert body(b"[" * 100_000).startswith("[[[")
    assert body(b"ab\xff").split() == ["00000000", "61", "62", "ff", "ab."]
    assert body(b"\xff" * (HEX_BYTES + 5)) == "… and 5 bytes more (--raw writes them all)"


def test_a_tally_counts_what_is_sent_and_names_the_first_of_what_is_left():
    tally = Tally()
    tally.add(
        [
            Decision(LETTER),
            Decision(LETTER),
            Decision(replace(LETTER, place=Place(1, 1)), "why"),
            Decision(LETTER, "why"),
        ]
    )
    assert tally.sent == {("not_json", "render.commands"): 2}
    assert text(tally.lefts())[2].split() == ["2", "1:1", "why"]


async def test_a_listing_holds_the_newest_and_counts_all(monkeypatch):
    async def select(*_):
        for second in (3, 1, 5, 2, 4):
            yield replace(LETTER, at=AT.replace(second=second)), False

    monkeypatch.setattr(shelf, "select", select)
    found = await shelf.listing(None, Selection(), "open", 2)
    assert [row["at"][17:19] for row in found.rows] == ["04", "05"]
    assert found.counts == {("not_json", "render.commands"): 5}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("replay",), "--all for all of them"),
        (("replay", "--yes"), "--all for all of them"),
        (("replay", "--all", "0:1"), "--all for all of them"),
        (("replay", "--all", "--reason", "x"), "--all for all of them"),
        (("replay", "1"), "expected partition:offset"),
        (("show", "x"), "expected partition:offset"),
        (("list", "--since", "soon"), "a span before now"),
        (("list", "--state", "lost"), "'open', 'replayed', 'all'"),
    ],
)
def test_a_wrong_option_is_explained_before_anything_is_read(arguments, word):
    result = CliRunner().invoke(main, ["dead-letters", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert word in result.stderr
