"""The simulator's own record: what a client's results can be checked against."""

from collections import Counter
from http import HTTPStatus

from rendercast.simulator.faults import Faults
from rendercast.simulator.jobs import Generation, SimulatedFile, ended, is_past
from rendercast.simulator.media import media_digest, media_path
from rendercast.simulator.objects import Json
from rendercast.simulator.tally import Tally
from rendercast.simulator.world import Entry, World


def record(world: World, *, with_files: bool = True) -> Json:
    """Everything so far. `faults` counts what was drawn; a client that left early may not have suffered it."""
    hub, total = world.hub, world.total
    found: Json = {
        "seed": world.settings.seed,
        "rates": world.dice.rates.model_dump(),
        "faults": {fault: world.dice.happened[fault] for fault in Faults.model_fields},
        "open_streams": hub.listeners,
        "connects": dict(world.connects),
        "streams": {"opened": hub.opened, "open": hub.open_now, "most_open": hub.most_open},
        "total": {**_counts(total), "files": len(world.entries)},
    }
    if with_files:
        opened = hub.open_by_channel
        found["files"] = {file_id: _file(world, entry, opened) for file_id, entry in world.entries.items()}
    return found


def file_record(world: World, file_id: str) -> Json | None:
    """What the record says of one file."""
    entry = world.entries.get(file_id)
    return _file(world, entry, world.hub.open_by_channel) if entry else None


def _counts(tally: Tally) -> Json:
    return {
        "requests": tally.requests.total(),
        "requests_by_kind": dict(tally.requests),
        "statuses": {str(status): count for status, count in tally.statuses.items()},
        "rate_limited": tally.statuses[HTTPStatus.TOO_MANY_REQUESTS],
        "frames": tally.frames.total(),
        "frames_by_type": dict(tally.frames),
        "told": dict(tally.told),
        "breaks": dict(tally.broken),
    }


def _file(world: World, entry: Entry, opened: Counter[str]) -> Json:
    file, tally = entry.file, entry.tally
    generations = [_generation(world, file, each) for each in file.generations]
    return {
        "kind": file.current.order.kind,
        "project_id": file.project_id,
        "user_id": file.user_id,
        "ended": generations[-1]["ended"],
        "generations": generations,
        "urls": [url for each in file.generations for url in _urls(world, file, each)],
        "done_by_stream": tally.told_by_stream.total(),
        "done_by_poll": tally.told_by_poll.total(),
        "gets": tally.gets,
        "stream_connects": world.connects[f"file.{file.id}"],
        "streams_open": opened[f"file.{file.id}"],
        **_counts(tally),
        "faults": {fault: count for fault, count in tally.faults.items() if count},
    }


def _generation(world: World, file: SimulatedFile, generation: Generation) -> Json:
    found = ended(file, generation, world.now())
    return {
        "request_id": generation.order.request_id,
        "generation_id": generation.id,
        "behaviour": generation.order.behaviour,
        "ends": generation.ends,
        "ended": found,
        "url": generation.url if found == "completed" else None,
    }


def _urls(world: World, file: SimulatedFile, generation: Generation) -> list[Json]:
    """The URLs of a generation that are set by now, each with what was told of it."""
    if ended(file, generation, world.now()) != "completed":
        return []
    tally = world.entries[file.id].tally
    roles = [
        ("media", generation.url, generation.life.done),
        ("thumbnail", generation.thumbnail_url, generation.life.thumbnail),
    ]
    found = []
    for role, url, since in roles:
        if is_past(since, world.now()):
            digest = media_digest(media_path(url), world.settings.video_bytes)
            found.append({
                "url": url, "role": role, "generation_id": generation.id, "sha256": digest.sha256, "size": digest.size,
                "told_by_stream": tally.told_by_stream[url], "told_by_poll": tally.told_by_poll[url],
            })  # fmt: skip
    return found
