"""Which stream each watch listens to.

Every watch begins on its file's own stream. Once two or more watches of a project are in this process, the project's
stream is opened beside: a watch moves to it when it has carried a frame of the watch's file (or, by setting, as soon as
it is live), and keeps its own stream a little longer, so that nothing falls between the two. A project's stream that is
lost and not soon back, or that never carries anything, gives its watches back to their own streams.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from connectors.upstream import metrics
from connectors.upstream.parser import Channel
from connectors.upstream.shared import Shared
from connectors.upstream.stream import Stream
from connectors.upstream.watch import Watcher
from schemas import is_uuid

log = structlog.get_logger()

T = TypeVar("T")

_SHARED_FROM = 2
"""Watches of one project in this process: from so many on they may share its stream."""


@dataclass(slots=True)
class _Open:
    """A stream that is open or being opened. `alarm` closes it, or gives its watches back."""

    stream: Stream
    task: asyncio.Task[None]
    alarm: asyncio.TimerHandle | None = None
    carried: bool = False


@dataclass(slots=True)
class _Project:
    watchers: set[Watcher] = field(default_factory=set)
    tried_with: int = 0
    """How many watches there were when its stream was last tried in vain: a later one is a reason to try again."""


class Channels:
    """All streams of a process."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._open: dict[Channel, _Open] = {}
        self._projects: dict[str, _Project] = defaultdict(_Project)
        self._overlaps: dict[Watcher, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._open)

    def join(self, watcher: Watcher) -> None:
        """A watch begins: its file's stream is opened, or the one it may share is listened to."""
        project = self._project(watcher)
        shared = self._open.get(project) if project else None
        if project is not None:
            self._projects[project.id].watchers.add(watcher)
        if shared is not None and self._may_move_at_once(shared.stream):
            shared.stream.attach(watcher)
            watcher.start(shared.stream.clock)
            return
        own = self._stream(_own(watcher))
        own.attach(watcher)
        watcher.start(own.clock)
        if project is not None:
            self._try_out(project)

    def leave(self, watcher: Watcher) -> None:
        """A watch has ended: streams that nobody needs any more are closed."""
        if overlap := self._overlaps.pop(watcher, None):
            overlap.cancel()
        project = self._project(watcher)
        if project is not None and (known := self._projects.get(project.id)):
            known.watchers.discard(watcher)
            if not known.watchers:
                del self._projects[project.id]
        for channel in (_own(watcher), project):
            if channel is not None and (found := self._open.get(channel)):
                found.stream.detach(watcher)
                self._close_if_idle(found)

    def _project(self, watcher: Watcher) -> Channel | None:
        """The project's channel, if the watch may share it. A project's id is others' text: it need not be a UUID."""
        found = watcher.watch.project_id
        if self._settings.project_streams == "never" or found is None or not is_uuid(found):
            return None
        return Channel("project", found)

    def _stream(self, channel: Channel) -> Stream:
        found = self._open.get(channel)
        if found is None:
            stream = Stream(channel, self._shared, self._carried, self._changed)
            task = self._shared.tasks.create_task(stream.run(), name=f"stream {channel}")
            found = self._open[channel] = _Open(stream, task)
        return found.stream

    def _close_if_idle(self, found: _Open) -> None:
        if not found.stream.watchers and found.alarm is None and found.stream.channel.kind != "file":
            found.alarm = _later(self._settings.trial_seconds, self._give_up, found)
        if found.stream.is_idle and self._open.get(found.stream.channel) is found:
            del self._open[found.stream.channel]
            if found.alarm is not None:
                found.alarm.cancel()
            found.task.cancel()

    # The shared streams.

    def _may_move_at_once(self, stream: Stream) -> bool:
        return self._settings.project_streams == "always" and stream.clock.is_live(_now())

    def _try_out(self, project: Channel) -> None:
        """Open the project's stream if enough watches would share it, and have those hope that are not on it."""
        known = self._projects[project.id]
        if project not in self._open and (
            len(known.watchers) < _SHARED_FROM or len(known.watchers) <= known.tried_with
        ):
            return
        stream = self._stream(project)
        for each in known.watchers:
            if not each.relies_on(stream.clock):
                stream.hope(each)
        found = self._open[project]
        if found.alarm is None and not stream.watchers:
            found.alarm = _later(self._settings.trial_seconds, self._give_up, found)

    def _carried(self, stream: Stream, watcher: Watcher) -> None:
        """A frame of this watch's file came on a stream that it does not rely on yet."""
        self._move(self._open[stream.channel], watcher)

    def _changed(self, stream: Stream) -> None:
        """A stream has opened, or is lost."""
        found = self._open.get(stream.channel)
        if found is None or stream.channel.kind == "file":
            return
        if stream.clock.live_at is None:
            for each in stream.watchers:
                if overlap := self._overlaps.get(each):
                    overlap.cancel()
                    self._end_overlap(each)
            if stream.watchers and found.alarm is None:
                found.alarm = _later(self._settings.poll_after_seconds, self._give_back, found)
            return
        if found.alarm is not None and found.carried:
            found.alarm.cancel()
            found.alarm = None
        if self._settings.project_streams == "always":
            for each in tuple(stream.hopefuls.values()):
                self._move(found, each)

    def _move(self, found: _Open, watcher: Watcher) -> None:
        """From its own stream to the shared one, with a time on both."""
        if found.alarm is not None:
            found.alarm.cancel()
            found.alarm = None
        found.carried = True
        self._projects[found.stream.channel.id].tried_with = 0
        found.stream.attach(watcher)
        watcher.rely_on(found.stream.clock)
        metrics.MOVES.labels("project").inc()
        if known := self._overlaps.pop(watcher, None):
            known.cancel()
        self._overlaps[watcher] = _later(self._settings.overlap_seconds, self._end_overlap, watcher)

    def _end_overlap(self, watcher: Watcher) -> None:
        del self._overlaps[watcher]
        own, project = self._open.get(_own(watcher)), self._project(watcher)
        shared = self._open.get(project) if project is not None else None
        if own is None:
            return
        if shared is not None and not shared.stream.clock.is_live(_now()):  # lost already: stay
            watcher.rely_on(own.stream.clock)
            shared.stream.detach(watcher)
            shared.stream.hope(watcher)
            metrics.MOVES.labels("file").inc()
            self._close_if_idle(shared)
            return
        own.stream.detach(watcher)
        self._close_if_idle(own)

    def _give_back(self, found: _Open) -> None:
        """The shared stream was lost and is not back: its watches listen to their own again, and hope."""
        found.alarm = None
        for each in found.stream.watchers:
            if overlap := self._overlaps.pop(each, None):
                overlap.cancel()
            own = self._stream(_own(each))
            own.attach(each)
            each.rely_on(own.clock)
            found.stream.detach(each)
            found.stream.hope(each)
            metrics.MOVES.labels("file").inc()
        found.carried = False
        found.alarm = _later(self._settings.trial_seconds, self._give_up, found)
        log.info("shared stream lost, its watches listen to their own", channel=str(found.stream.channel))

    def _give_up(self, found: _Open) -> None:
        """The shared stream has carried nothing of ours: closed, until there is one watch more."""
        found.alarm = None
        channel = found.stream.channel
        self._projects[channel.id].tried_with = len(self._projects[channel.id].watchers)
        for each in tuple(found.stream.hopefuls.values()):
            found.stream.detach(each)
        self._close_if_idle(found)
        log.info("shared stream carries none of our files", channel=str(channel))


def _later(seconds: float, then: Callable[[T], None], what: T) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, then, what)


def _own(watcher: Watcher) -> Channel:
    return Channel("file", watcher.watch.file_id)


def _now() -> float:
    return asyncio.get_running_loop().time()
