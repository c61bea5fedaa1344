"""What a client can follow: `file.<uuid>`, `project.<id>`, `user.<id>`, `chat.<id>`, and `all`."""

from pydantic import TypeAdapter, ValidationError

from schemas.base import FileId, Name

ALL = "all"

_ID = {"file": TypeAdapter[str](FileId), **dict.fromkeys(("project", "user", "chat"), TypeAdapter[str](Name))}


def parse_channel(text: str) -> str:
    """The channel in its one spelling (a file's UUID in lower case). Raises ValueError that says what is wrong."""
    if text == ALL:
        return ALL
    kind, dot, name = text.partition(".")
    if kind not in _ID or not dot:
        raise ValueError("should be file.<uuid>, project.<id>, user.<id>, chat.<id> or all")
    try:
        return f"{kind}.{_ID[kind].validate_python(name)}"
    except ValidationError as error:
        wanted = "a UUID" if kind == "file" else "1 to 300 characters"
        raise ValueError(f"should have {wanted} after `{kind}.`") from error


def file_of(channels: tuple[str, ...]) -> str | None:
    """The file, where the channels are those of one file only."""
    only = channels[0] if len(channels) == 1 else ""
    return only.removeprefix("file.") if only.startswith("file.") else None
