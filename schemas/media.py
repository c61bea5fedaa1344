"""Which kind of media a URL leads to, as far as it can be told without fetching it."""

from urllib.parse import urlsplit

from schemas.base import Kind

_EXTENSIONS: dict[str, Kind] = {
    **dict.fromkeys((".mp4", ".mov", ".webm", ".avi", ".mkv"), "video"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".gif"), "image"),
    **dict.fromkeys((".mp3", ".wav", ".ogg", ".m4a", ".flac"), "audio"),
}
_UPSTREAM_TYPES: dict[str, Kind] = {
    "image": "image",
    "video": "video",
    **dict.fromkeys(("audio", "voiceover", "soundeffect", "music"), "audio"),
}


def extension(url: str) -> str:
    """The path's extension in lower case, with its dot, or "". Query strings and backslashes do not matter."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    name = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem and suffix else ""


def kind_of_type(name: object) -> Kind | None:
    """The upstream's `type` of a file as a kind: `voiceover`, `soundeffect` and `music` are audio."""
    return _UPSTREAM_TYPES.get(name) if isinstance(name, str) else None


def kind_of_url(url: str, content_type: str | None = None, declared: Kind | None = None) -> Kind | None:
    """The kind of media behind `url`, or None where nothing tells.

    A content type outweighs the extension, and the extension what the file object calls itself: a file event can
    carry a reference image under a video's name. `.mpeg` is left to the declaration: voice-overs end in it.
    """
    by_content = (content_type or "").partition("/")[0].strip().lower()
    return _UPSTREAM_TYPES.get(by_content) or _EXTENSIONS.get(extension(url)) or declared


def is_right_kind(wanted: Kind, url: str, content_type: str | None = None, declared: Kind | None = None) -> bool:
    """Whether `url` can be the result of a job of kind `wanted`. What nothing is known of gets the benefit."""
    found = kind_of_url(url, content_type, declared)
    return wanted == "other" or found is None or found in (wanted, "other")
