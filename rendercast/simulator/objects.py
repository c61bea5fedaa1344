"""What REST answers about files and projects at a moment. Pure."""

from collections.abc import Iterable
from typing import Any

from rendercast.simulator.chance import coin, uniform, uuid
from rendercast.simulator.jobs import Generation, SimulatedFile, ended, is_past

Json = dict[str, Any]


def file_object(file: SimulatedFile, now: float) -> Json:
    """The file as it is now. For a while after a regeneration it still has the old URL.

    In the first half of that while everything is old; in the second generation and tasks are new, the URL is not.
    """
    current, shown = file.current, file.generations
    old = last_done(file)
    stale = current.life.stale_until - now if old else 0
    if old and stale > (current.life.stale_until - current.life.began) / 2:
        shown, current = file.generations[: old.number], old
    source = old if old and stale > 0 else current
    url = source.url if is_past(source.life.done, now) else None
    thumbnail_url = source.thumbnail_url if is_past(source.life.thumbnail, now) else None
    order = current.order
    detail = {
        "id": current.id, "prompt": order.prompt, "duration": order.duration, "aspect_ratio": order.aspect_ratio,
        "generation_config_name": order.model, "negative_prompt": None,
        "seed": int(uniform(current.id, "seed") * 10**12),
    }  # fmt: skip
    found: Json = {"id": file.id, "url": url, "thumbnail_url": thumbnail_url, "type": order.kind}
    for kind in ("image", "video", "audio"):
        found[f"{kind}_generation_id"] = current.id if kind == order.kind else None
        found[f"{kind}_generation"] = detail if kind == order.kind else None
    found["duration"] = order.duration if url else None
    found["tasks"] = [task_object(file, each, now) for each in shown if _shows_task(each, now)]
    if file.project_id is not None:
        found["project_id"] = file.project_id
    return found


def task_object(file: SimulatedFile, generation: Generation, now: float) -> Json:
    """The one task of a generation, without progress: the stream tells that."""
    life, order = generation.life, generation.order
    status = "in_progress"
    if is_past(life.failed, now):
        status = "error"
    elif is_past(life.tasks_done, now):
        status = "completed"
    return {
        "type": order.flow or f"{order.kind}-generation-flow", "status": status, "id": generation.task_id,
        "file_id": file.id, "project_id": file.project_id,
    }  # fmt: skip


def project_object(project_id: str, files: Iterable[SimulatedFile], now: float) -> Json:
    """A project and its files. Some never show a URL here: those files must be fetched."""
    data, tasks = [], []
    for file in files:
        shown = file_object(file, now - file.current.poll_lag)
        value = {"file_id": file.id, "type": shown["type"]}
        if coin(file.id, "value"):
            value |= {"url": shown["url"], "thumbnail_url": shown["thumbnail_url"]}
        data.append({"id": uuid(project_id, file.id), "type": "file", "value": value})
        tasks += shown["tasks"]
    return {"id": project_id, "tasks": tasks, "data": data}


def foreign_object(file: SimulatedFile) -> Json:
    """Another file of the same project, already done: a reference image, or one of the same kind."""
    current = file.current
    kind = "video" if ".mp4" in current.foreign_url else "image"
    return {
        "id": uuid(current.id, "foreign"), "url": current.foreign_url, "thumbnail_url": None, "type": kind, "tasks": [],
        f"{kind}_generation_id": uuid(current.id, "foreign generation"),
    }  # fmt: skip


def last_done(file: SimulatedFile) -> Generation | None:
    """The earlier generation whose URL is still told, if there is one."""
    began = file.current.life.began
    return next((each for each in reversed(file.generations[:-1]) if ended(file, each, began) == "completed"), None)


def _shows_task(generation: Generation, now: float) -> bool:
    """Image calls answer before the task exists, and some image files never show theirs."""
    order = generation.order
    if order.kind == "video" or generation.number > 1:
        return True
    if order.behaviour == "plain" and coin(generation.id, "tasks"):
        return False
    return now > generation.life.began
