"""Topics `watches`, `completions`, `artifacts`, `storage` and `stored`: what processor and storage sink tell."""

from typing import Literal

from pydantic import Field

from schemas.base import ChatRef, FileId, Kind, Name, Record, Source, Text, Timestamp, Url
from schemas.jobs import JobView, Outcome, Reason

Role = Literal["media", "thumbnail"]


class Watch(Record):
    """What the connector is to watch. A higher `check` asks for one look now; a tombstone ends the watch."""

    file_id: FileId
    generation: Name
    kind: Kind
    project_id: Name | None = None
    user_id: Name | None = None
    tracked_at: Timestamp
    deadline_at: Timestamp
    check: int = Field(default=0, ge=0)


class Completion(Record):
    """How a generation ended. Told once: `id` is derived from file, generation and outcome (`ids.outcome_id`).

    One case tells a second outcome of one generation: `timed_out`, then `completed` with `late` true.
    """

    id: Name
    outcome: Outcome
    late: bool = False
    file_id: FileId
    generation: Name
    project_id: Name | None = None
    user_id: Name | None = None
    chat: ChatRef | None = None
    kind: Kind
    url: Url | None = None
    thumbnail_url: Url | None = None
    reason: Reason | None = None
    message: Text | None = None
    won_by: Source | None = None
    tracked_at: Timestamp
    finished_at: Timestamp


class Artifact(JobView):
    """What one chat should show now: the chat and the job's public view. A lower `version` never replaces a higher."""

    chat: ChatRef


class StorageRequest(Record):
    """An object to copy before the upstream deletes it. Its key has the day of `finished_at`: the same each time."""

    file_id: FileId
    generation: Name
    url: Url
    kind: Kind
    role: Role = "media"
    finished_at: Timestamp | None = None


class Stored(StorageRequest):
    """Where the copy is. `sha256` is of the bytes, in hex; `location` a URL that the store's owner can resolve."""

    location: Text
    bytes: int = Field(ge=0)
    sha256: Text
    content_type: Text
    stored_at: Timestamp


Output = Watch | Completion | Artifact | StorageRequest
