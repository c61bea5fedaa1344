"""The contract: commands, observations, job state, outputs, topics, codec, errors. No IO.

Other teams read these records; `ARCHITECTURE.md` lists the topics they stand on.
"""

from schemas.base import ChatRef, Kind, Record, Source, is_uuid, utcnow
from schemas.commands import Cancel, Check, Command, Track
from schemas.jobs import EarlierGeneration, Job, JobView, Outcome, Reason, Status
from schemas.observations import (
    Expired,
    Failure,
    Gap,
    Observation,
    Progress,
    Result,
    Snapshot,
    TaskChange,
)
from schemas.outputs import Artifact, Completion, Output, StorageRequest, Stored, Watch

__all__ = [
    "Artifact", "Cancel", "ChatRef", "Check", "Command", "Completion", "EarlierGeneration", "Expired", "Failure",
    "Gap", "Job", "JobView", "Kind", "Observation", "Outcome", "Output", "Progress", "Reason", "Record", "Result",
    "Snapshot", "Source", "Status", "StorageRequest", "Stored", "TaskChange", "Track", "Watch", "is_uuid", "utcnow",
]  # fmt: skip
