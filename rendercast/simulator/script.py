"""A script file: what to make, break and heal, and when."""

import tomllib
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import orjson
import structlog
from pydantic import Field, ValidationError, model_validator

from rendercast.simulator.faults import Faults
from rendercast.simulator.levers import Again, Levers, Script
from rendercast.simulator.outages import Body, Break, Heal, Seconds
from rendercast.simulator.requests import Refused
from rendercast.simulator.world import World
from schemas.base import FileId
from schemas.errors import StopProcess

At = Field(default=0, description="simulated seconds after the start")

log = structlog.get_logger()


class ScriptedFile(Script):
    """A file to make: as `POST /__script`, at a moment."""

    at: Seconds = At


class ScriptedRegeneration(Again):
    """A file to generate again."""

    file_id: FileId


class Event(Body):
    """What happens at a moment, in this order."""

    at: Seconds = At
    heal: Heal | None = None
    faults: Faults | None = None
    breaks: Break | None = Field(default=None, alias="break")
    regenerate: ScriptedRegeneration | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.heal or self.faults or self.breaks or self.regenerate):
            raise ValueError("an event needs heal, faults, break or regenerate")
        return self

    def happen(self, levers: Levers) -> None:
        """Raises Refused."""
        if self.heal is not None:
            levers.heal(self.heal)
        if self.faults is not None:
            levers.change_rates(self.faults.model_dump(exclude_unset=True))
        if self.breaks is not None:
            levers.break_(self.breaks)
        if self.regenerate is not None:
            levers.regenerate(self.regenerate.file_id, self.regenerate)


class ScriptFile(Body):
    """`faults`: rates from the start, over those of the settings."""

    faults: Faults | None = None
    files: tuple[ScriptedFile, ...] = ()
    events: tuple[Event, ...] = ()


def read_script(path: Path) -> ScriptFile:
    """The script of a `.toml` or `.json` file. Raises StopProcess with one line per mistake."""
    try:
        text = path.read_text(encoding="utf-8")
        found: Any = orjson.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return ScriptFile.model_validate(found)
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise StopProcess("\n  ".join([f"script file {path}:", *mistakes])) from error
    except (OSError, ValueError) as error:
        raise StopProcess(f"script file {path}: {error}") from error


class Player:
    """Does what a script says, each thing at its time."""

    def __init__(self, script: ScriptFile, world: World, levers: Levers) -> None:
        self._world = world
        self._began = world.now()
        steps: list[tuple[float, Callable[[], object]]] = []
        if script.faults is not None:
            steps.append((0, partial(levers.change_rates, script.faults.model_dump(exclude_unset=True))))
        steps += [(each.at, partial(levers.create, each)) for each in script.files]
        steps += [(each.at, partial(each.happen, levers)) for each in script.events]
        self._steps = deque(sorted(steps, key=itemgetter(0)))

    def do_what_is_due(self) -> None:
        while self._steps and self._wait() <= 0:
            _, step = self._steps.popleft()
            try:
                step()
            except Refused as refused:
                log.warning("a step of the script is refused", why=refused.body)

    async def run(self) -> None:
        """Until the simulator stops."""
        while not self._world.closed.is_set():
            await self._world.pause(max(0, self._wait()) if self._steps else None)
            self.do_what_is_due()

    def _wait(self) -> float:
        return self._began + self._world.seconds(self._steps[0][0]) - self._world.now()
