"""The files of a turn and what is known of each, from whichever place knows more. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.gateway.turns import Turn

_TOLD = (
    "kind", "status", "progress", "message", "estimate_seconds", "outcome", "reason", "late", "url", "thumbnail_url",
    "durable_url",
)  # fmt: skip
_WORDS = {
    "failed": "The upstream could not generate it.",
    "timed_out": "It did not end in time.",
    "cancelled": "It was cancelled.",
    "superseded": "It was generated anew elsewhere.",
}
_WHOLE = 100.0


class TurnFiles:
    """What is told of a turn: each file's last state, the percent of all, and the end."""

    def __init__(self, turn: Turn) -> None:
        self._generation = turn.request_id
        self._versions = {each.file_id: 0 for each in turn.files}
        self._files: dict[str, dict[str, Any]] = {
            each.file_id: {"file_id": each.file_id, "kind": each.kind, "status": "pending", "progress": 0.0}
            for each in turn.files
        }

    def begin(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Take what is known at first, of which there may be several versions; other generations come last."""
        for each in sorted(documents, key=lambda each: (each["generation"] != self._generation, each["version"])):
            self.take(each)

    def take(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is to be told of the file after this job document; None where that is nothing new."""
        file_id = document["file_id"]
        before = self._files.get(file_id)
        if before is None:
            return None
        if document["generation"] != self._generation:
            if "outcome" in before or not self._versions[file_id]:
                return None  # ours had ended; or this one is an earlier one
            after = before | {"status": "error", "outcome": "superseded", "reason": "superseded"}
        else:
            if document["version"] <= self._versions[file_id]:
                return None
            self._versions[file_id] = document["version"]
            copy = {name: before[name] for name in ("durable_url",) if name in before}  # no job document names it
            told = {name: found for name in _TOLD if (found := document.get(name)) is not None and found is not False}
            after = {"file_id": file_id, "progress": 0.0, **copy, **told}
        if after == before:
            return None
        self._files[file_id] = after
        return after

    def told(self) -> list[dict[str, Any]]:
        return list(self._files.values())

    def percent(self) -> float:
        """Of all files; one that has ended is whole."""
        parts = [_WHOLE if "outcome" in each else each["progress"] for each in self._files.values()]
        return round(sum(parts) / len(parts), 1) if parts else 0.0

    def have_ended(self) -> bool:
        return bool(self._files) and all("outcome" in each for each in self._files.values())

    def failure(self) -> dict[str, str] | None:
        """Why the whole has failed, once all have ended; None where a file has a result."""
        outcomes = [each["outcome"] for each in self._files.values()]
        if "completed" in outcomes:
            return None
        reason = outcomes[0] if len(set(outcomes)) == 1 else "failed"
        words = [each["message"] for each in self._files.values() if each.get("message")]
        return {"reason": reason, "detail": words[0] if reason == "failed" and words else _WORDS[reason]}
