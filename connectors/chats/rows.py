"""Which rows a batch makes. Pure: records in, values of columns out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

from schemas import Artifact, Stored, ids, is_uuid
from schemas.codec import decode_artifact, decode_stored
from schemas.dead_letters import Incoming
from schemas.errors import RejectRecord
from schemas.topics import Topics

Row: TypeAlias = dict[str, Any]
Partition: TypeAlias = tuple[str, int]
"""Topic and number: equal to Kafka's TopicPartition."""

ArtifactKey: TypeAlias = tuple[UUID, UUID, str]
"""Chat, file and generation."""

MessageId: TypeAlias = UUID | str
"""Text only where an application's messages have ids of any text."""

_uuid = lru_cache(maxsize=10_000)(UUID)
"""A record's ids are asked for many times on its way."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it came and as it was read. One that could not be read is passed over: it is in the dead letters."""

    source: Incoming
    record: Artifact | Stored | None

    @property
    def partition(self) -> Partition:
        return self.source.topic, self.source.partition

    @property
    def offset(self) -> int:
        return self.source.offset


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes: the last version of each artifact, the copies, and how far each partition came."""

    artifacts: Mapping[ArtifactKey, Artifact]
    copies: tuple[Stored, ...]
    moves: Mapping[Partition, tuple[int, int]]
    """Per partition the offset expected in the database, and the new one."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Which chat ids that are no UUIDs are those of tools, and whether there is a local store to keep their chats."""

    pattern: re.Pattern[str]
    kept: bool


def read(source: Incoming, topics: Topics, tools: Tools) -> Artifact | Stored:
    """The record's content. Raises RejectRecord; for a tool's chat that is not kept with `no_local_store`."""
    if source.topic == topics.stored:
        return decode_stored(source.value or b"")
    found = decode_artifact(source.value or b"")
    if is_tool(found):
        name = found.chat.chat_id
        if tools.pattern.fullmatch(name) is None:
            raise RejectRecord("bad_chat_id", f"chat {name} is no UUID, and no tool's by {tools.pattern.pattern}")
        if not tools.kept:
            raise RejectRecord("no_local_store", f"chat {name} is a tool's, and no local store is configured")
    return found


def batch(entries: Sequence[Entry], expected: Mapping[Partition, int], *, tools: bool) -> Batch:
    """The batch for a database that has read up to `expected`; it takes tool chats only if `tools`.

    Artifacts are in the order of their keys, so that two writers never lock rows in opposite orders.
    """
    new = [each for each in entries if each.offset >= expected[each.partition]]
    artifacts: dict[ArtifactKey, Artifact] = {}
    copies: dict[tuple[str, str, str], Stored] = {}
    moves: dict[Partition, tuple[int, int]] = {}
    for entry in new:
        moves[entry.partition] = (expected[entry.partition], entry.offset + 1)
        match entry.record:
            case Artifact() as found if tools or not is_tool(found):
                key = artifact_key(found)
                if key not in artifacts or artifacts[key].version < found.version:
                    artifacts[key] = found
            case Stored() as found:
                copies[found.file_id, found.generation, found.role] = found
    return Batch(
        dict(sorted(artifacts.items(), key=lambda item: item[0])),
        tuple(found for _, found in sorted(copies.items(), key=lambda item: item[0])),
        dict(sorted(moves.items())),
    )


def is_tool(found: Artifact) -> bool:
    """Whether the chat is a tool's: its id (`video-generator-tool`) fits no UUID column."""
    return not is_uuid(found.chat.chat_id)


def chat_id(found: Artifact) -> UUID:
    """The chat's row: its own UUID, or the one derived from a tool's name."""
    return _uuid(ids.chat_uuid(found.chat.chat_id) if is_tool(found) else found.chat.chat_id)


def artifact_key(found: Artifact) -> ArtifactKey:
    """The primary key of the artifact's row."""
    return chat_id(found), _uuid(found.file_id), found.generation


def asking_message_id(found: Artifact, *, text_ids: bool) -> MessageId | None:
    """The message that asked. An id that is no UUID cannot be in a table of UUIDs: None."""
    asked = found.chat.message_id
    if asked is None or text_ids:
        return asked
    return _uuid(asked) if is_uuid(asked) else None


def derived_message_id(found: Artifact, *, text_ids: bool) -> MessageId:
    """The message that shows the generation where none asked: everybody derives the same."""
    name = found.chat.chat_id if is_tool(found) else found.chat.chat_id.lower()
    derived = ids.message_id(name, found.file_id, found.generation)
    return derived if text_ids else _uuid(derived)


def chat_rows(found: Mapping[ArtifactKey, Artifact]) -> list[Row]:
    """A stub for each chat, in the order of their ids."""
    rows = {
        chat: {"name": each.chat.chat_id if is_tool(each) else None, "created_at": each.tracked_at}
        for (chat, _, _), each in found.items()
    }
    return [{"id": key, **row} for key, row in sorted(rows.items())]


def derived_message_row(key: ArtifactKey, found: Artifact, *, text_ids: bool) -> Row:
    """The message under the derived id, still empty: what it shows follows from its artifacts."""
    chat, file, generation = key
    return {
        "id": derived_message_id(found, text_ids=text_ids), "chat_id": chat, "role": "assistant",
        "file_id": file, "generation": generation, "status": found.status, "version": 0,
        "parts": [], "created_at": found.tracked_at, "updated_at": found.updated_at,
    }  # fmt: skip


def artifact_row(key: ArtifactKey, found: Artifact, message_id: MessageId) -> Row:
    """All columns but the durable URLs; `revision` is that of a new row."""
    chat, file, generation = key
    return {
        "chat_id": chat, "file_id": file, "generation": generation, "message_id": message_id, "kind": found.kind,
        "status": found.status, "progress": found.progress, "note": _text(found.message),
        "estimate_seconds": found.estimate_seconds, "outcome": found.outcome, "reason": found.reason,
        "late": found.late, "url": found.url, "thumbnail_url": found.thumbnail_url, "project_id": found.project_id,
        "user_id": found.user_id, "prompt": _text(found.prompt), "version": found.version, "revision": 1,
        "tracked_at": found.tracked_at, "updated_at": found.updated_at, "finished_at": found.finished_at,
    }  # fmt: skip


def _text(told: str | None) -> str | None:
    """People's words: one NUL, which Postgres keeps in no text, must not cost them the result."""
    return None if told is None else told.replace("\0", "\ufffd")


def copy_row(found: Stored) -> Row:
    """All columns of a copy."""
    return {
        "file_id": _uuid(found.file_id), "generation": found.generation, "role": found.role,
        "location": found.location, "bytes": found.bytes, "sha256": found.sha256,
        "content_type": found.content_type, "stored_at": found.stored_at,
    }  # fmt: skip
