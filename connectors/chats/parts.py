"""What a message shows of its artifacts. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from schemas.errors import RejectRecord

_DATA = (
    "file_id", "generation", "kind", "status", "progress", "estimate_seconds", "outcome", "reason",
    "url", "thumbnail_url", "durable_url", "durable_thumbnail_url",
)  # fmt: skip
_SPACE = (" ", "\t", "\n", "\r")
_JSON = json.JSONDecoder()


def part(row: Mapping[Any, Any], part_type: str) -> dict[str, Any]:
    """The part that shows an artifact, in the form of the AI SDK's data parts. What has no value is left out.

    `id` is the same for all versions of one generation of a file; `data.version` grows with every change.
    """
    data = {name: row[name] for name in _DATA if row[name] is not None}
    if row["note"] is not None:
        data["message"] = row["note"]
    data["version"] = row["revision"]
    return {"type": part_type, "id": f"{row['file_id']}/{row['generation']}", "data": data}


def merged(parts: str | None, ours: Sequence[Mapping[Any, Any]]) -> str:
    """The JSON array with each of our parts in it once: in the place of the one of that id, else at the end.

    The others stay as they are, byte for byte. Raises RejectRecord `bad_parts` where it is no JSON array.
    """
    new = {each["id"]: orjson.dumps(each).decode() for each in ours}
    kinds = {each["type"] for each in ours}
    found = []
    for raw, value in _elements("[]" if parts in (None, "", "null") else parts):
        known = isinstance(value, dict) and value.get("type") in kinds and value.get("id")
        if not isinstance(known, str) or known not in new:
            found.append(raw)
        elif new[known]:
            found.append(new[known])
            new[known] = ""  # a second one of the same id goes
    return f"[{','.join([*found, *filter(None, new.values())])}]"


def _elements(text: str) -> list[tuple[str, Any]]:
    """Each element of the array, as it is written and as it is read."""
    found = []
    try:
        whole = _JSON.decode(text)
        at = _next(text, _next(text, 0) + 1)
        while isinstance(whole, list) and text[at] != "]":
            value, end = _JSON.raw_decode(text, at)
            found.append((text[at:end], value))
            at = _next(text, end)
            if text[at] == ",":
                at = _next(text, at + 1)
    except (ValueError, RecursionError) as error:
        raise RejectRecord("bad_parts", f"the message's parts are no JSON: {error}") from error
    if not isinstance(whole, list):
        raise RejectRecord("bad_parts", f"the message's parts are no JSON array, but {type(whole).__name__}")
    return found


def _next(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACE:
        at += 1
    return at
