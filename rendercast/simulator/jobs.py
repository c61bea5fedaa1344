"""A simulated file and its generations: what happens when. Pure; time is the caller's, in seconds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from rendercast.simulator.chance import coin, pick, uniform, uuid
from rendercast.simulator.faults import Faults

Kind = Literal["image", "video"]
Behaviour = Literal["plain", "fails", "never_ends", "tasks_done_no_url", "bare_error"]
"""How a generation goes. `tasks_done_no_url`: all tasks are completed long before the URL. `bare_error`: an `error`
frame that names no file, and a result all the same."""
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
End = Literal["completed", "failed", "never"]
ENDS: dict[Behaviour, End] = {"fails": "failed", "never_ends": "never"}

Lie = Literal["foreign_result", "wrong_kind", "bad_ids", "wild_progress", "huge_frame"]
"""What the stream says beside the truth, called as its fault."""
LIES: tuple[Lie, ...] = get_args(Lie)

PROGRESS_FRAMES = 8
FAILS_AT = 0.7
STALLS_AT = 0.6
TASKS_DONE_AT = 0.92
TASKS_DONE_EARLY_AT = 0.35
FOREIGN_AT = 0.3
LIES_AT = 0.45
LONGEST_STALE = 0.6  # an old URL is gone before the new one is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a caller asked for."""

    kind: Kind
    behaviour: Behaviour = "plain"
    prompt: str = "a simulated prompt"
    model: str = "comfyui/ltx"
    flow: str = ""
    aspect_ratio: str | None = None
    duration: float | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the stream tells. `value` is a percent, a task's status or a size in bytes."""

    at: float
    what: Literal["task", "progress", "task_status", "result", "thumbnail", "error", "foreign", "stale"] | Lie
    value: float | str | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """The moments of one generation. What never happens is None."""

    began: float
    tasks_done: float | None
    failed: float | None
    done: float | None
    thumbnail: float | None
    stale_until: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """One run of a file.

    `poll_lag`: how far GET is behind. `hidden_until`: when GET stops answering 404. `foreign_url`: of another file,
    for those faults that tell of one.
    """

    number: int
    id: str
    task_id: str
    order: Order
    life: Life
    url: str
    thumbnail_url: str
    foreign_url: str
    poll_lag: float = 0
    hidden_until: float = 0

    @property
    def ends(self) -> End:
        return ENDS.get(self.order.behaviour, "completed")


@dataclass(frozen=True, slots=True)
class SimulatedFile:
    """A file; its newest generation is the last. `rates` are faults of its own."""

    id: str
    project_id: str | None
    user_id: str | None
    generations: tuple[Generation, ...]
    rates: Faults | None = None

    @property
    def current(self) -> Generation:
        return self.generations[-1]

    def regenerated(self, generation: Generation) -> "SimulatedFile":
        return replace(self, generations=(*self.generations, generation))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long this generation takes and what was drawn for it, in seconds of the caller's clock."""

    seconds: float
    stale_seconds: float = 0
    poll_lag: float = 0
    stream_lag: float = 0
    hidden_seconds: float = 0
    result_lost: bool = False
    foreign_file: bool = False
    lies: tuple[Lie, ...] = ()
    huge_bytes: int = 0


def begin(key: str, number: int, order: Order, pace: Pace, *, now: float, media_url: str) -> Generation:
    """The generation that begins now. `key` names it: the same key has the same ids, URLs and ways of speaking."""
    generation_id = uuid(key, "generation")
    suffix = ".mp4" if order.kind == "video" else ".png"
    foreign_suffix = pick(("-foreign.png", f"-foreign{suffix}"), generation_id, "foreign")
    return Generation(
        number=number,
        id=generation_id,
        task_id=uuid(key, "task"),
        order=order,
        life=_life(generation_id, order, pace, now),
        url=_url(media_url, generation_id, suffix),
        thumbnail_url=_url(media_url, generation_id, "-thumbnail.png"),
        foreign_url=_url(media_url, generation_id, foreign_suffix),
        poll_lag=pace.poll_lag,
        hidden_until=now + pace.hidden_seconds,
    )


def ended(file: SimulatedFile, generation: Generation, now: float) -> End | None:
    """How the generation has ended by now; one that was replaced before its end never ends."""
    life = generation.life
    if file.current is not generation and not is_past(_end(life), file.generations[generation.number].life.began):
        return "never"
    if generation.ends == "never" or is_past(_end(life), now):
        return generation.ends
    return None


def _end(life: Life) -> float | None:
    return life.done if life.failed is None else life.failed


def is_past(moment: float | None, now: float) -> bool:
    """Whether the moment has come. What never happens has not."""
    return moment is not None and moment <= now


def _url(media_url: str, generation_id: str, suffix: str) -> str:
    """Untidy as upstream's are: unpadded dates, here and there a backslash or a query."""
    month, day = 1 + int(uniform(generation_id, "month") * 12), 1 + int(uniform(generation_id, "day") * 28)
    separator = pick("///\\", generation_id, "separator")
    query = pick(("", "", "", f"?v={generation_id[:8]}"), generation_id, "query")
    return f"{media_url}/2026/{month}/{day}{separator}{generation_id}{suffix}{query}"


def _life(generation_id: str, order: Order, pace: Pace, now: float) -> Life:
    def at(part: float) -> float:
        return now + part * pace.seconds

    ends = ENDS.get(order.behaviour, "completed")
    tasks_done = at(TASKS_DONE_EARLY_AT if order.behaviour == "tasks_done_no_url" else TASKS_DONE_AT)
    thumbnail_late = pick((0, 0, 0.1, 0.25), generation_id, "thumbnail")
    life = Life(
        began=now,
        tasks_done=tasks_done if ends == "completed" else None,
        failed=at(FAILS_AT) if ends == "failed" else None,
        done=at(1) if ends == "completed" else None,
        thumbnail=at(1 + thumbnail_late) if ends == "completed" else None,
        stale_until=now + min(pace.stale_seconds, LONGEST_STALE * pace.seconds),
        steps=(),
    )
    steps = _steps(generation_id, order, pace, life)
    return replace(life, steps=tuple(sorted(steps, key=lambda step: step.at)))


def _steps(generation_id: str, order: Order, pace: Pace, life: Life) -> Iterator[Step]:
    yield Step(life.began, "task", "in_progress")
    stale = life.stale_until - life.began
    if stale:
        yield Step(life.began + 0.3 * stale, "stale")
        yield Step(life.began + 0.7 * stale, "stale")
    last = {"failed": FAILS_AT, "never": STALLS_AT}.get(ENDS.get(order.behaviour, ""), 1)
    for number in range(1, PROGRESS_FRAMES + 1):
        part = number / (PROGRESS_FRAMES + 1)
        if part < last:
            yield Step(life.began + part * pace.seconds, "progress", round(100 * part))
    yield from _asides(order, pace, life.began)
    if life.failed is not None:
        yield Step(life.failed, "task", "error")
        yield Step(life.failed, "task_status", "ERROR")
        yield Step(life.failed, "error")
    if life.tasks_done is not None and not (pace.result_lost and coin(generation_id, "silent")):
        yield Step(life.tasks_done + pace.stream_lag, "task", "completed")
        yield Step(life.tasks_done + pace.stream_lag, "task_status", "COMPLETED")
    if life.done is not None and life.thumbnail is not None and not pace.result_lost:
        yield Step(life.done + pace.stream_lag, "result")
        if life.thumbnail > life.done:
            yield Step(life.thumbnail + pace.stream_lag, "thumbnail")


def _asides(order: Order, pace: Pace, began: float) -> Iterator[Step]:
    """What is said beside the job itself."""
    if pace.foreign_file:
        yield Step(began + FOREIGN_AT * pace.seconds, "foreign")
    for number, lie in enumerate(pace.lies):
        at = began + (LIES_AT + 0.02 * number) * pace.seconds
        yield Step(at, lie, pace.huge_bytes if lie == "huge_frame" else None)
    if order.behaviour == "bare_error":
        yield Step(began + pace.seconds / 2, "error")
