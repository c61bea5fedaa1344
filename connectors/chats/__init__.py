"""The chat sink: what chats should show (`artifacts`) and where the copies are (`stored`), into a database."""

from connectors.chats.database import check, upgrade
from connectors.chats.settings import ChatsSettings
from connectors.chats.sink import ChatSink

__all__ = ["ChatSink", "ChatsSettings", "check", "upgrade"]
