"""The simulated upstream itself: its files and projects, its one timer per file, and the record of what it said."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from rendercast.simulator import chance
from rendercast.simulator.faults import Faults
from rendercast.simulator.frames import Frame, Scope, say
from rendercast.simulator.hub import Hub
from rendercast.simulator.jobs import LIES, Generation, Order, Pace, SimulatedFile, begin, ended, is_past
from rendercast.simulator.media import media_path
from rendercast.simulator.objects import Json, file_object, foreign_object, project_object
from rendercast.simulator.outages import Outages
from rendercast.simulator.settings import SimulatorSettings
from rendercast.simulator.tally import FileTally, Tally

JITTER = 0.3
_FRESH = "fresh=1"


@dataclass(slots=True)
class Entry:
    """A file, and how far the stream has told it."""

    file: SimulatedFile
    tally: FileTally
    next_step: int = 0
    timer: asyncio.TimerHandle | None = None


class World:
    """Made inside a running event loop, whose clock it uses. `media_url` is where the media are served."""

    def __init__(self, settings: SimulatorSettings, media_url: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._media_url = media_url
        self._created = 0
        self._media: dict[str, float | None] = {}  # path: since when it is there
        self._expiring: dict[str, bool] = {}  # path of a URL that expires: whether it has been refused
        self.settings = settings
        self.dice = chance.Dice(settings.seed, settings.faults)
        self.hub = Hub()
        self.outages = Outages()
        self.total = Tally()
        self.closed = asyncio.Event()
        self.entries: dict[str, Entry] = {}
        self.projects: dict[str, list[str]] = {}
        self.connects: Counter[str] = Counter()  # streams, by channel

    def now(self) -> float:
        return self._loop.time()

    def seconds(self, simulated: float) -> float:
        """Simulated seconds in seconds of the clock."""
        return simulated / self.settings.speed

    async def pause(self, seconds: float | None = None) -> None:
        """Wait, but no longer than the simulator runs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closed.wait()

    def tallies(self, file_id: str) -> list[Tally]:
        """Where to count what concerns this file: its own, if there is such a file, and the total."""
        entry = self.entries.get(file_id)
        return [self.total] if entry is None else [self.total, entry.tally]

    def falls(self, fault: str, file_id: str, *key: object) -> bool:
        """Draw a fault, by the file's rates if it has its own, and count it."""
        entry = self.entries.get(file_id)
        if not self.dice.falls(fault, *key, rates=entry.file.rates if entry else None):
            return False
        if entry is not None:
            entry.tally.faults[fault] += 1
        return True

    def create(
        self,
        order: Order,
        *,
        project_id: str | None = None,
        user_id: str | None = None,
        file_id: str | None = None,
        seconds: float | None = None,
        rates: Faults | None = None,
    ) -> Json:
        """A new file, as its generate call answers it. `seconds` are simulated. Raises KeyError if the id is taken."""
        if file_id in self.entries:
            raise KeyError(file_id)
        file_id = file_id or self._fresh_id()
        while len(self.entries) >= self.settings.max_files:
            self._forget(next(iter(self.entries)))
        tally = FileTally()
        generation = self._begin(file_id, 1, order, seconds, rates, tally)
        file = SimulatedFile(file_id, project_id, user_id, (generation,), rates)
        self.entries[file_id] = entry = Entry(file, tally)
        if project_id is not None:
            self.open_project(project_id).append(file_id)
        self._start(entry)
        return file_object(file, file.current.life.began)

    def regenerate(self, file_id: str, order: Order, seconds: float | None = None) -> Json:
        """A new generation of a file. Raises KeyError."""
        entry = self.entries[file_id]
        file = entry.file
        if not is_past(file.current.life.done, self.now()):  # replaced before its end: its URL never comes
            self._drop_media(file.current)
        has_url = any(ended(file, each, self.now()) == "completed" for each in file.generations)
        number = len(file.generations) + 1
        generation = self._begin(file_id, number, order, seconds, file.rates, entry.tally, stale=has_url)
        entry.file = file.regenerated(generation)
        entry.next_step = 0
        self._start(entry)
        return file_object(SimulatedFile(file.id, file.project_id, file.user_id, (generation,)), generation.life.began)

    def open_project(self, project_id: str) -> list[str]:
        """The ids of the project's files; the project is made if it is not there."""
        while project_id not in self.projects and len(self.projects) >= self.settings.max_files:
            del self.projects[next(iter(self.projects))]
        return self.projects.setdefault(project_id, [])

    def poll(self, file_id: str) -> Json | None:
        """What GET answers: None for 404."""
        entry = self.entries.get(file_id)
        if entry is None:
            return None
        entry.tally.gets += 1
        current = entry.file.current
        if self.now() < current.hidden_until:
            return None
        found = file_object(entry.file, self.now() - current.poll_lag)
        if found["url"] and self._expiring.get(media_path(found["url"])):
            found["url"] += ("&" if "?" in found["url"] else "?") + _FRESH
        self._polled(entry, found["url"], "file")
        return found

    def foreign(self, file_id: str) -> Json | None:
        """What a GET that answers with another file answers."""
        entry = self.entries.get(file_id)
        return foreign_object(entry.file) if entry else None

    def project(self, project_id: str) -> Json | None:
        """What GET answers: None for 404."""
        if project_id not in self.projects:
            return None
        entries = [self.entries[each] for each in self.projects[project_id]]
        found = project_object(project_id, (each.file for each in entries), self.now())
        for entry, item in zip(entries, found["data"], strict=True):
            self._polled(entry, item["value"].get("url"), "project")
        return found

    def sent(self, frame: Frame, channel: str) -> None:
        """A stream of the channel has sent this frame."""
        for tally in self.tallies(frame.file_id):
            tally.sent(frame, channel)

    def media(self, path: str) -> str | None:
        """The path under which the bytes are made, or None: no such URL, or not yet set."""
        path = media_path(path)
        return path if is_past(self._media.get(path), self.now()) else None

    def refuses(self, path: str, query: str) -> bool:
        """Whether a media URL has expired. Once one has been refused, GET tells another."""
        path = media_path(path)
        if path not in self._expiring or _FRESH in query:
            return False
        self._expiring[path] = True
        return True

    def close(self) -> None:
        self.closed.set()
        self.hub.close()
        for entry in self.entries.values():
            if entry.timer is not None:
                entry.timer.cancel()

    def _polled(self, entry: Entry, url: str | None, what: str) -> None:
        if url:
            for tally in (self.total, entry.tally):
                tally.polled(url, what)

    def _fresh_id(self) -> str:
        while True:
            self._created += 1
            found = chance.uuid(self.settings.seed, "file", self._created)
            if found not in self.entries:
                return found

    def _begin(
        self,
        file_id: str,
        number: int,
        order: Order,
        seconds: float | None,
        rates: Faults | None,
        tally: FileTally,
        *,
        stale: bool = False,
    ) -> Generation:
        settings = self.settings

        def falls(fault: str) -> bool:
            fallen = self.dice.falls(fault, file_id, number, rates=rates)
            tally.faults[fault] += fallen
            return fallen

        if seconds is None:
            usual = settings.video_seconds if order.kind == "video" else settings.image_seconds
            seconds = usual * (1 + JITTER * (2 * chance.uniform(settings.seed, "seconds", file_id, number) - 1))
        if falls("never_ends"):
            order = replace(order, behaviour="never_ends")
        pace = Pace(
            seconds=self.seconds(seconds),
            stale_seconds=self.seconds(settings.stale_seconds) if stale else 0,
            poll_lag=self.seconds(settings.late_poll_seconds) if falls("late_poll") else 0,
            stream_lag=self.seconds(settings.late_result_seconds) if falls("late_result") else 0,
            hidden_seconds=self.seconds(settings.hidden_seconds) if number == 1 and falls("not_found_at_first") else 0,
            result_lost=falls("result_lost"),
            foreign_file=falls("foreign_file"),
            lies=tuple(filter(falls, LIES)),
            huge_bytes=settings.huge_bytes,
        )
        key = f"{settings.seed}/{file_id}/{number}"
        generation = begin(key, number, order, pace, now=self.now(), media_url=self._media_url)
        life = generation.life
        self._add_media(generation.url, life.done)
        self._add_media(generation.thumbnail_url, life.thumbnail)
        self._add_media(generation.foreign_url, life.began)
        if falls("url_expires"):
            self._expiring[media_path(generation.url)] = False
        return generation

    def _start(self, entry: Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
        entry.timer = self._loop.call_at(entry.file.current.life.began, self._tell, entry)

    def _tell(self, entry: Entry) -> None:
        """Tell the steps that are due, and come back for the next."""
        file, steps = entry.file, entry.file.current.life.steps
        while entry.next_step < len(steps) and steps[entry.next_step].at <= self.now():
            step = steps[entry.next_step]
            entry.next_step += 1
            for channel, scope in _channels(file):
                if self.hub.heard(channel):
                    self.hub.publish(channel, say(file, step, scope))
        entry.timer = None
        if entry.next_step < len(steps):
            entry.timer = self._loop.call_at(steps[entry.next_step].at, self._tell, entry)

    def _add_media(self, url: str, since: float | None) -> None:
        self._media[media_path(url)] = since

    def _drop_media(self, generation: Generation) -> None:
        for url in (generation.url, generation.thumbnail_url, generation.foreign_url):
            self._media.pop(media_path(url), None)
            self._expiring.pop(media_path(url), None)

    def _forget(self, file_id: str) -> None:
        entry = self.entries.pop(file_id)
        if entry.timer is not None:
            entry.timer.cancel()
        for generation in entry.file.generations:
            self._drop_media(generation)
        siblings = self.projects.get(entry.file.project_id or "", [])
        if file_id in siblings:
            siblings.remove(file_id)
        self.connects.pop(f"file.{file_id}", None)


def _channels(file: SimulatedFile) -> Iterable[tuple[str, Scope]]:
    yield f"file.{file.id}", "file"
    if file.project_id is not None:
        yield f"project.{file.project_id}", "project"
    if file.user_id is not None:
        yield f"user.{file.user_id}", "project"
