"""What a database is for us: whose tables it has, and what the settings want of it."""

from dataclasses import dataclass

from connectors.chats.layout import Layout, load
from connectors.chats.settings import ChatsSettings

_PREFIX_BESIDE_THEIRS = "rendercast_"


@dataclass(frozen=True, slots=True)
class Plan:
    """Without a layout, chats and messages are in tables of our own."""

    prefix: str = ""
    layout: Layout | None = None
    stubs: bool = True
    """Whether a chat that is not there is made."""
    notify: bool = True


OWN = Plan()
"""Tables of our own under their plain names."""


def plan_of(settings: ChatsSettings) -> Plan:
    """Of the chat database; the local store is always OWN. Raises StopProcess for a layout that is none."""
    layout = load(settings.layout) if settings.layout is not None else None
    prefix = settings.table_prefix
    if prefix is None:
        prefix = _PREFIX_BESIDE_THEIRS if layout else ""
    return Plan(prefix, layout, stubs=settings.unknown_chat == "stub", notify=settings.notify)
