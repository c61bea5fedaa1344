"""JSON Schemas (draft 2020-12) of the contracts. Pure.

Of an input the schema says what is read; of an output what is written, which is less: there is no null, and fields
with a default are there. `reading` says what our own readers take of an output.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

import schemas
from rendercast.contracts.catalogue import Contract
from schemas import Record
from schemas.base import UUID_PATTERN
from schemas.codec import NEW_WORDS, NOTHING

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_READERS = "More fields may come: pass over those that you do not know."
_ALL = [getattr(schemas, name) for name in schemas.__all__]
_MODELS: dict[str, type[Record]] = {
    each.__name__: each for each in _ALL if isinstance(each, type) and issubclass(each, Record)
}


def published(contract: Contract) -> Schema:
    """The schema that others read."""
    found = _schema(contract, written=contract.side == "output")
    about = "\n\n".join(part for part in (found.pop("description", None), contract.about, _READERS) if part)
    return {
        "$schema": _DIALECT,
        "$id": f"urn:rendercast:schema:{contract.name}",
        "title": found.pop("title", contract.name),
        "description": about,
        **found,
    }


def reading(contract: Contract) -> Schema:
    """What this release's own reader takes."""
    return _schema(contract, written=False)


def headers_schema() -> Schema:
    """The CloudEvents headers of every record with a value, except on `jobs`."""
    told = {
        "ce_specversion": {"const": "1.0"},
        "content-type": {"const": "application/json"},
        "ce_id": {"description": "The same for the same record, however often it is sent."},
        "ce_type": {"description": "What the record is, such as `rendercast.completion`."},
        "ce_source": {"description": "Which process told, such as `/rendercast/processor`."},
        "ce_subject": {"description": "The file id.", "format": "uuid"},
        "ce_time": {"description": "When it happened.", "format": "date-time"},
        "traceparent": {
            "description": "The job's trace (W3C Trace Context), where tracing is on. On a Track: its caller's.",
            "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
        },
    }
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in Kafka's binary mode. More headers may come.",
        "properties": {name: {"type": "string", **each} for name, each in told.items()},
        "required": [name for name in told if name not in {"ce_time", "traceparent"}],
    }


def _schema(contract: Contract, *, written: bool) -> Schema:
    found = TypeAdapter(contract.shape).json_schema()
    tag = found.get("discriminator", {}).get("propertyName")
    named = found.get("$defs", {})
    if contract.shape in contract.models:
        named = {**named, contract.models[0].__name__: found}
    for name, schema in named.items():
        _tidy(schema, _MODELS[name], tag, written=written, is_output=contract.side == "output")
    if "discriminator" in found:
        mapping = found.pop("discriminator")["mapping"]
        found["oneOf"] = [{"$ref": ref} for ref in mapping.values()]
    return found


def _tidy(schema: Schema, model: type[Record], tag: str | None, *, written: bool, is_output: bool) -> None:
    schema["description"] = _paragraphs(schema.get("description", ""))
    for name, each in schema["properties"].items():
        _tidy_field(each, written=written)
        if is_output and name in NEW_WORDS:
            _open(each)
        if is_output and each.get("pattern") == UUID_PATTERN:
            each["pattern"] = UUID_PATTERN.replace("A-F", "")
    required = set(schema.get("required", ())) | {tag for tag in [tag] if tag in schema["properties"]}
    if written:
        required |= set(_always_said(model))
    schema["required"] = [name for name in schema["properties"] if name in required]


def _tidy_field(field: Schema, *, written: bool) -> None:
    """A description where it is looked for, no names made of names, no null where none is written."""
    field.pop("title", None)
    if field.get("default", ...) is None:
        del field["default"]
    options = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) == 1:
        said = options[0].pop("description", None)
        if said is not None:
            field.setdefault("description", said)
        if written:
            del field["anyOf"]
            for key, value in options[0].items():
                field.setdefault(key, value)


def _open(field: Schema) -> None:
    """Words may be added to these: who reads takes one that is new for `other`, or for none."""
    for each in (field, *field.get("anyOf", ())):
        known = each.pop("enum", None)
        if known is not None:
            field["examples"] = known
            field["description"] = f"{field['description']} Today one of {', '.join(known)}; others may come."


def _always_said(model: type[Record]) -> Iterator[str]:
    """What `encode` never leaves out."""
    unsaid = {name for name, _ in model.unsaid}
    for name, field in model.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if field.is_required() or (default is not None and default != NOTHING and name not in unsaid):
            yield name


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
