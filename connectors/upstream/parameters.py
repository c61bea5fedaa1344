"""What every parameter of a generate call must be, whatever the model, and what its model's list adds. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from connectors.upstream.rules import Rule, Rules, number

MAX_SIDE = 16_384
"""Pixels of a width or a height."""

_BATCH = "batch_size"
_RATIO = re.compile(r"\s*(\d{1,5}(?:\.\d{1,5})?)\s*[:xX]\s*(\d{1,5}(?:\.\d{1,5})?)\s*", re.ASCII)


class Wrong(NamedTuple):
    """A field of the request, and what was expected."""

    field: str
    message: str


def wrong_params(params: Mapping[str, Any], rules: Rules, max_batch: int) -> list[Wrong]:
    """What is wrong with each; one that is null is as if it were absent."""
    found = [
        (name, _objection(name, value, rules.get(name, Rule()), max_batch))
        for name, value in params.items()
        if value is not None
    ]
    return [Wrong(f"params.{name}", words) for name, words in found if words is not None]


def _objection(name: str, value: object, rule: Rule, max_batch: int) -> str | None:
    if name == _BATCH and not _is_whole(value, max_batch):
        return f"should be a whole number from 1 to {max_batch}"
    if rule.offers(value):
        return None
    general = _GENERAL.get(name)
    words = None if general is None else general(value)
    return words or rule.objection(value)


def _is_whole(value: object, most: int) -> bool:
    found = number(value)
    return found is not None and found == int(found) and 1 <= found <= most


def _side(value: object) -> str | None:
    return None if _is_whole(value, MAX_SIDE) else f"should be a whole number of pixels from 1 to {MAX_SIDE}"


def _positive(value: object) -> str | None:
    found = number(value)
    return None if found is not None and found > 0 else "should be a positive number"


def _ratio(value: object) -> str | None:
    found = _RATIO.fullmatch(value) if isinstance(value, str) else None
    is_one = found is not None and all(float(side) > 0 for side in found.groups())
    return None if is_one else "should be like 16:9 or 1024x768"


def _size(value: object) -> str | None:
    """Others than WIDTHxHEIGHT (`auto`, `720p`) are for the upstream to judge."""
    found = re.fullmatch(r"(\d+)x(\d+)", value, re.ASCII) if isinstance(value, str) else None
    is_wrong = found is not None and any(_side(side) for side in found.groups())
    return f"should be WIDTHxHEIGHT, each from 1 to {MAX_SIDE}" if is_wrong else None


def _list(value: object) -> str | None:
    return None if isinstance(value, list | tuple) else "should be a list"


_GENERAL: Mapping[str, Callable[[object], str | None]] = {
    "width": _side, "height": _side, "duration": _positive, "fps": _positive, "aspect_ratio": _ratio, "size": _size,
    "references": _list,
}  # fmt: skip
