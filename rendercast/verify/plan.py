"""What will be said to the processor, and what it has to announce: drawn from a seed before anything runs. Pure."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from schemas import Cancel, Check, Command, Failure, Gap, Kind, Observation, Outcome, Progress, Result, Snapshot, Track
from schemas.base import ChatRef, Source
from schemas.codec import timestamp
from schemas.ids import anonymous_generation

SourceTopic = Literal["commands", "upstream"]
Poison = Literal["not_json", "invalid", "wrong_key", "no_key"]
"""Why a record can never work, as its dead letter says it."""

SOURCES: tuple[Source, ...] = ("sse", "poll", "check")
KINDS: tuple[Kind, ...] = ("image", "video", "audio")
ENDINGS = {"image": "png", "video": "mp4", "audio": "mp3"}
REPEATED = 0.3
"""How often a producer says the same once more."""


def draws(seed: int, what: str) -> random.Random:
    """One of the seed's series of draws; what is drawn from one changes nothing in the others."""
    return random.Random(f"{seed}/{what}")  # noqa: S311 - what happens, no secret


class Fact(NamedTuple):
    """What the processor has told of a generation: `watch 0` (and 1, 2, … checks), or its outcome."""

    file_id: str
    generation: str
    what: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that are no record of ours."""

    key: bytes | None
    value: bytes
    reason: Poison


@dataclass(frozen=True, slots=True)
class Say:
    """Write this, not before `at` seconds."""

    at: float
    topic: SourceTopic
    record: Command | Observation | Raw


@dataclass(frozen=True, slots=True)
class Await:
    """Go on when the processor has told this: a connector observes what it was told to watch, a user what he saw."""

    fact: Fact


class Announced(NamedTuple):
    """One outcome that has to be on `completions`, once."""

    generation: str
    outcome: Outcome
    url: str | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """All that is said of one file, in order, and what has to come of it."""

    scenario: str
    file_id: str
    steps: tuple[Say | Await, ...]
    announced: tuple[Announced, ...]  # in their order on the topic
    generation: str  # the one that the document shows at the end
    chats: Mapping[str, str]  # chat id → generation that it shows
    gaps: int | None = 0  # that the document counts; None where it depends on who is quicker
    poison: tuple[Raw, ...] = ()


@dataclass(slots=True)
class Draft:
    """A script in the making. Its clock moves with every step that is said, by `pace` on average, up to `until`."""

    random: random.Random
    start: datetime
    clock: float
    pace: float
    until: float
    scenario: str = ""
    steps: list[Say | Await] = field(default_factory=list)
    announced: list[Announced] = field(default_factory=list)
    generation: str = ""
    gaps: int | None = 0
    chats: dict[str, str] = field(default_factory=dict)
    file_id: str = field(init=False)
    kind: Kind = field(init=False)

    def __post_init__(self) -> None:
        self.file_id = self.uuid()
        self.kind = self.random.choice(KINDS)

    def uuid(self) -> str:
        """A new one."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    # ---------------------------------------------------------- commands

    def track(self, request_id: str | None = None, *, issued: float = 0, **fields: Any) -> str:
        """Track, at times said twice by its producer; the generation it names. It was issued `issued` seconds ago."""
        self.gaps = 0
        at = self._now() - timedelta(seconds=issued)
        command = Track(file_id=self.file_id, kind=self.kind, request_id=request_id, issued_at=at, **fields)
        self.say("commands", *self._repeated(command))
        named = command.request_id or command.upstream_generation_id
        self.generation = named or anonymous_generation(self.file_id, timestamp(command.issued_at))
        if command.chat is not None:
            self.chats[command.chat.chat_id] = self.generation
        return self.generation

    def check(self, *, later: float = 0) -> None:
        """Several clicks in one second."""
        command = Check(file_id=self.file_id, issued_at=self._now() + timedelta(seconds=later))
        self.say("commands", *[command] * self.random.randint(1, 4))

    def cancel(self, generation: str | None = None) -> None:
        self.say(
            "commands", *self._repeated(Cancel(file_id=self.file_id, generation=generation, issued_at=self._now()))
        )

    def chat(self) -> ChatRef:
        return ChatRef(chat_id=self.uuid())

    # ------------------------------------------------------ observations

    def saw(self, shape: Any, source: Source = "sse", **fields: Any) -> None:
        """An observation of this file, now."""
        self.say("upstream", shape(file_id=self.file_id, source=source, observed_at=self._now(), **fields))

    def progress(self, generation: str | None = None) -> None:
        """One to four steps, some of them told twice or falling back."""
        for _ in range(self.random.randint(1, 4)):
            percent = self.random.choice((0, 10, 25, 40, 60, 80, 100))
            self.saw(Progress, "sse", progress=percent, generation=generation)

    def outages(self) -> None:
        """Gaps, the only observations of which every one counts: applied once more, or not at all, it shows."""
        for _ in range(self.random.randint(1, 4)):
            self.saw(Gap, since=self.start, until=self.start, cause="reset")
            self.gaps = (self.gaps or 0) + 1

    def results(self, url: str, generation: str | None = None, *, others: bool = False) -> None:
        """The URL by one to three sources, with repeats. With `others`, all but the first carry another signature."""
        found: list[Source] = self.random.sample(SOURCES, self.random.randint(1, len(SOURCES)))
        found += [source for source in found if self.random.random() < REPEATED]
        for number, source in enumerate(found):
            told = f"{url}?signature={number}" if others and number else url
            shape = self.random.choice((Result, Snapshot))
            self.saw(shape, source, url=told, generation=self.random.choice((generation, None)))

    def errors(self, task_id: str) -> None:
        """The upstream's ways to say that this file has failed."""
        ways: list[tuple[Any, Source, dict[str, object]]] = [
            (Failure, "sse", {"reason": "upstream_error", "task_id": task_id}),
            (Snapshot, "poll", {"task_status": "error", "task_id": task_id}),
        ]
        for shape, source, fields in self.random.choices(ways, k=self.random.randint(1, 3)):
            self.saw(shape, source, **fields)

    def url(self, name: str = "result") -> str:
        return f"https://media.example/{self.file_id}/{name}.{ENDINGS[self.kind]}"

    # ------------------------------------------------------------ and so on

    def say(self, topic: SourceTopic, *records: Command | Observation | Raw) -> None:
        self.steps += [Say(self.clock, topic, each) for each in records]
        self.clock = min(self.clock + self.random.expovariate(1 / self.pace), self.until)

    def watched(self, generation: str, checks: int = 0) -> None:
        """Wait for the watch, as the connector does."""
        self.steps.append(Await(Fact(self.file_id, generation, f"watch {checks}")))

    def ends(self, generation: str, outcome: Outcome, url: str | None = None, *, late: bool = False) -> None:
        """This has to be announced next."""
        self.announced.append(Announced(generation, outcome, url, late))

    def ended(self) -> None:
        """Wait for the last outcome that has to be announced, as a user does."""
        last = self.announced[-1]
        self.steps.append(Await(Fact(self.file_id, last.generation, last.outcome)))

    def finished(self) -> Script:
        poison = tuple(each.record for each in self.steps if isinstance(each, Say) and isinstance(each.record, Raw))
        return Script(
            self.scenario,
            self.file_id,
            tuple(self.steps),
            tuple(self.announced),
            self.generation,
            self.chats,
            self.gaps,
            poison,
        )

    def _now(self) -> datetime:
        return self.start + timedelta(seconds=self.clock)

    def _repeated(self, command: Command) -> list[Command]:
        return [command] * (2 if self.random.random() < REPEATED else 1)
