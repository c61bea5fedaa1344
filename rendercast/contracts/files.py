"""The generated files: what they are, where they lie, which of them are not as the models say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

import schemas
from rendercast.contracts import asyncapi, page
from rendercast.contracts.catalogue import CONTRACTS, Contract, slug
from rendercast.contracts.compatibility import Change, broken
from rendercast.contracts.schema import published
from rendercast.contracts.yaml_text import yaml_text
from schemas import Record

HOME = Path(schemas.__file__).parent
JSON = HOME / "json"
RELEASED = JSON / "released"
PAGE = HOME.parent / "connectors" / "gateway" / "page" / "asyncapi.html"

Examples = dict[type[Record], dict[str, Any]]
WHICH = ("least", "full", "awkward")


def example_path(contract: Contract, model: type[Record], which: str) -> Path:
    """Where an example of a model lies; it is written by hand, and tests hold it to the codec's bytes."""
    return JSON / "examples" / contract.name / f"{slug(model)}.{which}.json"


def examples(contract: Contract) -> Examples:
    """The examples of a topic, by model and by which of the three it is."""
    return {
        model: {which: orjson.loads(example_path(contract, model, which).read_bytes()) for which in WHICH}
        for model in contract.models
    }


def generated(version: str) -> dict[Path, bytes]:
    """Every file that is made from the models, as it should be."""
    document = asyncapi.document(version, {each.name: examples(each) for each in CONTRACTS})
    return {
        **{JSON / f"{each.name}.json": _json(published(each)) for each in CONTRACTS},
        HOME / "asyncapi.yaml": yaml_text(document).encode(),
        PAGE: page.html(document).encode(),
    }


def stale(version: str) -> list[Path]:
    """The files that are not as they should be, or missing; and schemas of topics that are no more."""
    wanted = generated(version)
    wrong = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    return wrong + [path for path in JSON.glob("*.json") if path not in wanted]


def last_release() -> str | None:
    """The version whose schemas were kept last."""
    kept = [each.name for each in RELEASED.iterdir() if each.is_dir()] if RELEASED.is_dir() else []
    return max(kept, key=lambda name: [int(part) for part in name.split(".")], default=None)


def broken_since(version: str) -> Iterator[Change]:
    """What breaks those who were built against a release."""
    for contract in CONTRACTS:
        kept = RELEASED / version / f"{contract.name}.json"
        if kept.is_file():
            yield from broken(contract, orjson.loads(kept.read_bytes()), version)


def topics_gone_since(version: str) -> list[str]:
    """Topics of a release that are not described any more."""
    now = {each.name for each in CONTRACTS}
    return sorted(each.stem for each in (RELEASED / version).glob("*.json") if each.stem not in now)


def keep(version: str) -> Path:
    """Keep the schemas as those of a release."""
    home = RELEASED / version
    home.mkdir(parents=True, exist_ok=True)
    for contract in CONTRACTS:
        (home / f"{contract.name}.json").write_bytes(_json(published(contract)))
    return home


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
