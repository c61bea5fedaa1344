"""Settings of the chat sink, read from `RENDERCAST_CHATS__…`."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from schemas.settings import Section


class ChatsSettings(Section):
    """Where chats are kept, and how much is written at once."""

    url: SecretStr = Field(
        default=SecretStr("sqlite:///rendercast-chats.db"),
        description="the chat database: postgresql://user:password@host/name or sqlite:///path",
    )
    local_url: SecretStr | None = Field(
        default=None,
        description="a second database, for tool chats (whose ids are not UUIDs) and copies of the others; "
        "without one, what tools asked for goes to dead letters",
    )
    layout: Path | None = Field(
        default=None, description="a TOML file: how the application's own tables of the chat database are called"
    )
    table_prefix: Annotated[str, StringConstraints(pattern=r"^([a-z_][a-z0-9_]{0,29})?$")] | None = Field(
        default=None, description="before our tables' names in the chat database; by default rendercast_ with a layout"
    )
    unknown_chat: Literal["stub", "dead-letter"] = Field(
        default="stub", description="a chat that the chat database does not have: make it, or refuse the record"
    )
    tool_chats: re.Pattern[str] = Field(
        default=re.compile(r"(?s).*"), description="a chat id that is no UUID and matches this as a whole is a tool's"
    )
    notify: bool = Field(default=True, description="on Postgres: NOTIFY the channel of the chat of what has changed")
    group_id: str = Field(
        default="chats", min_length=1, description="consumer group and owner of the offset rows; the prefix goes before"
    )
    group_instance_id: str | None = Field(
        default=None, description="static membership: unique per process, kept over its restarts; they rejoin at once"
    )
    batch_records: int = Field(default=2_000, ge=1, le=10_000, description="at most so many records in one transaction")
    transaction_timeout_seconds: float = Field(default=20, gt=0, le=300, description="a longer one is rolled back")
    retry_wait_max_seconds: float = Field(default=5, gt=0, le=60, description="longest wait between two tries")
    session_timeout_seconds: float = Field(
        default=10, ge=6, le=300, description="a silent process loses its partitions after this"
    )
    stop_grace_seconds: float = Field(default=7, gt=0, le=9, description="at a stop the batch in hand has this long")

    @model_validator(mode="after")
    def _two_databases(self) -> Self:
        if self.local_url is not None and self.local_url.get_secret_value() == self.url.get_secret_value():
            raise ValueError("local_url: expected another database than url, each counts its own offsets")
        return self
