"""What was asked and told, in counters: of one file, and of all."""

from collections import Counter
from dataclasses import dataclass, field

from rendercast.simulator.frames import Frame


@dataclass(slots=True)
class Tally:
    """Requests are counted as they come, statuses as they are answered, frames as they are sent (copies too)."""

    requests: Counter[str] = field(default_factory=Counter)  # by kind
    statuses: Counter[int] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)  # by type
    told: Counter[str] = field(default_factory=Counter)  # reports of a URL, by way
    broken: Counter[str] = field(default_factory=Counter)  # what suffered a break, by its name

    def sent(self, frame: Frame, channel: str) -> None:
        """A stream of the channel has sent this frame."""
        self.frames[frame.payload["type"]] += 1
        if frame.url is not None:
            self.told[f"{channel.partition('.')[0]} stream"] += 1

    def polled(self, _url: str, what: str) -> None:
        """The answer to a GET of a file or a project had this URL."""
        self.told[f"{what} answer"] += 1


@dataclass(slots=True)
class FileTally(Tally):
    """Of one file. `gets` are those that were neither refused nor disturbed."""

    gets: int = 0
    faults: Counter[str] = field(default_factory=Counter)  # by name
    told_by_stream: Counter[str] = field(default_factory=Counter)  # by URL
    told_by_poll: Counter[str] = field(default_factory=Counter)  # by URL

    def sent(self, frame: Frame, channel: str) -> None:
        Tally.sent(self, frame, channel)
        if frame.url is not None:
            self.told_by_stream[frame.url] += 1

    def polled(self, url: str, what: str) -> None:
        Tally.polled(self, url, what)
        self.told_by_poll[url] += 1
