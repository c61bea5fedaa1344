"""Letters in words. Pure."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rich.table import Table

from rendercast.dead_letters.letters import Decision, Letter, origin
from rendercast.tables import cell, count_table, printable, table
from schemas.codec import timestamp

HEX_BYTES = 1_024
"""So much of what is no text is shown."""
BY_PREFIX = "rendercast-"
_HEX_ROW = 16
_ASCII = 128


def escaped(data: bytes | None) -> str | None:
    """Bytes as text; what is none is escaped."""
    return None if data is None else printable(data.decode(errors="backslashreplace"))


def line(letter: Letter, *, replayed: bool) -> dict[str, Any]:
    """One line of a list: all but the value, of which it tells the size."""
    told = letter.told
    found = {
        "place": str(letter.place), "at": timestamp(letter.at), "state": "replayed" if replayed else "open",
        "reason": told.reason, "detail": told.detail, "by": told.by, "attempts": told.attempts,
        "topic": told.topic, "partition": told.partition, "offset": told.offset, "key": escaped(told.key),
        "bytes": None if told.value is None else told.truncated_from or len(told.value),
        "truncated": None if told.is_whole else True,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def listed(rows: Iterable[Mapping[str, Any]], prefix: str, *, with_by: bool, with_state: bool) -> Table:
    """The letters as a table, one line each; the detail is cut where there is no room for it."""
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "place": lambda row: row["place"],
        "at (UTC)": lambda row: row["at"][5:19].replace("T", " "),
        "reason": lambda row: row["reason"],
        "from": lambda row: _origin(row["topic"], row["partition"], row["offset"], prefix),
        "by": lambda row: row["by"].removeprefix(BY_PREFIX),
        "state": lambda row: row["state"],
        "detail": lambda row: row["detail"],
    }
    left_out = {name for name, is_in in (("by", with_by), ("state", with_state)) if not is_in}
    chosen = {name: of for name, of in columns.items() if name not in left_out}
    found = table(*chosen)
    for row in rows:
        found.add_row(*[cell(of(row)) for of in chosen.values()])
    return found


def _origin(topic: str, partition: int, offset: int, prefix: str) -> str:
    where = origin(topic.removeprefix(prefix), partition)
    return where if partition < 0 else f"{where} {partition}:{offset}"


def counted(counts: Counter[tuple[str, str]], prefix: str) -> Table:
    """How many there are of each reason and topic, most first."""
    found = count_table("letters", "reason", "topic")
    for (reason, topic), times in counts.most_common():
        found.add_row(f"{times:,}", cell(reason), cell(topic.removeprefix(prefix)))
    return found


def shown(letter: Letter, replays: Iterable[str]) -> Iterator[str]:
    """Everything of a letter, line by line."""
    told = letter.told
    facts = {
        "place": letter.place, "at": timestamp(letter.at), "reason": told.reason, "detail": told.detail, "by": told.by,
        "attempts": told.attempts, "topic": told.topic, "partition": told.partition, "offset": told.offset,
        "key": escaped(told.key), "key truncated from": told.key_truncated_from,
        "replayed": ", ".join(replays) or "no", "truncated from": told.truncated_from,
        "bytes": "no value" if told.value is None else len(told.value),
    }  # fmt: skip
    for name, value in facts.items():
        if value is not None:
            yield f"{name + ':':20}{printable(str(value))}"
    if told.value:
        yield ""
        yield from _body(told.value)


def _body(value: bytes) -> Iterator[str]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        yield from _hex(value)
        return
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    yield printable(text, keep="\n")


def _hex(value: bytes) -> Iterator[str]:
    for at in range(0, min(len(value), HEX_BYTES), _HEX_ROW):
        row = value[at : at + _HEX_ROW]
        seen = "".join(chr(each) if each < _ASCII and chr(each).isprintable() else "." for each in row)
        yield f"{at:08x}  {row.hex(' '):{_HEX_ROW * 3}} {seen}"
    if len(value) > HEX_BYTES:
        yield f"… and {len(value) - HEX_BYTES:,} bytes more (--raw writes them all)"


class Tally:
    """What becomes of letters, and how many of each."""

    def __init__(self) -> None:
        self.sent: Counter[tuple[str, str]] = Counter()  # reason, topic
        self.left: Counter[str] = Counter()  # why
        self._first: dict[str, str] = {}

    def add(self, decisions: Iterable[Decision]) -> None:
        for each in decisions:
            if each.why_not is None:
                self.sent[each.letter.told.reason, each.letter.origin] += 1
            else:
                self.left[each.why_not] += 1
                self._first.setdefault(each.why_not, str(each.letter.place))

    def lefts(self) -> Table:
        """What is left, why, and the first of each."""
        found = count_table("letters", "the first", "left because")
        for why, times in self.left.most_common():
            found.add_row(f"{times:,}", self._first[why], why)
        return found
