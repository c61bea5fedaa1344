"""The upstream's lists of models (`generation-config`), read. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from connectors.upstream.generation import RATIO, SORA, SORA_RATIOS
from connectors.upstream.rules import Rule, Rules, read_rules

MAX_NAME = 300


@dataclass(frozen=True, slots=True)
class Model:
    """A model, the sorts of lists that it is on (`text_to_video`), and what is known of its parameters."""

    name: str
    sorts: tuple[str, ...]
    rules: Rules


@dataclass(frozen=True, slots=True)
class Models:
    """By name. Where they are not all, a model that is absent may exist all the same."""

    by_name: Mapping[str, Model]
    are_all: bool


def read_models(answer: bytes, sort: str) -> Models:
    """One list. It is not whole if it is empty, or if something on it cannot be read."""
    try:
        said: Any = orjson.loads(answer)
    except orjson.JSONDecodeError:
        said = None
    listed = said if isinstance(said, list) else []
    named = [each for each in listed if isinstance(each, dict) and _is_name(each.get("name"))]
    found = {each["name"]: _model(each, sort) for each in named}
    return Models(found, are_all=bool(found) and len(named) == len(listed))


def merged(one: Models, other: Models) -> Models:
    """Both. A model that is on both with other parameters has none that are known: which of them count depends."""
    found = dict(one.by_name)
    for name, each in other.by_name.items():
        held = found.get(name)
        if held is None:
            found[name] = each
        else:
            sorts = tuple(dict.fromkeys(held.sorts + each.sorts))
            found[name] = replace(
                each, sorts=sorts, rules=each.rules if held.rules == each.rules else _with_own(name, {})
            )
    return Models(found, one.are_all and other.are_all)


def _model(said: dict[str, Any], sort: str) -> Model:
    name = said["name"]
    return Model(name, (sort,), _with_own(name, read_rules(said.get("params"))))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME


def _with_own(name: str, rules: Rules) -> Rules:
    """With what is known of a model whatever its list says."""
    if name != SORA:
        return rules
    ratio = replace(rules.get(RATIO, Rule()), types=("string",), options=SORA_RATIOS, needed=True)
    return {**rules, RATIO: ratio}
