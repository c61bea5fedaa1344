"""What came out, held against what had to: everything that is lost, told twice, wrong or left behind. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

from rendercast.verify.plan import Announced, Script
from schemas import Artifact, Completion, Job, StorageRequest, Watch
from schemas.ids import outcome_id

R = TypeVar("R", Completion, StorageRequest, Artifact)

What = Literal[
    "lost",  # an outcome, or the request to store its result, is missing
    "announced_twice",  # the same outcome, storage request or artifact again
    "unexpected",  # an outcome that was not due, or with another URL, or out of order
    "stale_documents",  # the last document, or a chat's last artifact, does not show the announced outcome
    "miscounted_documents",  # an event was applied twice, or not at all
    "unended_jobs",
    "open_watches",  # of an ended job
    "dead_letters",  # of a record that was good, or missing of one that was not
    "changed_by_reset",
]


class Problem(NamedTuple):
    """One thing that must not be."""

    what: What
    file_id: str | None
    words: str


@dataclass(slots=True)
class Evidence:
    """What a `read_committed` reader finds on the topics. Of documents and watches the last; None is a tombstone."""

    completions: list[Completion] = field(default_factory=list)
    documents: dict[str, Job | None] = field(default_factory=dict)
    watches: dict[str, Watch | None] = field(default_factory=dict)
    storage: list[StorageRequest] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    dead_letters: list[tuple[str, bytes | None]] = field(default_factory=list)  # reason, value


def audit(plan: Iterable[Script], evidence: Evidence, said_again: Collection[str] = ()) -> list[Problem]:
    """Every broken promise; empty when all were kept. Of files of which something was said again, gaps do not count."""
    plan = list(plan)
    told, stored, shown = _by_file(evidence.completions), _by_file(evidence.storage), _by_file(evidence.artifacts)
    found: list[Problem] = []
    for script in plan:
        file_id = script.file_id
        found += _completions(script, told.pop(file_id, []))
        found += _document(script, evidence.documents.get(file_id), is_counted=file_id not in said_again)
        if evidence.watches.get(file_id) is not None:
            found.append(Problem("open_watches", file_id, "has ended, and is still to be watched"))
        found += _storage(script, stored.pop(file_id, []))
        found += _artifacts(script, shown.pop(file_id, []))
    found += [
        Problem("unexpected", file_id, f"{type(records[0]).__name__} of a file that nobody tracked")
        for left in (told, stored, shown)
        for file_id, records in left.items()
    ]
    return [*found, *_dead_letters(plan, evidence.dead_letters)]


def changed(before: Evidence, after: Evidence) -> list[Problem]:
    """What reading the source topics once more has changed: nothing should."""
    found = [
        Problem("changed_by_reset", file_id, f"document changed from version {_version(document)} to {_version(now)}")
        for file_id, document in before.documents.items()
        if (now := after.documents.get(file_id)) != document
    ]
    counts = ((len(before.completions), len(after.completions)), (len(before.storage), len(after.storage)),
              (len(before.artifacts), len(after.artifacts)))  # fmt: skip
    for name, (was, now_is) in zip(("completions", "storage", "artifacts"), counts, strict=True):
        if was != now_is:
            found.append(Problem("changed_by_reset", None, f"{name}: {was} records became {now_is}"))
    return found


def _completions(script: Script, told: list[Completion]) -> Iterator[Problem]:
    def name(each: Announced) -> str:
        return outcome_id(script.file_id, each.generation, each.outcome)

    expected = {name(each): each for each in script.announced}
    for each_id, times in Counter(each.id for each in told).items():
        if times > 1:
            yield Problem("announced_twice", script.file_id, f"outcome {each_id} announced {times} times")
    for each_id, each in expected.items():
        if not any(one.id == each_id for one in told):
            yield Problem("lost", script.file_id, f"{each.generation} {each.outcome}: was not announced")
    for one in told:
        seen = Announced(one.generation, one.outcome, one.url, one.late)
        if expected.get(one.id) != seen:
            yield Problem("unexpected", script.file_id, f"announced {seen}, due was {expected.get(one.id)}")
    order = [each for each in dict.fromkeys(one.id for one in told) if each in expected]
    if order != [each for each in expected if each in order]:
        yield Problem("unexpected", script.file_id, f"announced in the order {[one.outcome for one in told]}")


def _document(script: Script, job: Job | None, *, is_counted: bool) -> Iterator[Problem]:
    if job is None:
        yield Problem("unended_jobs", script.file_id, "has no document")
        return
    if job.outcome is None:
        yield Problem("unended_jobs", script.file_id, f"is {job.status} in generation {job.generation}")
        return
    last = [each for each in script.announced if each.generation == script.generation][-1]
    shown = Announced(job.generation, job.outcome, job.url, job.late)
    if shown != last or job.watching:
        yield Problem("stale_documents", script.file_id, f"shows {shown}, watching {job.watching}; due was {last}")
    if is_counted and script.gaps not in (None, job.gaps):
        yield Problem("miscounted_documents", script.file_id, f"counts {job.gaps} gaps; {script.gaps} were said")


def _storage(script: Script, requests: list[StorageRequest]) -> Iterator[Problem]:
    asked = Counter((each.generation, each.url) for each in requests if each.role == "media")
    due = Counter((each.generation, each.url) for each in script.announced if each.url is not None)
    for generation, url in due - asked:
        yield Problem("lost", script.file_id, f"{generation}: nobody was asked to store {url}")
    for generation, url in asked - due:
        is_repeat = (generation, url) in due
        yield Problem(
            "announced_twice" if is_repeat else "unexpected", script.file_id, f"{generation}: asked to store {url}"
        )


def _artifacts(script: Script, artifacts: list[Artifact]) -> Iterator[Problem]:
    last: dict[tuple[str, str], Artifact] = {}
    for each in artifacts:
        key = (each.chat.chat_id, each.generation)
        if key in last and each.version <= last[key].version:
            yield Problem("announced_twice", script.file_id, f"artifact version {each.version} again")
        last[key] = each
    for chat_id, generation in script.chats.items():
        shown = last.get((chat_id, generation))
        due = [each.outcome for each in script.announced if each.generation == generation][-1]
        if shown is None or shown.outcome != due:
            outcome = shown and shown.outcome
            yield Problem("stale_documents", script.file_id, f"chat {chat_id} shows {outcome}; due was {due}")


def _dead_letters(plan: Iterable[Script], found: Iterable[tuple[str, bytes | None]]) -> Iterator[Problem]:
    """A dead letter may be repeated (`ARCHITECTURE.md` promises no more), so here sets are compared."""
    seen = set(found)
    due = {(raw.reason, raw.value): script.file_id for script in plan for raw in script.poison}
    for reason, value in seen - due.keys():
        yield Problem("dead_letters", None, f"a good record among the dead letters, as {reason}: {value!r:.200}")
    for each in due.keys() - seen:
        yield Problem("dead_letters", due[each], f"no dead letter for a record that is {each[0]}")


def _by_file(records: Iterable[R]) -> dict[str, list[R]]:
    found: dict[str, list[R]] = defaultdict(list)
    for each in records:
        found[each.file_id].append(each)
    return found


def _version(document: Job | None) -> int | None:
    return None if document is None else document.version
