"""What a schema says of single values: whether it takes one, and whether its bounds hold those of another. Pure."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

_WITHIN = ("type", "const", "enum", "pattern", "minLength", "maxLength")


def same(one: object, other: object) -> bool:
    """Equal as JSON: `true` is not 1."""
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def accepts(schema: Mapping[str, Any], value: object) -> bool:
    """Whether the schema takes this text, number, boolean or null. Of lists and objects: never, to be safe."""
    if isinstance(value, list | dict):
        return not schema
    if "const" in schema and not same(schema["const"], value):
        return False
    if "enum" in schema and not any(same(each, value) for each in schema["enum"]):
        return False
    told = schema.get("type")
    if told is not None and not _types_of(value) & set([told] if isinstance(told, str) else told):
        return False
    if isinstance(value, str):
        return _accepts_text(schema, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _accepts_number(schema, value)
    return True


def bounds_fit(name: str, data: Mapping[str, Any], reader: Mapping[str, Any]) -> Iterator[str]:
    """What of a type's bounds is wider in the data than its reader takes, in words."""
    lows = {"string": "minLength", "array": "minItems", "object": "minProperties"}
    highs = {"string": "maxLength", "array": "maxItems", "object": "maxProperties"}
    if name == "number":
        if _low(data) < _low(reader):
            yield f"may be as small as {_words(_low(data))}, readers take {_words(_low(reader))} or more"
        if _high(data) > _high(reader):
            yield f"may be as large as {_words(_high(data))}, readers take {_words(_high(reader))} or less"
    elif name in lows:
        low, high = lows[name], highs[name]
        if data.get(low, 0) < reader.get(low, 0):
            yield f"{low} is {data.get(low, 0)}, that of readers is {reader[low]}"
        if data.get(high, math.inf) > reader.get(high, math.inf):
            yield f"{high} is {data.get(high, 'not bounded')}, that of readers is {reader[high]}"


def _types_of(value: object) -> set[str]:
    if value is None:
        return {"null"}
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, str):
        return {"string"}
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return {"number", "integer"} if is_whole else {"number"}


def _accepts_text(schema: Mapping[str, Any], value: str) -> bool:
    is_long_enough = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf)
    pattern = schema.get("pattern")
    return is_long_enough and (pattern is None or re.search(pattern, value) is not None) and "format" not in schema


def _accepts_number(schema: Mapping[str, Any], value: float) -> bool:
    return (
        _low(schema) <= (value, 0) <= _high(schema)
        and "multipleOf" not in schema
        and schema.get("format") in (None, "int64")
    )


def _low(schema: Mapping[str, Any]) -> tuple[float, int]:
    """The least value; behind it 1 where it is not taken itself. Ordered as the bounds are."""
    return max((schema.get("minimum", -math.inf), 0), (schema.get("exclusiveMinimum", -math.inf), 1))


def _high(schema: Mapping[str, Any]) -> tuple[float, int]:
    return min((schema.get("maximum", math.inf), 0), (schema.get("exclusiveMaximum", math.inf), -1))


def _words(bound: tuple[float, int]) -> str:
    value, exclusive = bound
    return "any" if math.isinf(value) else f"{value:g} (not itself)" if exclusive else f"{value:g}"
