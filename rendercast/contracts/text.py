"""Small pieces of the page: types, bounds and retention in words. Pure."""

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from schemas.base import UUID_PATTERN
from schemas.topics import DAY_MS

_CODE = re.compile(r"`([^`]+)`")
_FORMS = {
    UUID_PATTERN: "",
    UUID_PATTERN.replace("A-F", ""): ", lower case",
    r"^[hH][tT][tT][pP][sS]?://[^\s/]": ", http or https",
}


def prose(text: str, element: str = "p") -> str:
    """Paragraphs, with what is between backticks as code."""
    parts = [_CODE.sub(r"<code>\1</code>", escape(part)) for part in text.split("\n\n") if part]
    return "".join(f"<{element}>{part}</{element}>" for part in parts)


def kept(configuration: Mapping[str, Any]) -> str:
    """How long a topic's records are there."""
    if "compact" in configuration["cleanup.policy"]:
        return "the last record of each key (compacted)"
    return f"{configuration['retention.ms'] // DAY_MS} days"


def kind_of(field: Mapping[str, Any]) -> str:
    """A field's type and bounds, as HTML."""
    options = field.get("anyOf")
    if options:
        return " or ".join(kind_of(each) for each in options)
    if "$ref" in field:
        name = escape(field["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "const" in field:
        return f"<code>{escape(str(field['const']))}</code>"
    if "enum" in field:
        return " ".join(f"<code>{escape(str(each))}</code>" for each in field["enum"])
    if field.get("type") == "array":
        return f"list of {kind_of(field['items'])}"
    if isinstance(field.get("additionalProperties"), Mapping):
        return f"map to {kind_of(field['additionalProperties'])}"
    return escape(field.get("format") or field.get("type", "any")) + "".join(_bounds(field))


def _bounds(field: Mapping[str, Any]) -> Iterator[str]:
    least, above = field.get("minimum"), field.get("exclusiveMinimum")
    most = None if field.get("format") == "int64" else field.get("maximum")
    if least is not None and most is not None:
        yield f" {least} to {most}"
    elif above is not None and most is not None:
        yield f" above {above}, up to {most}"
    elif least is not None:
        yield f" from {least}"
    if "maxLength" in field:
        yield f" up to {field['maxLength']} characters"
    if "pattern" in field:
        pattern = field["pattern"]
        yield _FORMS.get(pattern, f" <code>{escape(pattern)}</code>")
    if field.get("default") not in (None, []):
        yield f" (default <code>{escape(str(field['default']).lower())}</code>)"
