"""Comparing the object store with topic `stored`: is each copy there, and is it what was told of it?"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from connectors.storage.store import ObjectStore, StoreAway
from rendercast.reading import extent
from rendercast.settings import Settings
from rendercast.storage_tools.told import SKEW, Progress, Unreadable, latest
from schemas import Stored
from schemas.errors import RejectRecord, StopProcess

State = Literal["good", "missing", "damaged", "unreadable", "elsewhere"]
WRONG: frozenset[State] = frozenset({"missing", "damaged", "unreadable"})
_TRIES = 3
_RETRY_SECONDS = 0.5
_IN_A_ROW = 10
"""So many objects that cannot be read, one after the other, are no fault of the objects."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one copy; `stored` is None where the record itself cannot be read."""

    state: State
    location: str
    detail: str = ""
    stored: Stored | None = None


async def verify(
    settings: Settings, progress: Progress, *, quick: bool, concurrency: int,
    since: datetime | None = None, limit: int | None = None,
) -> AsyncGenerator[Finding]:  # fmt: skip
    """One finding for each copy, in the order in which they are found; `limit` bounds how many are looked at.

    Raises StopProcess where the store answers nothing at all.
    """
    store = ObjectStore(settings.storage, make=False)
    begin = None if since is None else since - SKEW
    what = await extent(settings.kafka, [settings.topics.names.stored], since=begin)
    running: set[asyncio.Task[Finding]] = set()
    failed = 0
    try:
        async with aclosing(latest(settings.kafka, what, progress, since)) as copies:
            async for each in copies:
                if limit is not None:
                    if limit == 0:
                        break
                    limit -= 1
                running.add(asyncio.create_task(_finding(store, each, quick=quick)))
                if len(running) >= concurrency:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        finding = task.result()
                        failed = _require_some(finding, failed)
                        yield finding
        for coming in asyncio.as_completed(running):
            finding = await coming
            failed = _require_some(finding, failed)
            yield finding
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _require_some(finding: Finding, failed: int) -> int:
    """How many in a row could not be read, with this one."""
    if finding.state != "unreadable" or finding.stored is None:
        return 0
    if failed + 1 >= _IN_A_ROW:
        raise StopProcess(f"{_IN_A_ROW} objects in a row could not be read: {finding.detail}")
    return failed + 1


async def _finding(store: ObjectStore, told: Stored | Unreadable, *, quick: bool) -> Finding:
    if isinstance(told, Unreadable):
        return Finding("unreadable", told.place, f"the record cannot be read: {told.why}")
    key = store.key(told.location)
    if key is None:
        return Finding("elsewhere", told.location, "this location is in another store", told)
    try:
        state, detail = await _compared(store, key, told, quick=quick)
    except (StoreAway, RejectRecord, StopProcess) as error:
        state, detail = "unreadable", str(error)
    return Finding(state, told.location, detail, told)


async def _compared(store: ObjectStore, key: str, told: Stored, *, quick: bool) -> tuple[State, str]:
    """Raises StoreAway after some tries."""
    for left in reversed(range(_TRIES)):
        try:
            size = await store.size(key)
            if size is None:
                return "missing", "there is no such object"
            if size != told.bytes:
                return "damaged", f"it has {size:,} bytes, {told.bytes:,} were told"
            if not quick and (found := await _sha256(store, key)) != told.sha256:
                return "damaged", f"its sha256 is {found}, {told.sha256} was told"
            break
        except StoreAway:
            if not left:
                raise
            await asyncio.sleep(_RETRY_SECONDS)
    return "good", ""


async def _sha256(store: ObjectStore, key: str) -> str:
    digest = hashlib.sha256()
    async with aclosing(store.read(key)) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(digest.update, chunk)
    return digest.hexdigest()
