"""One request: is the copy there? Else fetch it. What is told of it is the same on every repeat."""

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from datetime import datetime
from typing import Any

from connectors.storage.download import Digest, download
from connectors.storage.fetch import Fetcher
from connectors.storage.keys import object_key, path_safe
from connectors.storage.metrics import OBJECTS, SECONDS
from connectors.storage.settings import StorageSettings
from connectors.storage.store import EndUnheard, ObjectStore
from schemas import StorageRequest, Stored, utcnow
from schemas.errors import RejectRecord, RetryLater

_SHEET_SECONDS = 2.0


class Copier:
    """Copies objects; two copies of one request, at once or after each other, end as one."""

    def __init__(self, settings: StorageSettings, fetcher: Fetcher, store: ObjectStore) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._store = store

    async def copy(self, request: StorageRequest, requested_at: datetime) -> Stored:
        """Where the copy is. `requested_at` is the time of the request's record.

        Raises RejectRecord, StoreAway (wait for the store), or RetryLater with the fact `reason`.
        """
        key = object_key(self._settings.key_template, request, requested_at)
        with SECONDS.time():
            found = await self._found(key, request)
            if found is not None:
                OBJECTS.labels("found").inc()
                return found
            digest = Digest(request, self._settings.max_bytes)
            try:
                async with asyncio.timeout(self._settings.object_timeout_seconds):
                    is_first = await self._fetch(key, request, digest)
            except EndUnheard:
                OBJECTS.labels("copied").inc()
                return await _whole(self._described(key, request, replace=True))
            except TimeoutError as error:
                raise RetryLater("the download took too long", reason="too_slow") from error
            if not is_first:
                return await self._found(key, request) or await self._described(key, request)
            OBJECTS.labels("copied").inc()
            return await _whole(self._vouched(key, request, digest))

    async def _vouched(self, key: str, request: StorageRequest, digest: Digest) -> Stored:
        mine = self._sheet(key, request, digest)
        told = await self._store.vouch(key, mine)
        if told.sha256 != mine.sha256:  # two at once read different bytes: what is there now counts
            return await self._described(key, request, replace=True)
        return told

    async def _fetch(self, key: str, request: StorageRequest, digest: Digest) -> bool:
        source = download(self._fetcher, request.url, digest, self._settings.min_bytes_per_second)
        async with aclosing(source), aclosing(digest.read(source)) as chunks:
            return await self._store.put(key, chunks, lambda: _attributes(request, digest.content_type))

    async def _found(self, key: str, request: StorageRequest) -> Stored | None:
        """The copy that is there. A process that died before it could describe its copy gets that done here."""
        size = await self._store.size(key)
        if size is None:
            return None
        sheet = await self._store.sheet(key)
        if sheet is None:
            return await self._described(key, request)
        if sheet.bytes != size:
            raise RejectRecord("damaged_copy", f"{key} has {size} bytes, its sheet says {sheet.bytes}")
        return sheet.model_copy(update={"location": self._store.location(key)})

    async def _described(self, key: str, request: StorageRequest, *, replace: bool = False) -> Stored:
        digest = Digest(request, self._settings.max_bytes)
        async with aclosing(self._store.read(key)) as stored:
            async for _ in digest.read(stored):
                pass
        return await self._store.vouch(key, self._sheet(key, request, digest), replace=replace)

    def _sheet(self, key: str, request: StorageRequest, digest: Digest) -> Stored:
        return Stored(
            **request.model_dump(), location=self._store.location(key), bytes=digest.bytes, sha256=digest.sha256,
            content_type=digest.content_type, stored_at=utcnow(),
        )  # fmt: skip


def _attributes(request: StorageRequest, content_type: str) -> dict[str, str]:
    """What stores keep with an object. Names and values are such as every store's headers take."""
    return {
        "Content-Type": content_type,
        "fileid": request.file_id,
        "generation": path_safe(request.generation),
        "role": request.role,
    }


async def _whole(work: Coroutine[Any, Any, Stored]) -> Stored:
    """Do it also if this task is cancelled meanwhile: the object is there, and the sheet may be an older one's."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_SHEET_SECONDS)
        task.cancel()
        raise
