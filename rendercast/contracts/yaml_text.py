"""Plain data as YAML: the few forms that our documents need, made without a YAML library. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

import orjson

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*[A-Za-z0-9_]|[A-Za-z_]")
_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
"""JSON leaves them as they are; YAML takes some of them for line breaks."""

_SPECIAL = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def yaml_text(value: object) -> str:
    """The document, ending in a line break. Texts are plain where that is safe, else in double quotes as in JSON."""
    return "\n".join(_block(value, 0)) + "\n"


def _block(value: object, depth: int) -> Iterator[str]:
    lead = "  " * depth
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _entry(f"{lead}{_scalar(str(key))}:", each, depth)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for each in value:
            if isinstance(each, Mapping | list | tuple) and each:
                first, *rest = _block(each, depth + 1)
                yield f"{lead}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{lead}- {_scalar(each)}"
    else:
        yield f"{lead}{_scalar(value)}"


def _entry(head: str, value: object, depth: int) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        yield head
        yield from _block(value, depth + 1)
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _SPECIAL:
        return value
    if isinstance(value, float):
        return repr(value) if "." in repr(value) else repr(value).replace("e", ".0e")  # without a dot it is a text
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", orjson.dumps(value).decode())
