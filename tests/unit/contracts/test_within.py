"""Whatever the comparison calls compatible is: data valid by the one schema is valid by the other."""

import copy
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rendercast.contracts.within import breaches

NAMES = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(-3, 3)
BOUNDS = {
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
}
EXAMPLES = int(os.environ.get("RENDERCAST_TEST_SCHEMAS", "150"))
"""How many pairs of schemas; more for a longer look."""

SCALARS = st.one_of(st.none(), st.booleans(), SMALL, st.sampled_from(["", "a", "ab", "x", 0.5, 1.0]))


@st.composite
def strings(draw):
    least = draw(st.integers(0, 2))
    found = {"type": "string", "minLength": least, "maxLength": draw(st.integers(least, 4)), "pattern": "^a*$"}
    return {key: value for key, value in found.items() if key == "type" or draw(st.booleans())}


@st.composite
def numbers(draw):
    low = draw(SMALL)
    high = low + draw(st.integers(1, 3))
    found = {"type": draw(st.sampled_from(["number", "integer"]))}
    found |= {draw(st.sampled_from(["minimum", "exclusiveMinimum"])): low} if draw(st.booleans()) else {}
    found |= {draw(st.sampled_from(["maximum", "exclusiveMaximum"])): high} if draw(st.booleans()) else {}
    return found


@st.composite
def objects(draw, inner):
    fields = draw(st.dictionaries(NAMES, inner, max_size=3))
    found = {"type": "object", "properties": fields}
    found["required"] = draw(st.lists(st.sampled_from(sorted(fields)), unique=True)) if fields else []
    if draw(st.booleans()):
        found["additionalProperties"] = draw(st.one_of(st.booleans(), inner))
    return found


@st.composite
def arrays(draw, inner):
    found = {"type": "array"}
    if draw(st.booleans()):
        found["items"] = draw(inner)
    if draw(st.booleans()):
        found["maxItems"] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        found["minItems"] = draw(st.integers(0, found.get("maxItems", 2)))
    return found


@st.composite
def tagged(draw, inner):
    names = draw(st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, unique=True))
    members = []
    for name in names:
        member = draw(objects(inner))
        member["properties"]["t"] = {"const": name, "type": "string"}
        member["required"] = [*member["required"], "t"]
        members.append(member)
    return {"oneOf": members}


LEAVES = st.one_of(
    strings(), numbers(), st.builds(lambda value: {"const": value}, SCALARS),
    st.builds(lambda values: {"enum": values}, st.lists(SCALARS, min_size=1, max_size=4)),
    st.sampled_from([{"type": "null"}, {"type": "boolean"}, {}, {"type": ["string", "null"]}]),
)  # fmt: skip
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        objects(inner), arrays(inner), tagged(inner),
        st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=6,
)  # fmt: skip


def values(schema):
    """Data of a schema, with the properties that it names."""
    if schema is False:
        return st.nothing()
    if schema is True or schema == {}:
        return st.one_of(SCALARS, st.just([]), st.just([1]), st.just({}), st.just({"a": 1, "c": "x"}))
    if "$ref" in schema:
        raise AssertionError("references are resolved before")
    if members := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of(*map(values, members))
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return st.one_of(*(of_type(kind, schema) for kind in kinds))


def of_type(kind, schema):
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "string":
            return st.text("abx" if "pattern" not in schema else "a", min_size=0, max_size=6)
        case "integer":
            return st.integers(-8, 8)
        case "number":
            return st.one_of(st.integers(-8, 8), st.sampled_from([n / 2 for n in range(-16, 17)]))
        case "array":
            return st.lists(values(schema.get("items", True)), max_size=4)
    others = schema.get("additionalProperties", False)
    named = {name: values(each) for name, each in schema["properties"].items()}
    more = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), values(others), max_size=2)
    known = st.fixed_dictionaries(
        {name: named[name] for name in schema["required"]},
        optional={name: each for name, each in named.items() if name not in schema["required"]},
    )
    return st.builds(lambda some, told: {**{k: v for k, v in some.items() if k not in named}, **told}, more, known)


@st.composite
def altered(draw, schema):
    """The same but for one small thing, somewhere in it."""
    found = copy.deepcopy(schema)
    places = [found]
    for node in places:
        places += [each for each in node.get("properties", {}).values() if each]
        places += [each for key in ("anyOf", "oneOf") for each in node.get(key, ())]
        places += [node[key] for key in ("items", "additionalProperties") if isinstance(node.get(key), dict)]
    node = draw(st.sampled_from(places))
    edits = [lambda: node.update(draw(LEAVES)), lambda: node.update({"anyOf": [copy.deepcopy(node), draw(LEAVES)]})]
    for key in node.keys() & BOUNDS:
        edits += [
            lambda key=key: node.pop(key),
            lambda key=key: node.update({key: node[key] + draw(st.sampled_from([-1, 1]))}),
        ]
    for key in [each for each in ("enum", "anyOf", "oneOf") if len(node.get(each, ())) > 1]:
        edits.append(lambda key=key: node[key].pop(draw(st.integers(0, len(node[key]) - 1))))
    if "enum" in node:
        edits.append(lambda: node["enum"].append(draw(SCALARS)))
    if "properties" in node:
        edits.append(lambda: node.update(additionalProperties=draw(st.one_of(st.booleans(), LEAVES))))
        for name in node["properties"]:
            edits.append(lambda name=name: node.update(required=sorted({*node["required"]} ^ {name})))
            edits.append(lambda name=name: node["properties"].update({name: draw(LEAVES)}))
    edits += [lambda: node.pop("pattern")] if "pattern" in node else []
    if "type" in node and node["type"] in ("number", "integer"):
        edits.append(lambda: node.update(type="integer"))
    draw(st.sampled_from(edits))()
    for name in {*node.get("required", ())} - {*node.get("properties", ())}:
        node["required"].remove(name)
    return found


@pytest.mark.parametrize("related", [True, False], ids=["a schema and one like it", "any two"])
def test_data_of_what_is_called_compatible_is_valid_for_the_reader(related):
    compatible = 0

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data):
        nonlocal compatible
        written = data.draw(SCHEMAS)
        reader = data.draw(altered(written) if related else SCHEMAS)
        if breaches(written, reader):
            return
        compatible += 1
        for value in data.draw(st.lists(values(written), max_size=5)):
            if Draft202012Validator(written).is_valid(value):
                Draft202012Validator(reader).validate(value)

    check()
    assert compatible > EXAMPLES // (5 if related else 40)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(SCHEMAS)
def test_every_schema_fits_itself(schema):
    assert breaches(schema, copy.deepcopy(schema)) == []


def test_a_shape_that_holds_itself_comes_to_an_end():
    tree = {
        "$ref": "#/$defs/Tree",
        "$defs": {
            "Tree": {"type": "object", "properties": {"more": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}
        },
    }
    assert breaches(tree, copy.deepcopy(tree)) == []
    narrow = copy.deepcopy(tree)
    narrow["$defs"]["Tree"]["properties"]["more"]["maxItems"] = 1
    assert [each.at for each in breaches(tree, narrow)] == ["more"]


@pytest.mark.parametrize(
    ("written", "reader"),
    [
        ({"type": "string"}, {"type": "string", "not": {"const": "x"}}),
        ({"type": "string"}, {"type": "string", "format": "uuid"}),
        ({"type": "object", "properties": {}}, {"type": "object", "propertyNames": {"pattern": "^a"}}),
        ({"type": "string"}, {"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}),
        ({"type": "array"}, {"type": "array", "uniqueItems": True}),
        ({"type": "string"}, {"$ref": "#/$defs/S", "maxLength": 1, "$defs": {"S": {"type": "string"}}}),
        ({"const": True}, {"enum": [1]}),
        ({"const": 0.5}, {"type": "integer"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}),
        ({"enum": ["a", "abc"]}, {"type": "string", "maxLength": 2}),
        ({"type": "object"}, {"type": "object", "if": {}, "then": {}}),
    ],
)
def test_what_does_not_fit_or_cannot_be_judged_is_told(written, reader):
    assert breaches(written, reader)
