"""What is read of a list's parameters, and what is refused by it and by the rules that hold for every model."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.upstream.models import merged, read_models
from connectors.upstream.parameters import MAX_SIDE, Wrong, wrong_params
from connectors.upstream.rules import Rule, read_rules

RANGE = Rule(types=("integer",), minimum=1, maximum=10, default=5)
KEYS = ("name", "params", "properties", "type", "enum", "options", "minimum", "min", "maximum", "default", "anyOf")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "params",
    [
        {"n": {"type": "integer", "minimum": 1, "maximum": 10, "default": 5}},
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 10, "default": 5}}},
        {"properties": {"n": {"type": ["integer", "null"], "minimum": 1, "maximum": 10, "default": 5}}},
        {"n": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 10}, {"type": "null"}], "default": 5}},
        [{"name": "n", "type": "int", "min": 1, "max": 10, "default": 5}],
    ],
)
def test_common_forms_of_a_parameter_are_read(params):
    assert read_rules(params) == {"n": RANGE}


@pytest.mark.parametrize("key", ["enum", "options"])
def test_options_are_read_also_with_labels(key):
    assert read_rules({"n": {key: [5, {"value": 10, "label": "long"}, None]}}) == {"n": Rule(options=(5, 10))}


@pytest.mark.parametrize(
    "said",
    [
        {}, {"type": "slider"}, {"type": ["integer", "slider"]}, {"type": 7}, {"enum": []}, {"enum": "5"},
        {"enum": [5, [6]]}, {"options": [{"label": "no value"}]}, {"minimum": "low"}, {"minimum": 5, "maximum": 1},
        {"minimum": True}, {"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"anyOf": 3}, {"default": [1]},
    ],
)  # fmt: skip
def test_what_is_not_understood_makes_no_rule(said):
    assert read_rules({"n": said}) == {"n": Rule()}


@pytest.mark.parametrize("params", [None, 3, "n", [], {}, {"n": 5}, {"n": [1, 2]}, [3, {"name": 4}, {"type": "int"}]])
def test_a_form_that_is_not_known_says_nothing(params):
    assert read_rules(params) == {}


@given(JSON, JSON)
def test_whatever_a_list_holds_it_is_read_and_asked_without_an_error(said, value):
    for name, rule in read_rules(said).items():
        wrong_params({name: value, "width": value, "duration": value, "aspect_ratio": value}, {name: rule}, 10)


@given(st.binary(max_size=30) | st.lists(JSON, max_size=3).map(lambda value: json.dumps(value).encode()))
def test_whatever_a_list_is_it_is_read(answer):
    found = read_models(answer, "text_to_video")
    assert found.by_name or not found.are_all


@pytest.mark.parametrize(
    ("rule", "value", "words"),
    [
        (RANGE, 11, "should be at least 1 and at most 10"),
        (Rule(minimum=1), 0, "should be at least 1"),
        (Rule(maximum=1), 2, "should be at most 1"),
        (RANGE, 1.5, "should be a whole number"),
        (RANGE, True, "should be a whole number"),
        (Rule(types=("string", "array")), 5, "should be a text or a list"),
        (Rule(types=("boolean",)), 1, "should be true or false"),
        (Rule(types=("object",)), [], "should be an object"),
        (Rule(types=("number",)), "five", "should be a number"),
        (Rule(options=(5, 10)), 7, "should be one of 5, 10"),
        (Rule(options=(1, 2)), True, "should be one of 1, 2"),
    ],
)
def test_a_value_that_the_list_excludes_is_refused_with_what_was_expected(rule, value, words):
    assert wrong_params({"n": value}, {"n": rule}, 10) == [Wrong("params.n", words)]


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (RANGE, 5), (RANGE, "5"), (RANGE, 5.0), (RANGE, None), (Rule(options=(5, 10)), "5"), (Rule(options=("5",)), 5),
        (Rule(options=("a", "b")), ["a", "b"]), (Rule(minimum=3), "ab"), (Rule(), {"any": "thing"}),
        (Rule(types=("string",), options=(5,)), 5),
    ],
)  # fmt: skip
def test_what_the_list_does_not_exclude_is_for_the_upstream_to_judge(rule, value):
    assert wrong_params({"n": value}, {"n": rule}, 10) == []


SIDE = f"should be a whole number of pixels from 1 to {MAX_SIDE}"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        *[(name, value, SIDE)
          for name in ("width", "height") for value in (0, -1, 1.5, MAX_SIDE + 1, "wide", True, [])],
        *[(name, value, "should be a positive number")
          for name in ("duration", "fps") for value in (0, -1, "long", "0.0", False, float("nan"), float("inf"), {})],
        *[("batch_size", value, "should be a whole number from 1 to 4") for value in (0, 5, 1.5, "many", True, [2])],
        *[("aspect_ratio", value, "should be like 16:9 or 1024x768")
          for value in ("wide", "16", "16:", ":9", "0:9", "16:0", "16:9:1", "", 1.78, ["16:9"])],
        *[("size", value, f"should be WIDTHxHEIGHT, each from 1 to {MAX_SIDE}") for value in ("0x1", "1x99999")],
        ("references", "https://x.example/a.png", "should be a list"),
        ("references", {}, "should be a list"),
    ],
)  # fmt: skip
def test_what_no_model_can_take_is_refused_whatever_the_list_says_of_it(name, value, words):
    for rules in ({}, {name: Rule()}):
        assert wrong_params({name: value}, rules, 4) == [Wrong(f"params.{name}", words)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 1024), ("width", "1024"), ("height", 1), ("duration", 5), ("duration", 0.5), ("duration", "5.0"),
        ("batch_size", 4), ("batch_size", "2"), ("batch_size", 2.0), ("aspect_ratio", "16:9"), ("size", "auto"),
        ("aspect_ratio", "1024x768"), ("aspect_ratio", "2.39:1"), ("size", "1024x1024"), ("size", 3),
        ("references", ["a"]), ("references", ()), ("width", None), ("unknown", object()),
    ],
)  # fmt: skip
def test_what_some_model_may_take_is_let_through(name, value):
    assert wrong_params({name: value}, {}, 4) == []


def test_a_word_that_the_list_offers_is_taken_but_for_the_number_of_files():
    rules = {"aspect_ratio": Rule(options=("auto",)), "batch_size": Rule(options=(100,))}
    assert wrong_params({"aspect_ratio": "auto"}, rules, 4) == []
    assert [each.field for each in wrong_params({"batch_size": 100}, rules, 4)] == ["params.batch_size"]


def test_all_that_is_wrong_is_named():
    found = wrong_params({"width": 0, "height": 5, "duration": -1}, {}, 4)
    assert [each.field for each in found] == ["params.width", "params.duration"]


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"null", b"{}", b"[]", b'[{"label": "a"}]', b'[{"name": ""}]', b"[" * 2_000]
)
def test_what_is_no_list_has_no_models_and_is_not_whole(answer):
    found = read_models(answer, "text_to_image")
    assert (found.by_name, found.are_all) == ({}, False)


def test_a_list_with_something_strange_on_it_is_not_whole():
    found = read_models(b'[{"name": "a"}, 7]', "text_to_image")
    assert (list(found.by_name), found.are_all) == (["a"], False)


def test_a_model_on_two_lists_has_the_parameters_that_both_give_it():
    one, same, other = (
        read_models(orjson.dumps([{"name": "m", "params": {"n": {"minimum": low}}}]), sort)
        for low, sort in ((1, "text_to_video"), (1, "image_to_video"), (2, "image_to_video"))
    )
    found = merged(one, same).by_name["m"]
    assert (found.sorts, found.rules) == (("text_to_video", "image_to_video"), {"n": Rule(minimum=1)})
    assert merged(one, other).by_name["m"].rules == {}


def test_soras_ratios_are_known_whatever_its_list_says():
    said = {"aspect_ratio": {"enum": ["4:3"], "default": "1:1"}, "duration": {"minimum": 1}}
    for params in (None, said):
        (found,) = read_models(orjson.dumps([{"name": "azure-openai/sora", "params": params}]), "x").by_name.values()
        ratio = found.rules["aspect_ratio"]
        assert (ratio.options, ratio.needed) == (("1:1", "16:9", "9:16"), True)
    assert ratio.default == "1:1"
    assert "duration" in found.rules
