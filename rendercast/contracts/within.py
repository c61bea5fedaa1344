"""Whether all data of one schema is valid by another: for the part of JSON Schema that our models make. Pure.

Data is taken to have the properties that its schema names and no others, as a writer writes it; the reader's schema
takes others too, unless it says otherwise. What cannot be judged is told as a breach: no silence means "it fits".
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rendercast.contracts.values import accepts, bounds_fit

Node = Mapping[str, Any] | bool

_TYPES = frozenset({"null", "boolean", "object", "array", "number", "string"})
_WORDS = frozenset(
    {
        "$schema", "$id", "$defs", "$comment", "title", "description", "examples", "default", "deprecated",
        "discriminator",
    }
)  # fmt: skip
_JUDGED = _WORDS | {
    "$ref", "anyOf", "oneOf", "type", "const", "enum", "properties", "required", "additionalProperties", "items",
    "minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip
_OF = {
    "object": ("propertyNames", "patternProperties"),
    "array": ("prefixItems", "uniqueItems", "contains"),
    "string": ("pattern", "format"),
    "number": ("format", "multipleOf"),
}
"""Keywords that are compared as they are, by the type that they speak of."""


class Breach(NamedTuple):
    """One thing that does not fit: where in the data, and what."""

    at: str
    what: str

    def __str__(self) -> str:
        return f"{self.at or 'the value'}: {self.what}"


def breaches(data: Mapping[str, Any], reader: Mapping[str, Any]) -> list[Breach]:
    """Why data that is valid by the one schema may be refused by the other; empty where none is."""
    return list(dict.fromkeys(_Comparison(data, reader).within(data, reader, "")))


def resolved(node: Node, root: Mapping[str, Any]) -> Node:
    """The node itself, or what it refers to. Only references within the document are known."""
    while isinstance(node, Mapping) and "$ref" in node:
        node = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return node


def options(node: Node) -> list[Node] | None:
    """The members of a union; None where it is none."""
    found = (node.get("anyOf") or node.get("oneOf")) if isinstance(node, Mapping) else None
    return None if found is None else list(found)


def tag(node: Node, root: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name and value of a required constant text, by which a member of a union is known."""
    found = resolved(node, root)
    if isinstance(found, Mapping):
        for name in found.get("required", ()):
            value = resolved(found.get("properties", {}).get(name, {}), root)
            if isinstance(value, Mapping) and isinstance(value.get("const"), str):
                return name, value["const"]
    return None


class _Comparison:
    def __init__(self, data: Mapping[str, Any], reader: Mapping[str, Any]) -> None:
        self._data, self._reader = data, reader
        self._under_way: set[tuple[int, int]] = set()

    def within(self, data: Node, reader: Node, at: str) -> Iterator[Breach]:
        if isinstance(reader, Mapping) and "$ref" in reader and reader.keys() - _WORDS - {"$ref"}:
            yield Breach(at, "a reference with other keywords beside it cannot be judged")
        data, reader = resolved(data, self._data), resolved(reader, self._reader)
        pair = (id(data), id(reader))
        if pair in self._under_way or data is False or reader is True:
            return
        if reader is False:
            yield Breach(at, "readers take no value here")
            return
        assert isinstance(reader, Mapping)
        self._under_way.add(pair)
        members = options(data)
        if members is None:
            yield from self._one_within(data if isinstance(data, Mapping) else {}, reader, at)
        else:
            for member in members:
                yield from self.within(member, reader, at)
        self._under_way.discard(pair)

    def _one_within(self, data: Mapping[str, Any], reader: Mapping[str, Any], at: str) -> Iterator[Breach]:
        if options(reader) is not None:
            yield from self._within_some(data, reader, at)
        if "const" in data or "enum" in data:
            yield from self._values_within(data, reader, at)
            return
        if "const" in reader or "enum" in reader:
            known = reader.get("enum", [reader.get("const")])
            yield Breach(at, f"any value may come, readers know only {_listed(known)}")
            return
        types = _types(data)  # from here on of both, type by type
        for name in sorted(types - _types(reader)):
            if not (name == "integer" and "number" in _types(reader)):
                yield Breach(at, f"may be of type {name}, readers take {' or '.join(sorted(_types(reader)))}")
        for name in sorted({"number" if each == "integer" else each for each in types}):
            yield from self._keywords(name, data, reader, at)
        for keyword in sorted(reader.keys() - _JUDGED - {each for group in _OF.values() for each in group}):
            if reader[keyword] != data.get(keyword):
                yield Breach(at, f"{keyword} cannot be judged")

    def _within_some(self, data: Mapping[str, Any], reader: Mapping[str, Any], at: str) -> Iterator[Breach]:
        members = options(reader) or []
        tags = [tag(each, self._reader) for each in members]
        if "oneOf" in reader and (None in tags or len(set(tags)) < len(tags) or len({t and t[0] for t in tags}) > 1):
            yield Breach(at, "members of a oneOf that no constant tells apart cannot be judged")
            return
        found = [list(self.within(data, each, at)) for each in members]
        if all(found):
            mine = tag(data, self._data)
            if mine is not None and mine in tags:
                yield from found[tags.index(mine)]
            elif mine is not None:
                yield Breach(at, f"readers know no {mine[0]} {mine[1]!r}")
            else:
                yield from min(found, key=len)

    def _values_within(self, data: Mapping[str, Any], reader: Mapping[str, Any], at: str) -> Iterator[Breach]:
        rest = {key: value for key, value in reader.items() if key not in ("anyOf", "oneOf")}
        values = data.get("enum", [data.get("const")])
        for value in values:
            if not accepts(rest, value):
                yield Breach(at, f"{value!r} may come, which readers do not take")

    def _keywords(self, name: str, data: Mapping[str, Any], reader: Mapping[str, Any], at: str) -> Iterator[Breach]:
        for keyword in _OF.get(name, ()):
            if keyword in reader and reader[keyword] != data.get(keyword):
                yield Breach(at, f"{keyword} is {_said(data, keyword)}, that of readers is {reader[keyword]!r}")
        yield from (Breach(at, what) for what in bounds_fit(name, data, reader))
        if name == "object":
            yield from self._object(data, reader, at)
        elif name == "array" and "items" in reader:
            yield from self.within(data.get("items", True), reader["items"], f"{at}[]")
            for member in data.get("prefixItems", ()):
                yield from self.within(member, reader["items"], f"{at}[]")

    def _object(self, data: Mapping[str, Any], reader: Mapping[str, Any], at: str) -> Iterator[Breach]:
        mine, theirs = data.get("properties", {}), reader.get("properties", {})
        others = data.get("additionalProperties", "patternProperties" in data)
        for name in reader.get("required", ()):
            if name not in data.get("required", ()):
                yield Breach(_under(at, name), "may be missing, and readers require it")
        for name, each in mine.items():
            yield from self.within(each, theirs.get(name, reader.get("additionalProperties", True)), _under(at, name))
        if others is not False:
            for name in theirs.keys() - mine.keys():
                yield from self.within(others, theirs[name], _under(at, name))
            yield from self.within(others, reader.get("additionalProperties", True), _under(at, "*"))


def _types(node: Mapping[str, Any]) -> frozenset[str]:
    told = node.get("type")
    if told is None:
        return _TYPES
    return frozenset([told] if isinstance(told, str) else told)


def _said(node: Mapping[str, Any], keyword: str) -> str:
    return repr(node[keyword]) if keyword in node else "not said"


def _listed(values: list[Any]) -> str:
    return ", ".join(map(repr, values))


def _under(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
