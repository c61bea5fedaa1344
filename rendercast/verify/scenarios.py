"""The lives of a file, ordinary and awkward: what is said, and by plain reasoning what must be announced. Pure.

None of it asks the state machine. Kafka keeps the order of one topic's partition only, so where a step depends on a
command of the other topic it waits for what the processor has told, as those who send such records do.
"""

import random
from collections.abc import Callable
from datetime import datetime

import orjson

from rendercast.verify.plan import KINDS, Draft, Raw, Script, draws
from rendercast.verify.recordings import recordings, replay
from schemas import Expired, Failure, Progress, Result, Snapshot, TaskChange, Track
from schemas.codec import encode

Scenario = Callable[[Draft], None]

LENGTH = 0.3
"""Of a script, as a part of the run; the last one begins so much before the end."""

STEPS = 15
"""Of a script, about."""

GENERATIONS = 20
"""Of one file; a job remembers sixteen."""

BACKLOG = 0.2
"""Scripts that begin at once."""


def completed(draft: Draft) -> None:
    """Progress, gaps, one to three sources with the URL, and all that comes too late."""
    generation = draft.track("r1", chat=draft.chat())
    draft.watched(generation)
    draft.progress(generation)
    draft.outages()
    draft.saw(TaskChange, task_id="t1", status="completed")
    draft.saw(Failure, reason="upstream_error", named=False)
    draft.cancel("r0")  # another generation's
    draft.ends(generation, "completed", draft.url())
    draft.results(draft.url(), generation, others=True)
    draft.progress(generation)
    draft.errors("t1")
    draft.saw(Expired, "poll")
    draft.ended()
    draft.cancel()


def unnamed(draft: Draft) -> None:
    """No request id: the upstream's generation id names it, or the command itself; a second tab joins."""
    upstream = draft.random.choice((None, draft.uuid()))
    generation = draft.track(upstream_generation_id=upstream)
    draft.watched(generation)
    draft.progress(generation)
    draft.track(chat=draft.chat())
    _belongs_to(draft, generation)
    draft.ends(generation, "completed", draft.url())
    draft.results(draft.url(), generation)
    draft.ended()
    draft.track(chat=draft.chat())
    _belongs_to(draft, generation)
    draft.results(draft.url())


def regenerated(draft: Draft) -> None:
    """Once more, while the upstream still serves the old URL."""
    first = draft.track("r1", chat=draft.chat())
    draft.watched(first)
    draft.ends(first, "completed", draft.url("first"))
    draft.results(draft.url("first"), first)
    draft.ended()
    second = draft.track("r2")
    draft.watched(second)
    draft.results(draft.url("first"), first)
    draft.outages()
    draft.results(draft.url("first"))
    draft.ends(second, "completed", draft.url("second"))
    draft.results(draft.url("second"), second)
    draft.results(draft.url("first"))


def superseded(draft: Draft) -> None:
    """A new generation begins before the old one has ended; what its watch still reports is stale."""
    first = draft.track("r1")
    draft.watched(first)
    draft.progress(first)
    draft.ends(first, "superseded")
    second = draft.track("r2", chat=draft.chat())
    draft.ended()
    draft.watched(second)
    draft.saw(Result, url=draft.url("first"), generation=first)
    draft.saw(Expired, "poll", generation=first)
    draft.ends(second, "completed", draft.url("second"))
    draft.results(draft.url("second"), second)


def overtaken(draft: Draft) -> None:
    """The Track of an older generation arrives after that of a newer one."""
    newer = draft.track("r2")
    draft.watched(newer)
    older = draft.track("r1", issued=86_400)
    draft.ends(older, "superseded")
    draft.ended()
    draft.generation = newer
    draft.ends(newer, "completed", draft.url())
    draft.results(draft.url(), newer)


def many(draft: Draft) -> None:
    """More generations than a job remembers, each superseded by the next."""
    *earlier, last = [f"r{number}" for number in range(1, GENERATIONS + 1)]
    for generation in earlier:
        draft.track(generation)
        draft.ends(generation, "superseded")
    draft.track(last)
    draft.watched(last)
    draft.outages()
    draft.ends(last, "completed", draft.url())
    draft.results(draft.url(), last)


def failed(draft: Draft) -> None:
    """An error of the file, by one way or two; a URL that comes after it changes nothing."""
    generation = draft.track("r1", chat=draft.chat())
    draft.watched(generation)
    draft.saw(Failure, reason="upstream_error", named=False)
    draft.outages()
    draft.ends(generation, "failed")
    draft.errors("t1")
    draft.results(draft.url())


def tried_again(draft: Draft) -> None:
    """After a failure a Track without ids begins a new generation; the old task's error is still told."""
    first = draft.track("r1")
    draft.watched(first)
    draft.ends(first, "failed")
    draft.errors("t1")
    draft.ended()
    second = draft.track()
    draft.watched(second)
    draft.errors("t1")
    draft.outages()
    draft.ends(second, "completed", draft.url())
    draft.results(draft.url(), second)


def timed_out(draft: Draft) -> None:
    """The deadline passes, and is told of more than once."""
    generation = draft.track("r1", chat=draft.chat())
    draft.watched(generation)
    draft.outages()
    draft.ends(generation, "timed_out")
    draft.saw(Expired, "poll")
    draft.progress(generation)
    draft.saw(Expired, "poll")


def late(draft: Draft) -> None:
    """A URL after the time-out wins, once."""
    generation = draft.track("r1", chat=draft.chat())
    draft.watched(generation)
    draft.outages()
    draft.ends(generation, "timed_out")
    draft.saw(Expired, "poll", generation=generation)
    draft.ends(generation, "completed", draft.url(), late=True)
    draft.results(draft.url(), generation)
    draft.saw(Expired, "poll")


def checked_late(draft: Draft) -> None:
    """Someone asks for a look at a job that has timed out, and the look finds the URL."""
    generation = draft.track("r1")
    draft.watched(generation)
    draft.ends(generation, "timed_out")
    draft.saw(Expired, "poll")
    draft.ended()
    draft.check()
    draft.watched(generation, checks=1)
    draft.ends(generation, "completed", draft.url(), late=True)
    draft.results(draft.url(), generation)


def checked_in_vain(draft: Draft) -> None:
    """The same, twice, and the looks find nothing."""
    generation = draft.track("r1")
    draft.watched(generation)
    draft.ends(generation, "timed_out")
    draft.saw(Expired, "poll")
    draft.ended()
    draft.check()
    draft.watched(generation, checks=1)
    draft.saw(Snapshot, "check", task_status="in_progress")
    draft.saw(Expired, "poll", generation=generation)
    draft.check(later=5)
    draft.watched(generation, checks=2)
    draft.saw(Expired, "poll", generation=generation)


def cancelled(draft: Draft) -> None:
    """The user gives up; the result comes all the same."""
    generation = draft.track("r1", chat=draft.chat())
    draft.watched(generation)
    draft.progress(generation)
    draft.ends(generation, "cancelled")
    draft.cancel(draft.random.choice((None, generation)))
    draft.ended()
    draft.results(draft.url(), generation)
    draft.saw(Expired, "poll")


def early(draft: Draft) -> None:
    """The upstream is faster than the command: what nobody tracks is dropped, and the first look has it again."""
    draft.saw(Progress, progress=50)
    draft.results(draft.url())
    generation = draft.track("r1")
    draft.watched(generation)
    draft.ends(generation, "completed", draft.url())
    draft.results(draft.url(), generation)


def backlog(draft: Draft) -> None:
    """Command and observations are there before anyone reads them; the watch's first look repeats the result."""
    generation = draft.track("r1", chat=draft.chat())
    draft.progress(generation)
    draft.results(draft.url(), generation)
    draft.watched(generation)
    draft.ends(generation, "completed", draft.url())
    draft.saw(Snapshot, "poll", url=draft.url(), generation=generation)


def other_media(draft: Draft) -> None:
    """Files of another kind come by on the same channel."""
    generation = draft.track("r1")
    draft.watched(generation)
    other = next(kind for kind in KINDS if kind != draft.kind)
    for source in ("sse", "poll"):
        draft.saw(Result, source, url="https://media.example/reference", kind=other)
    draft.ends(generation, "completed", draft.url())
    draft.results(draft.url(), generation)


def poisoned(draft: Draft) -> None:
    """Records that can never work, amid those that do."""
    generation = draft.track("r1")
    draft.watched(generation)
    key = draft.file_id.encode()
    stranger = Track(file_id=draft.uuid(), kind="image", issued_at=draft.start)
    draft.say("upstream", Raw(key, b"%s { is no JSON" % key, "not_json"))
    draft.say("upstream", Raw(key, orjson.dumps({"type": "progress", "file_id": draft.file_id}), "invalid"))
    draft.say("commands", Raw(key, encode(stranger), "wrong_key"))
    draft.say("commands", Raw(None, encode(stranger), "no_key"))
    draft.ends(generation, "completed", draft.url())
    draft.results(draft.url(), generation)


def recorded(draft: Draft) -> None:
    """What a connector told of one file of a faulty upstream."""
    recording = draft.random.choice(recordings())
    draft.kind = recording.kind
    generation = draft.track("r1", chat=draft.chat())
    draft.watched(generation)
    draft.ends(generation, recording.outcome, recording.url_of(draft.file_id))
    for each in replay(recording, draft.file_id, generation, draft.start):
        draft.say("upstream", each)
    draft.gaps = None


def _belongs_to(draft: Draft, generation: str) -> None:
    """The last Track joined this generation instead of beginning its own."""
    draft.generation = generation
    draft.chats = dict.fromkeys(draft.chats, generation)


SCENARIOS: dict[Scenario, int] = {
    completed: 5, recorded: 5, backlog: 2, regenerated: 2, unnamed: 1, superseded: 1, overtaken: 1, failed: 1,
    tried_again: 1, timed_out: 1, late: 1, checked_late: 1, checked_in_vain: 1, cancelled: 1, early: 1,
    other_media: 1, poisoned: 1, many: 1,
}  # fmt: skip
"""Each with its share. A run of as many jobs has every one of them."""


def make_plan(seed: int, jobs: int, seconds: float, start: datetime) -> list[Script]:
    """The scripts of a run. The same arguments give the same plan."""
    mixed = draws(seed, "plan")
    chosen = [*SCENARIOS][:jobs]
    chosen += mixed.choices([*SCENARIOS], weights=[*SCENARIOS.values()], k=jobs - len(chosen))
    mixed.shuffle(chosen)
    return [_script(scenario, mixed, seconds, start) for scenario in chosen]


def _script(scenario: Scenario, mixed: random.Random, seconds: float, start: datetime) -> Script:
    begins = 0 if mixed.random() < BACKLOG else mixed.uniform(0, seconds * (1 - LENGTH))
    draft = Draft(mixed, start, begins, pace=seconds * LENGTH / STEPS, until=seconds, scenario=scenario.__name__)
    scenario(draft)
    return draft.finished()
