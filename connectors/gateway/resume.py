"""Event ids, and what a reader has missed since one.

An id is `partition:offset`, the place of the change in the topic of jobs. On the channel of one file that says all:
every replica, and this one after a restart, can go on from it. Other channels are spread over partitions, and each
process reads those in an order of its own; so there the id carries a mark of the process and of the channels, and
what comes with another mark is answered by a fresh snapshot.
"""

import re
from collections.abc import Iterator
from hashlib import blake2s
from itertools import islice
from typing import Literal

from connectors.gateway.changes import Change
from connectors.gateway.channels import file_of
from connectors.gateway.view import View

Gap = Literal["malformed", "unknown", "too far back"]

_ID = re.compile(r"([0-9]{1,9}):([0-9]{1,18})(@[0-9a-f]{8})?")


def mark(process: str, channels: tuple[str, ...]) -> str:
    """What the ids of these channels end with in this process: empty for one file."""
    if file_of(channels):
        return ""
    text = "\n".join((process, *sorted(channels)))
    return "@" + blake2s(text.encode(), digest_size=4).hexdigest()


def event_id(change: Change, ending: str) -> str:
    """The id of this change; `ending` is the mark of the channels it is told on."""
    return f"{change.partition}:{change.offset}{ending}"


def missed(view: View, channels: tuple[str, ...], ending: str, last_event_id: str, limit: int) -> list[Change] | Gap:
    """The changes of these channels after `last_event_id`, or why they cannot be told (at most `limit` can)."""
    found = _ID.fullmatch(last_event_id)
    if not found:
        return "malformed"
    place = int(found[1]), int(found[2])
    base = view.recent.at(*place)
    later: Iterator[Change]
    file_id = file_of(channels)
    if file_id is None:
        if base is None or found[3] != ending:
            return "unknown"
        later = (each for each in view.recent.after(base.seq) if each.is_told_on(channels))
    else:
        held = view.get(file_id)
        if held is not None and (held.partition, held.offset) == place:
            return []
        if base is None or base.file_id != file_id:
            return "unknown"
        later = view.recent.of_file_after(file_id, base.seq)
    changes = list(islice(later, limit + 1))
    return changes if len(changes) <= limit else "too far back"
