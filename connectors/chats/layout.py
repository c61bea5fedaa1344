"""The layout: how an application's own chat and message tables are called, told in a TOML file."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, JsonValue, StringConstraints, ValidationError, model_validator

from schemas.codec import explain
from schemas.errors import StopProcess
from schemas.settings import Section

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=63)]
"""A table or column, letter for letter as the database has it; no quotes around it."""


class _TheirTable(Section):
    table: Identifier
    db_schema: Identifier | None = Field(default=None, alias="schema", description="without one, the connection's own")
    id: Identifier = "id"
    created_at: Identifier | None = None
    constants: dict[Identifier, JsonValue] = Field(
        default_factory=dict, description="further columns of a row that we make, with their values"
    )

    def columns(self) -> dict[str, str]:
        """Our name of each column that the file names, and theirs."""
        ours = set(type(self).model_fields) - {"table", "db_schema", "constants", "assistant", "part_type"}
        return {name: value for name, value in self.__dict__.items() if name in ours and value is not None}

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        named = list(self.columns().values())
        twice = {each for each in named if named.count(each) > 1} | self.constants.keys() & set(named)
        if twice:
            raise ValueError(f"column {', '.join(sorted(twice))} is named twice")
        return self


class ChatTable(_TheirTable):
    """Their chats: looked up, and made as stubs where the setting `unknown_chat` says so."""


class MessageTable(_TheirTable):
    """Their messages. Artifacts are shown in those of `status`, `version` and `parts` that are named."""

    chat_id: Identifier
    role: Identifier
    assistant: str = Field(default="assistant", description="the role of a message that we make")
    updated_at: Identifier | None = None
    status: Identifier | None = None
    version: Identifier | None = None
    parts: Identifier | None = Field(default=None, description="a JSON array: json, jsonb, or text")
    part_type: str = Field(default="data-artifact", min_length=1, description="`type` of our elements of it")

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if self.parts is None and self.status is None and self.version is None:
            raise ValueError("expected at least one of parts, status, version: else nothing would be shown")
        return self


class Layout(Section):
    """Both tables."""

    chat: ChatTable
    message: MessageTable

    def tables(self) -> Iterator[tuple[str, ChatTable | MessageTable]]:
        yield "chat", self.chat
        yield "message", self.message


def parse(text: str, name: str) -> Layout:
    """The layout that the TOML says. Raises StopProcess, which names the fields that are wrong."""
    try:
        return Layout.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise StopProcess(f"layout {name}: not TOML: {error}") from error
    except ValidationError as error:
        raise StopProcess(f"layout {name}: {explain(error)}") from error


def load(path: Path) -> Layout:
    """The layout in the file. Raises StopProcess."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise StopProcess(f"layout {path} cannot be read (RENDERCAST_CHATS__LAYOUT): {error}") from error
    return parse(text, str(path))
