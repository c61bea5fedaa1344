"""Many watches: makes what is watched equal to what should be."""

import asyncio
from datetime import datetime

import structlog

from connectors.upstream import metrics
from connectors.upstream.channels import Channels
from connectors.upstream.shared import Shared
from connectors.upstream.watch import Watcher
from schemas import Watch, utcnow

log = structlog.get_logger()

MEASURE_SECONDS = 5.0


class Fleet:
    """All watches of a process."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._channels = Channels(shared)
        self._watchers: dict[str, Watcher] = {}

    def put(self, watch: Watch, partition: int | None = None) -> None:
        """Watch this, and tell of it on `partition`. A generation that is watched goes on; a new one begins afresh."""
        known = self._watchers.get(watch.file_id)
        if known is None:
            self._start(watch, partition, checks_seen=0)
        elif known.watch.generation != watch.generation or (known.is_over and _asks_more(watch, known.watch)):
            self._start(watch, partition, checks_seen=known.watch.check)
            self._stop(known)
        else:
            known.update(watch)

    def drop(self, file_id: str) -> None:
        """Watch this no more: its looks and its share of the stream end at once."""
        known = self._watchers.pop(file_id, None)
        if known is not None:
            self._stop(known)
            metrics.WATCH_SECONDS.observe(_age(known))
            log.info("watch ended", file_id=file_id, generation=known.watch.generation)
        metrics.WATCHES.set(len(self._watchers))

    def close(self) -> None:
        """End all watches."""
        for file_id in list(self._watchers):
            self.drop(file_id)

    async def measure(self) -> None:
        """Keep those metrics true that no event moves. Runs for ever."""
        longest = self._shared.settings.poll_steps_seconds[-1]
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            live = sum(each.is_live(now) for each in self._watchers.values())
            metrics.POLLS_SAVED.inc(live * MEASURE_SECONDS / longest)
            oldest = min(self._watchers.values(), key=_tracked_at, default=None)
            metrics.OLDEST_SECONDS.set(0 if oldest is None else _age(oldest))
            await asyncio.sleep(MEASURE_SECONDS)

    def _start(self, watch: Watch, partition: int | None, checks_seen: int) -> None:
        watcher = Watcher(watch, self._shared, self._channels.leave, checks_seen=checks_seen, partition=partition)
        self._watchers[watch.file_id] = watcher
        self._channels.join(watcher)
        metrics.WATCHES.set(len(self._watchers))
        log.info("watch started", file_id=watch.file_id, generation=watch.generation)

    def _stop(self, watcher: Watcher) -> None:
        watcher.stop()
        self._channels.leave(watcher)


def _asks_more(watch: Watch, known: Watch) -> bool:
    """Whether a watch that has expired has something to do again."""
    return watch.check > known.check or watch.deadline_at > known.deadline_at


def _tracked_at(watcher: Watcher) -> datetime:
    return watcher.watch.tracked_at


def _age(watcher: Watcher) -> float:
    return max(0, (utcnow() - watcher.watch.tracked_at).total_seconds())
