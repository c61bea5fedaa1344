"""Many watches: makes what is watched equal to what should be. Channels are shared here, and nowhere else."""

import asyncio
from dataclasses import dataclass

import structlog

from connectors.upstream import metrics
from connectors.upstream.parser import Channel
from connectors.upstream.stream import Stream
from connectors.upstream.watch import Shared, Watcher
from schemas import Watch

log = structlog.get_logger()


@dataclass(slots=True)
class _Entry:
    watcher: Watcher
    stream: Stream
    task: asyncio.Task[None]


class Fleet:
    """All watches of a process. Their tasks and those of their streams belong to `tasks`: a bug in one ends it."""

    def __init__(self, shared: Shared, tasks: asyncio.TaskGroup) -> None:
        self._shared = shared
        self._tasks = tasks
        self._entries: dict[str, _Entry] = {}
        self._streams: dict[Channel, tuple[Stream, asyncio.Task[None]]] = {}

    def put(self, watch: Watch, partition: int | None = None) -> None:
        """Watch this, and tell of it on `partition`. A generation that is watched goes on; a new one begins afresh."""
        entry = self._entries.get(watch.file_id)
        if entry is None:
            self._start(watch, partition, checks_seen=0)
        elif entry.watcher.watch.generation != watch.generation or (
            entry.task.done() and _asks_more(watch, entry.watcher.watch)
        ):
            self._start(watch, partition, checks_seen=entry.watcher.watch.check)
            self._end(entry)
        else:
            entry.watcher.update(watch)

    def drop(self, file_id: str) -> None:
        """Watch this no more: its looks and its share of the stream end at once."""
        entry = self._entries.pop(file_id, None)
        if entry is not None:
            self._end(entry)
            log.info("watch ended", file_id=file_id, generation=entry.watcher.watch.generation)
        metrics.WATCHES.set(len(self._entries))

    def close(self) -> None:
        """End all watches."""
        for file_id in list(self._entries):
            self.drop(file_id)

    def _start(self, watch: Watch, partition: int | None, checks_seen: int) -> None:
        stream = self._stream(_channel(watch))
        watcher = Watcher(watch, stream.clock, self._shared, checks_seen, partition)
        stream.attach(watcher)
        task = self._tasks.create_task(watcher.run(), name=f"watch {watch.file_id}")
        entry = _Entry(watcher, stream, task)
        task.add_done_callback(lambda _: self._release(entry))
        self._entries[watch.file_id] = entry
        metrics.WATCHES.set(len(self._entries))
        log.info("watch started", file_id=watch.file_id, generation=watch.generation)

    def _end(self, entry: _Entry) -> None:
        entry.task.cancel()
        self._release(entry)

    def _release(self, entry: _Entry) -> None:
        """A watch has ended, by itself or by us: a stream that nobody listens to any more is closed."""
        channel = entry.stream.channel
        if entry.stream.detach(entry.watcher) and self._streams.get(channel, (None,))[0] is entry.stream:
            _, task = self._streams.pop(channel)
            task.cancel()

    def _stream(self, channel: Channel) -> Stream:
        found = self._streams.get(channel)
        if found is None:
            stream = Stream(channel, self._shared)
            found = (stream, self._tasks.create_task(stream.run(), name=f"stream {channel}"))
            self._streams[channel] = found
        return found[0]


def _channel(watch: Watch) -> Channel:
    """Where the events of this file come. Watches of one project could share `project.` here."""
    return Channel("file", watch.file_id)


def _asks_more(watch: Watch, known: Watch) -> bool:
    """Whether a watch that has expired has something to do again."""
    return watch.check > known.check or watch.deadline_at > known.deadline_at
