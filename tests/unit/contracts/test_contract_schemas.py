"""Models, schemas and examples say the same; a change of one alone is noticed."""

import copy
from datetime import datetime

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from rendercast.contracts import files
from rendercast.contracts.__main__ import version
from rendercast.contracts.catalogue import CONTRACTS, slug
from rendercast.contracts.schema import headers_schema, published
from schemas.codec import decode_job_view, encode
from schemas.errors import RejectRecord
from schemas.headers import headers
from schemas.topics import Topics

EXAMPLES = [
    pytest.param(contract, model, which, id=f"{contract.name}-{slug(model)}-{which}")
    for contract in CONTRACTS
    for model in contract.models
    for which in files.WHICH
]
FORMATS = FormatChecker(formats=["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_time(value):
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def golden(contract, model, which):
    return orjson.loads(files.example_path(contract, model, which).read_bytes())


def validator(contract):
    kept = orjson.loads((files.JSON / f"{contract.name}.json").read_bytes())
    return Draft202012Validator(kept, format_checker=FORMATS)


def test_the_generated_files_are_as_the_models_say():
    assert files.stale(version()) == [], "make schemas"


def test_every_topic_with_values_of_ours_has_a_schema():
    told = {each.name.removeprefix("render.") for each in Topics().specs()}
    assert told - {each.name for each in CONTRACTS} == {"dead-letters", "positions"}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each.name)
def test_a_schema_is_valid_and_says_what_each_field_means(contract):
    schema = published(contract)
    Draft202012Validator.check_schema(schema)
    assert schema["title"]
    shapes = [*schema["$defs"].values()] if "$defs" in schema else []
    for shape in [*shapes, *([schema] if "properties" in schema else [])]:
        assert shape["description"]
        assert shape["title"]
        assert shape.get("additionalProperties") is not False
        for name, field in shape["properties"].items():
            assert field.get("description"), f"{contract.name}: {name} says nothing of itself"


@pytest.mark.parametrize(("contract", "model", "which"), EXAMPLES)
def test_an_example_is_valid_and_goes_through_the_codec_unchanged(contract, model, which):
    example = golden(contract, model, which)
    validator(contract).validate(example)
    record = contract.decode(orjson.dumps(example))
    assert type(record) is model
    assert encode(record) == orjson.dumps(example)


@pytest.mark.parametrize(("contract", "model", "which"), EXAMPLES)
def test_the_headers_of_an_example_are_as_their_schema_says(contract, model, which):
    if contract.name != "jobs":
        record = contract.decode(orjson.dumps(golden(contract, model, which)))
        told = {name: value.decode() for name, value in headers(record)}
        Draft202012Validator(headers_schema(), format_checker=FORMATS).validate(told)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each.name)
def test_the_full_example_has_every_field_and_the_least_only_what_must_be_there(contract):
    schema = published(contract)
    for model in contract.models:
        shape = schema.get("$defs", {}).get(model.__name__, schema)
        unsaid = {
            name for name, value in model.unsaid if getattr(model(**golden(contract, model, "full")), name) == value
        }
        assert (
            set(golden(contract, model, "full"))
            == set(model.model_fields) - unsaid
            == set(shape["properties"]) - unsaid
        )
        always = {name for name, field in model.model_fields.items() if field.get_default() not in (None, ())}
        assert set(golden(contract, model, "least")) == set(shape["required"]) | (
            always & set(golden(contract, model, "least"))
        )


def changed(example):
    """The example with one thing wrong, or odd, at a time."""
    for name in example:
        yield f"without {name}", {key: value for key, value in example.items() if key != name}
        for odd in (None, "", "x", "x" * 25_000, -1, 0.5, 10**12, True, [], {}, ["x"], {"x": "y"}, 2**63):
            found = copy.deepcopy(example)
            found[name] = odd
            yield f"{name} = {str(odd)[:20]!r}", found
    yield "a new field", {**example, "from_the_future": {"a": [1]}}


def takes(contract, value):
    """As everybody reads it. The processor alone is stricter, of what it owns: it must not lose a newer word."""
    decode = decode_job_view if contract.name == "jobs" else contract.decode
    try:
        decode(orjson.dumps(value))
    except RejectRecord:
        return False
    return True


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each.name)
def test_what_a_schema_allows_the_codec_reads(contract):
    """Of outputs the codec takes more than is promised; of inputs nothing that is refused is allowed."""
    schema = validator(contract)
    allowed = 0
    for model in contract.models:
        for what, value in changed(golden(contract, model, "full")):
            if schema.is_valid(value):
                allowed += 1
                assert takes(contract, value), f"{model.__name__}, {what}: allowed by the schema, refused by the codec"
    assert allowed


@pytest.mark.parametrize("contract", [each for each in CONTRACTS if each.side == "input"], ids=lambda each: each.name)
def test_what_a_schema_of_an_input_refuses_the_codec_refuses(contract):
    """But for forms that pydantic converts, and that nobody is promised: `1` for true, a number for a time."""
    schema, refused = validator(contract), 0
    for model in contract.models:
        shape = published(contract)["$defs"][model.__name__]["properties"]
        for what, value in changed(golden(contract, model, "full")):
            name = what.partition(" =")[0]
            is_converted = name in shape and (
                shape[name].get("format") == "date-time"
                or shape[name].get("type") == "boolean"
                or "number" in str(shape[name])
            )
            if not is_converted and not schema.is_valid(value):
                refused += 1
                assert not takes(contract, value), f"{model.__name__}, {what}: refused by the schema, read by the codec"
    assert refused
