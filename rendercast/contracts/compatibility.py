"""What a change of the contract breaks for those who were built against the last release. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rendercast.contracts.catalogue import Contract
from rendercast.contracts.schema import published, reading
from rendercast.contracts.within import Breach, Node, breaches, options, resolved, tag

_OUTPUT = "a reader of release {version} may refuse what is written now"
_INPUT = "what was right for release {version} may be refused now"
_OWN = "this release may refuse what release {version} has written"
_GONE = "what release {version} tells or takes is gone"

ADVICE = """\
Each of these breaks somebody who upgrades later, or earlier, than we do. What to do, best first:
  - add instead of changing: a new optional field beside the old one; both are told until the next release;
  - a new meaning gets a new name: a removed field's name is never used again;
  - where neither will do, a new topic: `<name>-2` beside `<name>`, both written for a release (docs/contracts.md).
Before a version has been released, and only then, its schemas may be made anew: make schemas-release."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change that breaks somebody."""

    topic: str
    breach: Breach
    who: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.breach} ({self.who})"


def broken(contract: Contract, released: Mapping[str, Any], version: str) -> list[Change]:
    """What breaks between the released schema and the models as they are now."""
    now = published(contract)
    if contract.side == "output":
        found = [(_OUTPUT, breaches(now, released)), (_OWN, breaches(released, reading(contract)))]
    else:
        found = [(_INPUT, breaches(released, now))]
    found.append((_GONE, list(gone(released, now))))
    return [Change(contract.name, each, who.format(version=version)) for who, some in found for each in some]


def gone(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Breach]:
    """Fields and members of unions that are there no longer, and defaults that now mean something else."""
    yield from _Gone(old, new).shapes(old, new, "", frozenset())


class _Gone:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old, self._new = old, new

    def shapes(self, old: Node, new: Node, at: str, seen: frozenset[int]) -> Iterator[Breach]:
        """Of both the objects and lists, also where they are members of a union."""
        now = dict(_named(new, self._new))
        for name, each in _named(old, self._old):
            if name not in now:
                yield Breach(at, f"{name} is gone")
            elif id(each) not in seen:
                yield from self._fields(each, now[name], at, seen | {id(each)})

    def _fields(
        self, old: Mapping[str, Any], new: Mapping[str, Any], at: str, seen: frozenset[int]
    ) -> Iterator[Breach]:
        fields = new.get("properties", {})
        for name, each in old.get("properties", {}).items():
            here = f"{at}.{name}" if at else name
            if name not in fields:
                yield Breach(here, "is gone")
                continue
            is_optional = name not in old.get("required", ()) or name not in new.get("required", ())
            if is_optional and _default(each) != _default(fields[name]):
                yield Breach(here, f"meant {_default(each)} where absent, and now means {_default(fields[name])}")
            yield from self.shapes(each, fields[name], here, seen)
        yield from self.shapes(old.get("items", True), new.get("items", True), f"{at}[]", seen)


def _named(node: Node, root: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects and lists of a union, or the only one, by their constant or what they are."""
    for each in options(resolved(node, root)) or [node]:
        member = resolved(each, root)
        told = tag(member, root)
        if told is not None and isinstance(member, Mapping):
            yield f"{told[0]} {told[1]!r}", member
        elif isinstance(member, Mapping) and ("properties" in member or "items" in member):
            yield "an object" if "properties" in member else "a list", member


def _default(node: Node) -> str:
    return repr(node.get("default")) if isinstance(node, Mapping) else "None"
