"""Under which key an object is kept. Pure, and the same on every replay."""

import hashlib
import re
from datetime import datetime
from string import Formatter

from schemas import StorageRequest
from schemas.media import extension

_FIELDS = frozenset({"kind", "yyyy", "mm", "dd", "file_id", "generation", "ext", "role"})
_UNSAFE = re.compile(rb"[^A-Za-z0-9_-]")
_EXTENSIONS = frozenset({
    ".mp4", ".mov", ".webm", ".avi", ".mkv", ".mpeg", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp3", ".wav", ".ogg",
    ".m4a", ".aac", ".flac",
})  # fmt: skip
_LONGEST = 150
"""Of a safe name; file systems end at 255 bytes, and suffixes come after it."""


def check_template(template: str) -> str:
    """The template, or ValueError: unknown fields, or such as could put two objects under one key."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"not a template: {error}") from error
    names = {name for _, name, _, _ in parts if name is not None}
    if any(spec or conversion for _, name, spec, conversion in parts if name is not None) or not names <= _FIELDS:
        raise ValueError(f"a template's fields are {', '.join(sorted(_FIELDS))}, without format specifications")
    if not {"file_id", "generation"} <= names:
        raise ValueError("a template needs {file_id} and {generation}: without them objects share a key")
    literal = "".join(text for text, _, _, _ in parts)
    if (
        template.startswith("/")
        or not {"", ".", ".."}.isdisjoint(template.split("/"))
        or ".." in literal
        or not re.fullmatch(r"[A-Za-z0-9_./=-]*", literal)
    ):
        raise ValueError(
            "between its fields a template has letters, digits and _ . / = -, and no empty or upward parts"
        )
    return template


def object_key(template: str, request: StorageRequest, at: datetime) -> str:
    """The key. `at`, the time of the request's record, stands in where the request names no day: never a clock."""
    at = request.finished_at or at
    name = path_safe(request.generation)
    suffix = extension(request.url)
    return template.format(
        kind=request.kind,
        yyyy=f"{at:%Y}",
        mm=f"{at:%m}",
        dd=f"{at:%d}",
        file_id=request.file_id,
        generation=name if request.role == "media" else f"{name}.{request.role}",
        ext=suffix if suffix in _EXTENSIONS else "",
        role=request.role,
    )


def path_safe(text: str) -> str:
    """A name for a part of a path: different texts have different names.

    Bytes other than letters, digits, `_` and `-` become `=XX`. A long one is cut and ends in its hash, behind a `=h`
    that no escape looks like.
    """
    data = text.encode()
    safe = _UNSAFE.sub(lambda found: b"=%02X" % found[0][0], data).decode()
    if len(safe) <= _LONGEST:
        return safe
    return f"{safe[:60]}=h{hashlib.sha256(data).hexdigest()}"
