"""What tests and script files can do to a running simulator: make files, change rates, break and heal."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from pydantic import Field

from rendercast.simulator.faults import Faults
from rendercast.simulator.jobs import Behaviour, Kind, Order
from rendercast.simulator.objects import Json
from rendercast.simulator.outages import Body, Break, EndStreams, HangUp, Heal, Seconds
from rendercast.simulator.requests import Refused, read_body
from rendercast.simulator.wire import reset
from rendercast.simulator.world import World
from schemas.base import FileId, Name

REMEMBERED = 1_000

Transports = Callable[[], Iterable[asyncio.BaseTransport | None]]


class _Generation(Body):
    behaviour: Behaviour = Field(default="plain", description="how it goes")
    seconds: Seconds | None = Field(default=None, description="simulated; how long it takes")
    request_id: Name | None = Field(default=None, description="for the record")
    prompt: str = "a simulated prompt"


class Script(_Generation):
    """`POST /__script`. `faults` are rates of this file alone."""

    kind: Kind = "video"
    file_id: FileId | None = None
    project_id: FileId | None = None
    user_id: Name | None = None
    faults: Faults | None = None


class Again(_Generation):
    """`POST /__regenerate/{file_id}`."""


class Levers:
    """`transports`: those of all connections."""

    def __init__(self, world: World, transports: Transports) -> None:
        self._world = world
        self._transports = transports
        self._began = world.now()
        self.pulled: deque[Json] = deque(maxlen=REMEMBERED)

    def create(self, wanted: Script) -> Json:
        """The new file. Raises Refused."""
        order = _order(wanted.kind, wanted)
        try:
            return self._world.create(
                order, project_id=wanted.project_id, user_id=wanted.user_id, file_id=wanted.file_id,
                seconds=wanted.seconds, rates=wanted.faults,
            )  # fmt: skip
        except KeyError as error:
            raise Refused(409, {"detail": "There is such a file: regenerate it"}) from error

    def regenerate(self, file_id: str, wanted: Again) -> Json:
        """The file with its new generation. Raises Refused."""
        entry = self._world.entries.get(file_id.lower())
        if entry is None:
            raise Refused(404, {"detail": "File not found"})
        order = _order(entry.file.current.order.kind, wanted)
        return self._world.regenerate(entry.file.id, order, wanted.seconds)

    def change_rates(self, changes: object) -> Json:
        """Change the rates that are named. Faults of generations are those of generations to come."""
        present = self._world.dice.rates.model_dump()
        self._world.dice.rates = read_body(Faults, {**present, **changes} if isinstance(changes, dict) else changes)
        self._remember("faults", changes)
        return self._world.dice.rates.model_dump()

    def break_(self, wanted: Break, own: asyncio.BaseTransport | None = None) -> Json:
        """How many streams or connections it ended, or the id by which it can be healed. `own` is spared."""
        world, broken = self._world, wanted.root
        self._remember("break", broken.model_dump(exclude_unset=True))
        if isinstance(broken, HangUp):
            found = [each for each in self._transports() if each is not own]
            for transport in found:
                reset(transport)
            world.total.broken[broken.what] += len(found)
            return {"ended": len(found)}
        if isinstance(broken, EndStreams):
            is_reset = broken.what == "reset_streams"
            count = world.hub.end(lambda channel: broken.concerns(channel, None), is_reset=is_reset)
            world.total.broken[broken.what] += count
            return {"ended": count}
        seconds = None if broken.seconds is None else world.seconds(broken.seconds)
        return {"id": world.outages.add(broken, now=world.now(), seconds=seconds).id}

    def heal(self, wanted: Heal) -> Json:
        """How many breaks were healed."""
        self._remember("heal", wanted.model_dump(exclude_unset=True))
        return {"healed": self._world.outages.heal(wanted, now=self._world.now())}

    def broken(self) -> list[Json]:
        """What is broken now. `left`: seconds."""
        now = self._world.now()
        return [
            {
                "id": each.id,
                **each.broken.model_dump(exclude_none=True),
                "left": None if each.until == inf else each.until - now,
            }
            for each in self._world.outages.present(now)
        ]

    def _remember(self, lever: str, what: object) -> None:
        self.pulled.append({"at": round(self._world.now() - self._began, 3), lever: what})


def _order(kind: Kind, wanted: Any) -> Order:
    return Order(kind=kind, behaviour=wanted.behaviour, prompt=wanted.prompt, request_id=wanted.request_id)
