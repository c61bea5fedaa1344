"""What the bytes are, by their first ones. What a header says of them is not believed."""

import filetype

from schemas.base import Kind
from schemas.errors import RejectRecord
from schemas.outputs import Role

HEAD_BYTES = 8_192
"""So many bytes, or all there are, tell the type."""

_UNKNOWN = "application/octet-stream"
_FITS: dict[Kind, tuple[str, ...]] = {
    "image": ("image/",),
    "video": ("video/",),
    "audio": ("audio/", "video/mp4", "video/mpeg", "video/webm"),  # containers, whose first bytes tell no more
    "other": ("image/", "video/", "audio/"),
}


def content_type(head: bytes) -> str:
    """The media type that the magic bytes tell; `application/octet-stream` where they tell none."""
    found = filetype.guess_mime(head)
    return str(found) if found else _UNKNOWN


def require_media(head: bytes, kind: Kind, role: Role) -> str:
    """The content type. Raises RejectRecord `not_media` where the bytes are not what was asked for.

    A page of HTML with status 200 is not a video, and a thumbnail is an image whatever its job makes. Of kind `other`
    unknown bytes are taken, texts are not.
    """
    found = content_type(head)
    wanted: Kind = "image" if role == "thumbnail" else kind
    if found.startswith(_FITS[wanted]) or (wanted == "other" and found == _UNKNOWN and not _is_text(head)):
        return found
    raise RejectRecord("not_media", f"wanted {wanted}, the bytes are {_describe(head, found)}", content_type=found)


def _is_text(head: bytes) -> bool:
    """Bytes that are UTF-8 throughout, but for a letter that is cut off at the end, and no zero among them."""
    return b"\0" not in head and "\ufffd" not in head.decode("utf-8", "replace")[:-4]


def _describe(head: bytes, found: str) -> str:
    return f"{found if found != _UNKNOWN else 'unknown'}, beginning with {head.lstrip()[:40]!r}"
