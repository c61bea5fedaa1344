"""The jobs as this process sees them, and those who follow them. The feed writes to it, the routes read from it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from connectors.gateway import frames, metrics
from connectors.gateway.changes import Change
from connectors.gateway.channels import file_of
from connectors.gateway.past import NoPast, Past
from connectors.gateway.resume import Gap, Ids, missed
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.shown import decode_shown
from connectors.gateway.subscriber import Subscriber
from connectors.gateway.view import Found, View
from schemas import utcnow
from schemas.errors import RejectRecord

log = structlog.get_logger()


class Board:
    """Owns view and subscribers, in one event loop: nothing comes between a snapshot and the change after it."""

    def __init__(
        self, settings: GatewaySettings, clock: Callable[[], datetime] = utcnow, past: Past | None = None
    ) -> None:
        self._settings, self._clock, self._past = settings, clock, past or NoPast()
        self._followers: dict[str, set[Subscriber]] = {}
        self._returning: set[Subscriber] = set()
        self._subscribers: set[Subscriber] = set()
        self._closing = False
        self._framed: Change | None = None
        self._framed_for, self._frame = "", b""
        self.loaded = False
        self.begin_anew()

    def begin_anew(self, topic: str = "", lost: Mapping[int, int] | None = None) -> None:
        """Forget all: the topic is about to be read from its beginning. Followers are to connect again.

        `topic` is what tells this topic from an earlier one of its name; `lost` is the view's.
        """
        self.loaded = False
        self._topic = topic
        settings = self._settings
        self.view = View(settings.max_jobs, timedelta(seconds=settings.finished_for_seconds), lost)
        for each in self._returning.union(*self._followers.values()):
            each.end("reading anew")

    def has_loaded(self) -> None:
        """The topic has been read to its end: what is not here is not there."""
        self.view.has_loaded()
        self.loaded = True
        for each in self._subscribers:
            each.wake()

    def passed(self, offsets: Mapping[int, int]) -> None:
        """How far the topic has been read, in offsets: behind the last record there can be more of them."""
        self.view.reach.passed(offsets)
        for each in self._returning:
            each.wake()

    def read(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the topic of jobs. One that cannot be read is counted and left out."""
        self.view.reach.read(partition, offset)
        for each in self._returning:
            each.wake()
        try:
            job = None if value is None else decode_shown(value)
        except RejectRecord as error:
            metrics.RECORDS.labels(error.reason).inc()
            log.warning("job record left out", partition=partition, offset=offset, error=str(error))
            return
        file_id = job.file_id if job else (key or b"").decode(errors="replace")
        change = self.view.apply(partition, offset, file_id, job, self._clock())
        metrics.RECORDS.labels("read").inc()
        for why in self.view.shrink():
            metrics.EVICTED.labels(why).inc()
        metrics.JOBS.set(len(self.view))
        if change is not None:
            self._tell(change)

    def _tell(self, change: Change) -> None:
        subscribers = set[Subscriber]().union(*(self._followers.get(each, ()) for each in change.channels()))
        if subscribers:
            told = replace(change, position=self.view.reach.packed())
            for each in subscribers:
                each.offer(told)

    def evict(self) -> None:
        """Let go of what finished long ago. To be called now and then."""
        for why in self.view.evict(self._clock()):
            metrics.EVICTED.labels(why).inc()
        metrics.JOBS.set(len(self.view))

    @contextmanager
    def joined(self, channels: tuple[str, ...]) -> Iterator[Subscriber]:
        """A subscriber for as long as the block runs. It is offered changes from its `beginning` (or `present`) on."""
        subscriber = Subscriber(channels, self._settings.queue_changes)
        self._subscribers.add(subscriber)
        metrics.STREAMS.inc()
        if self._closing:
            subscriber.end("closing")
        try:
            yield subscriber
        finally:
            metrics.STREAMS.dec()
            self._subscribers.discard(subscriber)
            for channel in channels:
                followers = self._followers.get(channel, set())
                followers.discard(subscriber)
                if not followers:
                    self._followers.pop(channel, None)

    def is_full(self) -> bool:
        return len(self._subscribers) >= self._settings.max_streams

    async def since(self, subscriber: Subscriber, last_event_id: str) -> list[bytes] | Gap:
        """What the reader has missed since that id. True now only: its `beginning` is to be asked for at once."""
        ids = self.event_ids(subscriber.channels)
        position = ids.read(last_event_id)
        if isinstance(position, str):
            return position
        settings, view = self._settings, self.view
        self._returning.add(subscriber)
        try:
            changes = await missed(
                view, subscriber, position, self._past, settings.resume_seconds, settings.queue_changes
            )
        finally:
            self._returning.discard(subscriber)
        if isinstance(changes, str):
            return changes
        # Who is cut off among these goes on from the last one that came; with the last one all has been told.
        told = []
        for each in changes:
            position = position.at({each.partition: each.offset + 1})
            packed = view.reach.packed() if each is changes[-1] else view.reach.pack(position)
            told.append(frames.job(each, ids.at(each.partition, each.offset, packed)))
        return told

    def beginning(self, subscriber: Subscriber, since: list[bytes] | Gap | None = None) -> list[bytes]:
        """What the reader gets first; from then on it is offered every change."""
        if isinstance(since, list):
            self._follow(subscriber)
            return since
        snapshot = frames.snapshot(subscriber.channels, self.present(subscriber), self.position(subscriber.channels))
        return [snapshot] if since is None else [frames.gap(since), snapshot]

    def present(self, subscriber: Subscriber) -> Found:
        """The jobs of the reader's channels; from then on it is offered every change."""
        self._follow(subscriber)
        return self.view.find(subscriber.channels, self._settings.snapshot_jobs)

    def _follow(self, subscriber: Subscriber) -> None:
        assert self.loaded, "before that a snapshot would be a lie"
        for channel in subscriber.channels:
            self._followers.setdefault(channel, set()).add(subscriber)

    def frame(self, change: Change, ids: Ids) -> bytes:
        """The frame of a change that is told as it happens: made once for all who follow the same channels."""
        if change is not self._framed or ids.mark != self._framed_for:
            self._framed, self._framed_for, self._frame = change, ids.mark, frames.job(change, ids.of(change))
        return self._frame

    def event_ids(self, channels: tuple[str, ...]) -> Ids:
        """The ids of these channels, until all is read anew."""
        return Ids(self._topic, channels)

    def position(self, channels: tuple[str, ...]) -> str:
        """The id that says: all of these channels up to now has been told; "" where there was nothing to tell yet."""
        reach, file_id = self.view.reach, file_of(channels)
        if file_id is None:
            place = reach.last
        else:
            last = self.view.last_of(file_id)
            place = None if last is None else (last.partition, last.offset)
        return "" if place is None else self.event_ids(channels).at(*place, reach.packed())

    def close(self) -> None:
        """End all streams, and those that come from now on."""
        self._closing = True
        for each in self._subscribers:
            each.end("closing")
