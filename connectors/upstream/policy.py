"""When to look at a file, and how long to wait: all of the connector's timing, pure. Times are seconds of one clock.

Three clocks, never mixed. Each that rings is counted in `rendercast_upstream_clock_rings_total{clock}`.

| clock | rings when | setting | reaction | here |
| --- | --- | --- | --- | --- |
| bytes | a stream brings no byte, not even a ping | `bytes_seconds` | it is dead: reconnect | `StreamClock.dead_at` |
| events | a live stream brings no event | `events_seconds` | a look, then each such time | `next_look`, "events" |
| job | its events bring no news of the job | `job_seconds` | a look, then each such time | `next_look`, "job" |
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf, isfinite
from typing import Literal

from connectors.upstream.settings import ConnectorSettings

Roll = Callable[[], float]
"""A random number from 0 to 1."""

Why = Literal["deadline", "check", "signal", "connected", "poll", "events", "job"]
"""Reasons to look, the strongest first: one look answers all that are due, and is called by the strongest."""

AWAITED_SHARE = 0.1
"""Of the job's age: the work is done and a live stream has not told the URL; the next look waits for so long."""

_STRENGTH: dict[Why, int] = {
    "deadline": 0, "check": 1, "signal": 2, "connected": 3, "poll": 4, "events": 5, "job": 6
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """A GET of the file, and when."""

    at: float
    why: Why


@dataclass(slots=True)
class StreamClock:
    """What is known of one stream: since when it is down, or when it opened, spoke, and told an event.

    `live_at` is when its look is due; None while it is down.
    """

    down_since: float
    opened_at: float | None = None
    live_at: float | None = None
    first_byte_at: float | None = None
    byte_at: float | None = None
    event_at: float | None = None
    doubted: bool = False
    attempts: int = 0

    def opened(self, now: float, settings: ConnectorSettings) -> None:
        """The upstream said yes. The look waits a little: headers can come before the server has subscribed."""
        self.opened_at, self.first_byte_at, self.byte_at, self.event_at = now, None, now, None
        self.live_at = None if self.doubted else now + settings.settle_seconds

    def heard(self, now: float) -> bool:
        """Bytes came; whether they are the first since the stream opened."""
        self.byte_at = now
        if self.first_byte_at is not None:
            return False
        self.first_byte_at, self.doubted = now, False
        self.live_at = now if self.live_at is None else min(self.live_at, now)
        return True

    def lost(self, now: float, settings: ConnectorSettings, *, silent: bool) -> bool:
        """The stream is gone; whether it had been live long enough for the backoff to begin anew.

        A stream that died of silence has been down since its last byte, and one that lived only shortly has never been
        up: polling does not begin anew with each. One that never said a byte is doubted: being open is not enough then.
        """
        end = self.byte_at if silent and self.byte_at is not None else now
        lived = 0 if self.first_byte_at is None else end - self.first_byte_at
        if self.opened_at is not None and lived >= settings.poll_after_seconds:
            self.down_since = end
        if silent and self.opened_at is not None and self.first_byte_at is None:
            self.doubted = True
        self.opened_at = self.first_byte_at = self.live_at = None
        if lived >= settings.stable_seconds:
            self.attempts = 0
        return lived >= settings.stable_seconds

    def dead_at(self, settings: ConnectorSettings) -> float:
        """When the stream is dead, if no byte comes before: the bytes clock. Never, while there is none."""
        return inf if self.byte_at is None or self.opened_at is None else self.byte_at + settings.bytes_seconds

    def is_live(self, now: float) -> bool:
        """Whether what is said now is heard here."""
        return self.live_at is not None and self.live_at <= now

    def poll_from(self, settings: ConnectorSettings) -> float:
        """From when on to poll beside the stream; never while it is live."""
        if self.first_byte_at is not None:
            return inf
        if self.opened_at is None or self.doubted:
            return self.down_since + settings.poll_after_seconds
        return self.opened_at + settings.first_byte_seconds


@dataclass(slots=True)
class WatchClock:
    """What is known of one watch: what was asked, what was answered, and since when the job stands still."""

    tracked_at: float
    deadline_at: float
    news_at: float
    asked: bool = False
    signalled: bool = False
    awaits_url: bool = False
    awaited_at: float = -inf
    awaited_gap: float = 0
    looked_at: float | None = None
    unbroken_at: float = -inf
    unnamed_at: float = -inf
    unnamed_due: float | None = None
    checked_at: float = -inf
    polls: int = 0
    poll_gap: float = 0
    failures: int = 0
    not_found: int = 0
    not_found_since: float = 0
    gone: bool = False
    not_before: float = -inf
    in_flight: tuple[bool, bool, float | None] = (False, False, None)

    def awaits(self, now: float, settings: ConnectorSettings) -> None:
        """The work is done, and nobody has said where the result is: keep looking.

        Beside a live stream at first after a share of the job's age, no sooner than polls come and no later than a
        stream's silence is looked into. So a URL that the stream does not tell is late by that, and then by a minute.
        """
        self.awaits_url, self.awaited_at, self.polls, self.poll_gap = True, now, 0, settings.poll_steps_seconds[0]
        share = AWAITED_SHARE * (now - self.tracked_at)
        self.awaited_gap = max(settings.poll_steps_seconds[-1], min(share, settings.events_seconds))

    def moved(self, old: StreamClock, new: StreamClock, now: float) -> None:
        """The watch listens to another stream. Between two live ones nothing is missed: no look is due for that."""
        if old.live_at is not None and self.closed_at >= old.live_at and old.is_live(now) and new.is_live(now):
            self.unbroken_at = now

    @property
    def closed_at(self) -> float:
        """Until when nothing can have been missed, if a stream was live since then."""
        return max(self.unbroken_at, -inf if self.looked_at is None else self.looked_at)

    def unnamed(self, now: float, settings: ConnectorSettings, *, is_end: bool) -> None:
        """A shared stream said something of one of its files and not of which: look, at a pace.

        What may be an end is asked about sooner. A look tells no progress: of that alone it is asked as of silence.
        """
        gap = settings.unnamed_gap_seconds if is_end else max(settings.unnamed_gap_seconds, settings.events_seconds)
        self.unnamed_due = min(self.unnamed_due or inf, max(now, self.unnamed_at + gap))

    def ask(self) -> None:
        """Somebody asked for a look: a backoff does not hold it. Ten asks before it leaves are one look."""
        self.asked, self.not_before = True, -inf

    def sent(self, now: float) -> bool:
        """A look leaves, and answers all that was asked until now; whether somebody had asked for it."""
        self.in_flight, self.asked, self.signalled = (self.asked, self.signalled, self.unnamed_due), False, False
        if self.unnamed_due is not None:
            self.unnamed_at, self.unnamed_due = now, None
        if self.in_flight[0]:
            self.checked_at = now
        return self.in_flight[0]

    def answered(self, why: Why, sent_at: float, settings: ConnectorSettings, roll: Roll) -> None:
        """The look that left at `sent_at` was answered."""
        self.looked_at, self.failures, self.not_found, self.not_before = sent_at, 0, 0, -inf
        self.gone, self.in_flight = False, (False, False, None)
        self.poll_gap = poll_gap(settings, self.polls, roll)
        self.polls += why == "poll" and sent_at >= self.awaited_at

    def failed(self, now: float, after: float | None, settings: ConnectorSettings, roll: Roll) -> None:
        """The look was not answered: back off, and no shorter than the upstream said."""
        self._take_back()
        self.not_before = now + max(after or 0, backoff(settings, self.failures, roll))
        self.failures += 1
        self.not_found = 0

    def _take_back(self) -> None:
        asked, signalled, unnamed = self.in_flight
        self.asked, self.signalled = self.asked or asked, self.signalled or signalled
        self.in_flight = (False, False, None)
        if unnamed is not None:
            self.unnamed_due = min(self.unnamed_due or inf, unnamed)

    def missed(self, now: float, settings: ConnectorSettings, roll: Roll) -> bool:
        """The look was answered "404"; whether that is to be told now.

        It is told once, after `not_found_seconds` of nothing else: neither a proxy's slip nor a deploy fails a job.
        """
        self._take_back()
        self.not_before = now + poll_gap(settings, self.not_found, roll)
        if self.not_found == 0:
            self.not_found_since = now
        self.not_found += 1
        told, self.gone = self.gone, now - self.not_found_since >= settings.not_found_seconds
        return self.gone and not told


def next_look(settings: ConnectorSettings, stream: StreamClock, watch: WatchClock, now: float) -> Look:
    """The next look: the strongest of those that are due, else the earliest."""
    looks = list(_looks(settings, stream, watch))
    due = [each for each in looks if each.at <= now]
    if due:
        return min(due, key=lambda each: _STRENGTH[each.why])
    return min(looks, key=lambda each: each.at)


def _looks(settings: ConnectorSettings, stream: StreamClock, watch: WatchClock) -> Iterator[Look]:
    yield Look(watch.deadline_at, "deadline")
    held = watch.not_before
    last = -inf if watch.looked_at is None else watch.looked_at
    if watch.asked:
        yield Look(max(held, watch.checked_at + settings.look_gap_seconds), "check")
    if watch.gone:
        return
    if watch.signalled:
        yield Look(max(held, last + settings.look_gap_seconds), "signal")
    if watch.unnamed_due is not None:
        yield Look(max(held, watch.unnamed_due), "signal")
    if stream.live_at is not None and watch.closed_at < stream.live_at:
        yield Look(max(held, stream.live_at), "connected")
    if watch.awaits_url and stream.live_at is not None:  # it may still say: once after a while, then each minute
        distance = settings.events_seconds if watch.polls else watch.awaited_gap
        yield Look(max(held, last + distance), "poll")
    elif watch.awaits_url:
        yield Look(max(held, last + watch.poll_gap), "poll")
    yield Look(max(held, last + watch.poll_gap, stream.poll_from(settings)), "poll")
    if stream.opened_at is not None and stream.live_at is not None:
        heard_at = stream.opened_at if stream.event_at is None else stream.event_at
        yield Look(max(held, max(last, heard_at) + settings.events_seconds), "events")
        yield Look(max(held, max(last, watch.news_at) + settings.job_seconds), "job")


def poll_gap(settings: ConnectorSettings, polls: int, roll: Roll) -> float:
    """The distance to the next poll after `polls` polls: 1, 2, 5, 10 s and on with 10, each varied by the jitter."""
    steps = settings.poll_steps_seconds
    return steps[min(polls, len(steps) - 1)] * (1 + settings.poll_jitter * (2 * roll() - 1))


def backoff(settings: ConnectorSettings, failures: int, roll: Roll) -> float:
    """Full jitter: anything up to a bound that doubles with each failure."""
    return roll() * min(settings.backoff_cap_seconds, settings.backoff_seconds * 2.0 ** min(failures, 30))


def retry_after(value: str | None, sent: str | None, now: datetime, settings: ConnectorSettings) -> float | None:
    """Seconds of a `Retry-After` header, given in seconds or as a date, within our cap; None where it says nothing.

    A date is one of the upstream's clock: it counts from the answer's own `Date`, `sent`, where there is one.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until, since = _date(value), _date(sent) or now
        if until is None:
            return None
        seconds = (until - since).total_seconds()
    return min(max(seconds, 0), settings.retry_after_cap_seconds) if isfinite(seconds) else None


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=found.tzinfo or UTC)
