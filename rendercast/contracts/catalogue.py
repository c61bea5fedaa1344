"""The topics as others see them: which records are on each, who writes and who reads them, and how they bind."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from schemas import (
    Artifact,
    Cancel,
    Check,
    Command,
    Completion,
    Expired,
    Failure,
    Gap,
    Job,
    Observation,
    Progress,
    Record,
    Result,
    Snapshot,
    StorageRequest,
    Stored,
    TaskChange,
    Track,
    Watch,
)
from schemas.codec import (
    Decoder,
    decode_artifact,
    decode_command,
    decode_completion,
    decode_job,
    decode_observation,
    decode_storage_request,
    decode_stored,
    decode_watch,
)

Side = Literal["input", "output"]
"""Of an input new releases read what old ones allowed; of an output old readers read what new releases write."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One topic's values. `name` is the topic's without the prefix, `tombstone` what a record without value means."""

    name: str
    side: Side
    shape: Any
    models: tuple[type[Record], ...]
    decode: Decoder[Any]
    about: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    tombstone: str | None = None


CONTRACTS = (
    Contract(
        "commands", "input", Command, (Track, Check, Cancel), decode_command,
        "What is asked for. Other services may write here.",
        ("gateway", "services"), ("processor",),
    ),
    Contract(
        "upstream", "input", Observation, (Progress, Result, TaskChange, Snapshot, Failure, Gap, Expired),
        decode_observation, "What was seen of each file: evidence, not verdicts.",
        ("connector",), ("processor",),
    ),
    Contract(
        "watches", "output", Watch, (Watch,), decode_watch,
        "What is to be watched now: the last record of a key counts.",
        ("processor",), ("connector",), "The watch is over.",
    ),
    Contract(
        "jobs", "output", Job, (Job,), decode_job,
        "The state of each file's current job: the last record of a key counts. Without CloudEvents headers.",
        ("processor",), ("processor", "gateway", "services"), "The job is forgotten.",
    ),
    Contract(
        "completions", "output", Completion, (Completion,), decode_completion,
        "How each generation ended, once. Read with `read_committed`.",
        ("processor",), ("services",),
    ),
    Contract(
        "artifacts", "output", Artifact, (Artifact,), decode_artifact,
        "What each chat should show now.",
        ("processor",), ("chat-sink", "services"),
    ),
    Contract(
        "storage", "output", StorageRequest, (StorageRequest,), decode_storage_request,
        "Objects to copy before the upstream deletes them.",
        ("processor",), ("storage-sink",),
    ),
    Contract(
        "stored", "output", Stored, (Stored,), decode_stored,
        "Where the copies are.",
        ("storage-sink",), ("chat-sink", "services"),
    ),
)  # fmt: skip

PROCESSES = {
    "gateway": "HTTP for browsers and services.",
    "services": "Other services: yours.",
    "connector": "Watches the upstream.",
    "processor": "The state machine; all that it writes for one record is one transaction.",
    "chat-sink": "Writes chats into a database.",
    "storage-sink": "Copies results into an object store.",
    "operators": "People, with `rendercast dead-letters`.",
}


def slug(model: type[Record]) -> str:
    """A model's name in files: `task-change`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", model.__name__).lower()
