"""The jobs as this process sees them, and those who follow them. The feed writes to it, the routes read from it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from secrets import token_hex

import structlog

from connectors.gateway import frames, metrics
from connectors.gateway.channels import file_of
from connectors.gateway.resume import mark, missed
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.subscriber import Subscriber
from connectors.gateway.view import Found, ShownJob, View
from schemas import utcnow
from schemas.codec import Decoder
from schemas.errors import RejectRecord

log = structlog.get_logger()

decode_view: Decoder[ShownJob] = Decoder(ShownJob)
"""A record of the topic of jobs: the state machine's own fields are never read."""


class Board:
    """Owns view and subscribers, in one event loop: nothing comes between a snapshot and the change after it."""

    def __init__(self, settings: GatewaySettings, clock: Callable[[], datetime] = utcnow) -> None:
        self._settings, self._clock = settings, clock
        self._followers: dict[str, set[Subscriber]] = {}
        self._subscribers: set[Subscriber] = set()
        self._closing = False
        self.loaded = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget all: the topic is about to be read from its beginning. Followers are to connect again."""
        self.loaded = False
        self._process = token_hex(8)
        settings = self._settings
        self.view = View(settings.max_jobs, timedelta(seconds=settings.finished_for_seconds), settings.recent_changes)
        for each in set().union(*self._followers.values()):
            each.end("reading anew")

    def has_loaded(self) -> None:
        """The topic has been read to its end: what is not here is not there."""
        self.loaded = True
        for each in self._subscribers:
            each.wake()

    def read(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the topic of jobs. One that cannot be read is counted and left out."""
        try:
            job = None if value is None else decode_view(value)
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
            for subscriber in set().union(*(self._followers.get(each, ()) for each in change.channels())):
                subscriber.offer(change)

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

    def beginning(self, subscriber: Subscriber, last_event_id: str | None) -> list[bytes]:
        """What the reader gets first; from then on it is offered every change."""
        self._follow(subscriber)
        channels = subscriber.channels
        ending = self.ending(channels)
        first = []
        if last_event_id is not None:
            changes = missed(self.view, channels, ending, last_event_id, self._settings.queue_changes)
            if not isinstance(changes, str):
                return [frames.job(each, ending) for each in changes]
            first.append(frames.gap(changes))
        found = self.view.find(channels, self._settings.snapshot_jobs)
        return [*first, frames.snapshot(channels, found, self.position(channels))]

    def present(self, subscriber: Subscriber) -> Found:
        """The jobs of the reader's channels; from then on it is offered every change."""
        self._follow(subscriber)
        return self.view.find(subscriber.channels, self._settings.snapshot_jobs)

    def _follow(self, subscriber: Subscriber) -> None:
        assert self.loaded, "before that a snapshot would be a lie"
        for channel in subscriber.channels:
            self._followers.setdefault(channel, set()).add(subscriber)

    def ending(self, channels: tuple[str, ...]) -> str:
        return mark(self._process, channels)

    def position(self, channels: tuple[str, ...]) -> str:
        """The id line that says: all of these channels up to now has been told."""
        ending = self.ending(channels)
        file_id = file_of(channels)
        last = self.view.recent.last() if file_id is None else self.view.get(file_id)
        return frames.id_line(last, ending)

    def close(self) -> None:
        """End all streams, and those that come from now on."""
        self._closing = True
        for each in self._subscribers:
            each.end("closing")
