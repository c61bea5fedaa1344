"""Topics `watches`, `completions`, `artifacts`, `storage` and `stored`: what processor and storage sink tell."""

from typing import Literal

from pydantic import Field

from schemas.base import (
    ChatRef,
    FileId,
    Generation,
    Int64,
    Kind,
    Name,
    ProjectId,
    Record,
    Source,
    Text,
    Timestamp,
    Url,
    UserId,
)
from schemas.jobs import JobView, Outcome, Reason

Role = Literal["media", "thumbnail"]


class Watch(Record):
    """What the connector is to watch. A higher `check` asks for one look now; a tombstone ends the watch."""

    file_id: FileId
    generation: Generation
    kind: Kind = Field(description="What is being generated.")
    project_id: ProjectId | None = None
    user_id: UserId | None = None
    tracked_at: Timestamp = Field(description="When the generation was first asked for.")
    deadline_at: Timestamp = Field(description="When watching ends.")
    check: Int64 = Field(default=0, ge=0, description="How many looks have been asked for.")


class Completion(Record):
    """How a generation ended. Told once: `id` is derived from file, generation and outcome (`ids.outcome_id`).

    One case tells a second outcome of one generation: `timed_out`, then `completed` with `late` true.
    """

    id: Name = Field(description="The same for the same outcome: who has seen it has seen this outcome.")
    outcome: Outcome = Field(description="How the generation ended.")
    late: bool = Field(default=False, description="Whether the result came after the deadline.")
    file_id: FileId
    generation: Generation
    project_id: ProjectId | None = None
    user_id: UserId | None = None
    chat: ChatRef | None = Field(default=None, description="The first chat that the result is shown in.")
    kind: Kind = Field(description="What was generated.")
    url: Url | None = Field(default=None, description="The result, as the upstream wrote it: encode only to fetch.")
    thumbnail_url: Url | None = Field(default=None, description="A still of the result, if it was there by then.")
    reason: Reason | None = Field(default=None, description="Why there is no result.")
    message: Text | None = Field(default=None, description="The upstream's own words.")
    won_by: Source | None = Field(default=None, description="Which of the upstream's voices told the outcome first.")
    tracked_at: Timestamp = Field(description="When the generation was first asked for.")
    finished_at: Timestamp = Field(description="When it ended.")


class Artifact(JobView):
    """What one chat should show now: the chat and the job's public view. A lower `version` never replaces a higher."""

    chat: ChatRef = Field(description="The chat that is to show it.")


class StorageRequest(Record):
    """An object to copy before the upstream deletes it. Its key has the day of `finished_at`: the same each time."""

    file_id: FileId
    generation: Generation
    url: Url = Field(description="The object, as the upstream wrote its URL.")
    kind: Kind = Field(description="What the object is.")
    role: Role = Field(default="media", description="The result itself, or its thumbnail.")
    finished_at: Timestamp | None = Field(default=None, description="When the generation ended.")


class Stored(StorageRequest):
    """Where the copy is. `sha256` is of the bytes, in hex; `location` a URL that the store's owner can resolve."""

    location: Text = Field(description="The copy's URL; the store's owner can resolve it.")
    bytes: Int64 = Field(ge=0, description="The copy's size, in bytes.")
    sha256: Text = Field(description="Of the copy's bytes, in hex.")
    content_type: Text = Field(description="The media type of the copy's bytes.")
    stored_at: Timestamp = Field(description="When the copy was there as a whole.")


Output = Watch | Completion | Artifact | StorageRequest
