"""The chat sink: what chats should show (topic `artifacts`) and where the copies are (topic `stored`), into a database."""

from connectors.chats.database import check, upgrade
from connectors.chats.settings import ChatsSettings
from connectors.chats.sink import ChatSink

__all__ = ["ChatSink", "ChatsSettings", "check", "upgrade"]
