"""What a list of models says of their parameters, as far as it is said in a common form. Pure.

The upstream's own form is not known. Read are JSON Schema (`properties` or a mapping by name; `type`, `enum`,
`minimum`, `maximum`, `default`), `options`, `min` and `max`, and a list of such objects with a `name`. Whatever is not
understood makes no rule: the upstream decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

Scalar = str | int | float | bool
Rules = Mapping[str, "Rule"]

_TYPES = {
    "string": "string", "str": "string", "integer": "integer", "int": "integer", "number": "number", "float": "number",
    "boolean": "boolean", "bool": "boolean", "array": "array", "list": "array", "object": "object", "dict": "object",
}  # fmt: skip
_WORDS = {
    "string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "an object",
}  # fmt: skip
_DIGITS = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is known of one parameter: perhaps nothing but its name."""

    types: tuple[str, ...] = ()
    options: tuple[Scalar, ...] = ()
    minimum: int | float | None = None
    maximum: int | float | None = None
    default: Scalar | None = None
    needed: bool = False

    def offers(self, value: object) -> bool:
        """Whether it is one of the options; older deployments write numbers as texts, so those are the same."""
        if not isinstance(value, Scalar):
            return False
        return any(_is_same(value, each) for each in self.options)

    def objection(self, value: object) -> str | None:
        """What was expected instead; None where nothing speaks against the value."""
        if self.options and isinstance(value, Scalar):
            listed = ", ".join(str(each) for each in self.options)
            return None if self.offers(value) else f"should be one of {listed}"
        if self.types and not any(_is_of(value, each) for each in self.types):
            return f"should be {' or '.join(_WORDS[each] for each in self.types)}"
        found = number(value)
        if found is None or not self._is_outside(found):
            return None
        if self.minimum is None:
            return f"should be at most {self.maximum}"
        return f"should be at least {self.minimum}" + ("" if self.maximum is None else f" and at most {self.maximum}")

    def _is_outside(self, found: float) -> bool:
        low, high = self.minimum, self.maximum
        return (low is not None and found < low) or (high is not None and found > high)


def read_rules(params: object) -> dict[str, Rule]:
    """By the parameter's name. Empty where nothing could be read."""
    if isinstance(params, dict):
        inner = params.get("properties")
        named = inner if isinstance(inner, dict) and params.get("type", "object") == "object" else params
    elif isinstance(params, list):
        named = {each["name"]: each for each in params if isinstance(each, dict) and isinstance(each.get("name"), str)}
    else:
        named = {}
    return {name: _rule(each) for name, each in named.items() if isinstance(each, dict)}


def number(value: object) -> int | float | None:
    """A finite number, also where it is written as a text, as older deployments want it."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return float(value) if "." in value else int(value)
    if isinstance(value, bool):
        return None
    return value if isinstance(value, int) or (isinstance(value, float) and isfinite(value)) else None


def _rule(said: dict[str, Any]) -> Rule:
    for key in ("anyOf", "oneOf"):  # how a schema says that a value may be absent
        choices = said.get(key)
        real = [each for each in choices if each != {"type": "null"}] if isinstance(choices, list) else []
        if len(real) == 1 and isinstance(real[0], dict):
            said = {**real[0], **said}
    low, high = _bound(said, "minimum", "min"), _bound(said, "maximum", "max")
    if low is not None and high is not None and low > high:
        low = high = None
    default = said.get("default")
    return Rule(_types(said.get("type")), _options(said), low, high, default if isinstance(default, Scalar) else None)


def _types(said: object) -> tuple[str, ...]:
    """None where one of them is not understood: it may be what a value is."""
    names = [each for each in (said if isinstance(said, list) else [said]) if each != "null"]
    found = [_TYPES.get(each) if isinstance(each, str) else None for each in names]
    known = tuple(dict.fromkeys(each for each in found if each is not None))
    return known if all(found) else ()


def _options(said: dict[str, Any]) -> tuple[Scalar, ...]:
    """None where one of them is not understood."""
    listed = said.get("enum", said.get("options"))
    if not isinstance(listed, list):
        return ()
    plain = [each.get("value") if isinstance(each, dict) else each for each in listed if each is not None]
    known = tuple(each for each in plain if isinstance(each, Scalar))
    return known if len(known) == len(plain) else ()


def _bound(said: dict[str, Any], *keys: str) -> int | float | None:
    return next((found for key in keys if (found := number(said.get(key))) is not None), None)


def _is_same(value: Scalar, option: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(option, bool):
        return value is option
    return value == option or str(value) == str(option)


def _is_of(value: object, what: str) -> bool:
    match what:
        case "string":
            return isinstance(value, str)
        case "integer":
            found = number(value)
            return found is not None and found == int(found)
        case "number":
            return number(value) is not None
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list | tuple)
    return isinstance(value, dict)
