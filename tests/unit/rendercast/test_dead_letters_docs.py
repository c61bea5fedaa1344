"""docs/dead-letters.md explains every reason that the code can give, and none that it cannot."""

import ast
import re
from pathlib import Path
from typing import get_args

from connectors.upstream.parser.reasons import BrokenReason
from schemas.codec import _REASONS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "dead-letters.md").read_text()
RETRIED = {"RetryLater", "StartOver", "UrlExpired"}
"""What the storage sink gives up on in the end: their fact `reason` is the letter's."""


def nodes(kind, *rooms):
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kind))


def calls(*rooms):
    for node in nodes(ast.Call, *rooms):
        yield getattr(node.func, "id", ""), node


def texts(node):
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def rejected():
    for name, call in calls("schemas", "streams", "connectors"):
        if name == "RejectRecord" and isinstance(call.args[0], ast.Constant):
            yield call.args[0].value


def given_up():
    from connectors.storage import fetch

    yield from fetch._LATER.values()
    for name, call in calls("connectors/storage"):
        if name in RETRIED:
            yield from (word for each in call.keywords if each.arg == "reason" for word in texts(each.value))
    for node in nodes(ast.Assign, "connectors/storage"):
        if any(getattr(each, "id", "") == "reason" for each in node.targets):
            yield from texts(node.value) - {"reason"}


def broken():
    yield from get_args(BrokenReason)
    for name, call in calls("connectors/upstream"):
        if name == "Broken" and isinstance(call.args[0], ast.Constant):
            yield call.args[0].value


def test_every_reason_is_explained_and_no_other():
    section = TEXT.partition("## Reasons")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    explained = [word for row in rows for word in re.findall(r"`(\w+)`", row)]
    assert len(explained) == len(set(explained))
    assert set(explained) == {*_REASONS.values(), "invalid", *rejected(), *given_up(), *broken()}
