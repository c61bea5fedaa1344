"""Single values of the upstream's JSON. Absent is None; present and of no use raises Unreadable with the reason.

What comes out of these fits the fields of our records as it is, so that the records are made without checking it again
(`schemas.base.trusted`).
"""

import json
import re
from typing import Any, get_args

import orjson
from pydantic import TypeAdapter, ValidationError

from connectors.upstream.parser.reasons import Reason
from schemas.base import Url, is_uuid
from schemas.observations import TaskStatus

MAX_TEXT = 20_000
MAX_NAME = 300
_CHECK_URL = TypeAdapter[str](Url).validate_python
_STATUSES: dict[str, TaskStatus] = {each: each for each in get_args(TaskStatus)}
# No two parts of it that follow each other can match the same characters: a long text takes no longer per character.
_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(?:(%)\s*)?", re.ASCII)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Lone surrogates that stand for no byte (PEP 383)."""


class Unreadable(Exception):
    """`reason` goes into the Ignored or Broken that is made of it. Never leaves the parser."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def load(text: str | bytes) -> Any:
    """JSON, and beside it what Python's servers write: NaN, Infinity, lone surrogates. Bad UTF-8 is replaced."""
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    encoded = text if isinstance(text, bytes) else raw(text)
    try:
        return json.loads(encoded.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise Unreadable("not_json") from error


def raw(text: str) -> bytes:
    """The bytes that a frame's text was decoded from."""
    return text.encode("utf-8", "replace" if _NO_BYTE.search(text) else "surrogateescape")


def text(value: object) -> str | None:
    """A text that every JSON writer can write, cut at a length nobody reads; None when it is no text or empty."""
    if not isinstance(value, str) or not value:
        return None
    short = value[:MAX_TEXT]
    return short if short.isascii() else short.encode("utf-8", "replace").decode()


def name(value: object) -> str | None:
    """An id that others made. One that is too long to be one is none."""
    return text(value) if isinstance(value, str) and len(value) <= MAX_NAME else None


def uuid(value: object, prefix: str) -> str | None:
    """A UUID in lower case, bare or with its `prefix.` before it; None when it is none."""
    if isinstance(value, str) and is_uuid(bare := value.removeprefix(prefix + ".")):
        return bare.lower()
    return None


def first_uuid(prefix: str, *candidates: object) -> str | None:
    """The first candidate that is a UUID."""
    return next((found for each in candidates if (found := uuid(each, prefix))), None)


def file_id(value: object) -> str | None:
    """The id of a file."""
    if value is None or value == "":
        return None
    found = uuid(value, "file")
    if found is None:
        raise Unreadable("bad_file_id")
    return found


def url(value: object) -> str | None:
    """An http(s) URL, byte for byte as it came."""
    if value is None or value == "":
        return None
    try:
        found = _CHECK_URL(value)
    except ValidationError as error:
        raise Unreadable("bad_url") from error
    if _REPLACEMENT in found:  # a byte of it was lost on the way: it would lead nowhere
        raise Unreadable("bad_url")
    return found


def status(value: object) -> TaskStatus | None:
    """REST writes `completed`, the stream's `task_status` writes `COMPLETED`."""
    if value is None:
        return None
    found = _STATUSES.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise Unreadable("unknown_status")
    return found


def percent(value: object) -> float | None:
    """Progress in percent. Written as a float up to 1 (`0.75`, `1.0`) it is a fraction; the integer 1 is 1 percent."""
    if value is None:
        return None
    fraction = False
    if isinstance(value, str) and (number := _NUMBER.fullmatch(value)):
        digits, sign = number.groups()
        fraction = not sign and not digits.lstrip("+-").isdigit()
        value = float(digits)
    elif isinstance(value, float):
        fraction = True
    elif not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable("progress_not_a_number")
    if not 0 <= value <= 100:  # noqa: PLR2004 - percent; NaN is not between, and a huge integer must not become a float
        raise Unreadable("progress_out_of_range")
    found = abs(float(value))
    return round(found * 100, 6) if fraction and found <= 1 else found


def words(body: object) -> str | None:
    """What an error says of itself: a text, or the first text under the keys that servers use for one."""
    if not isinstance(body, dict):
        return text(body)
    found = [body.get(key) for key in ("message", "error", "error_message", "detail")]
    found += [each.get("message") for each in found if isinstance(each, dict)]
    return next((said for each in found if (said := text(each))), None)


def as_dict(value: object) -> dict[str, Any]:
    """The object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}
