"""The object store. An object is there as a whole or not at all.

A bucket gets a small object by one request that replaces nothing, and shows a large one once its last part is there.
Two large ones at the same time, which a rebalance can bring about, end as the later one, and its writer sees to it that
the sheet is of those bytes (`Copier`). A local folder gets its objects by a move that replaces nothing.

Beside each object lies its sheet, `<key>.json`: sha256, size, content type, source, ids. It is written last, so that a
sheet vouches for its object; stores without attributes (a local folder) have it, too.
"""

import asyncio
import atexit
import contextlib
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import from_url
from pydantic import ValidationError

from connectors.storage.settings import StorageSettings
from schemas import Stored
from schemas.codec import decode_stored, encode
from schemas.errors import RejectRecord, RendercastError, RetryLater, StopProcess

_INCOMING = ".incoming"
_LEFT_OVER_SECONDS = 86_400
_READ_BYTES = 1024 * 1024
_PARTS_AT_ONCE = 2
_CLIENT = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "5m", "allow_http": True}
"""Of one request: a part of the largest size has to pass, also on a slow line. Plain http if the endpoint says so."""
_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=15)}
"""Of the store's client. What takes longer is told (`StoreAway`), and waited for by the sink."""


class StoreAway(RetryLater):
    """The store does not answer. That is no fault of the record in hand: it waits, however long."""


class EndUnheard(RendercastError):
    """An object is there: this upload's, or another's that came at the same time."""


class ObjectStore:
    """Objects under keys, each written once."""

    def __init__(self, settings: StorageSettings, *, make: bool = True) -> None:
        """`make` a local folder that is not there. Raises StopProcess."""
        url = settings.store_url if "://" in settings.store_url else Path(settings.store_url).resolve().as_uri()
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
        self._base = (settings.location_base or url).rstrip("/")
        self._part_bytes = settings.part_bytes
        try:
            if self._folder is not None:
                self._store = from_url(url, mkdir=make)
            else:
                self._store = from_url(url, client_options=cast("Any", _CLIENT), retry_config=_RETRIES)
                atexit.unregister(_let_threads_end)
                atexit.register(_let_threads_end)
        except (BaseError, ValueError, OSError) as error:
            words = _words(error)
            raise StopProcess(f"the object store cannot be opened (RENDERCAST_STORAGE__STORE_URL): {words}") from error

    def location(self, key: str) -> str:
        """The URL of an object, for those who may read the store."""
        return f"{self._base}/{quote(key, safe='/=')}"

    def key(self, location: str) -> str | None:
        """The key of the object at a location; None where that is in another store."""
        base, key = location[: len(self._base) + 1], location[len(self._base) + 1 :]
        return unquote(key) if base == f"{self._base}/" and key else None

    async def size(self, key: str) -> int | None:
        """The object's size, or None where there is none: one HEAD."""
        with _translated():
            try:
                return int((await obstore.head_async(self._store, key))["size"])
            except FileNotFoundError:
                return None

    async def sheet(self, key: str) -> Stored | None:
        """What was written down of the object; None where nothing was, or nothing that can be read."""
        with _translated():
            try:
                found = await obstore.get_async(self._store, _sheet_key(key))
                return decode_stored(bytes(await found.bytes_async()))
            except (FileNotFoundError, RejectRecord, ValidationError):
                return None

    async def read(self, key: str) -> AsyncGenerator[bytes]:
        """The object's bytes."""
        with _translated():
            found = await obstore.get_async(self._store, key)
            async for chunk in found.stream(min_chunk_size=_READ_BYTES):
                yield bytes(chunk)

    async def put(self, key: str, chunks: AsyncIterator[bytes], attributes: Callable[[], dict[str, str]]) -> bool:
        """Write the object, all of it or nothing; False if another was there first, and has stayed. Raises EndUnheard.

        What `chunks` raises passes through, and nothing is kept. Holds a few parts in memory, whatever the size.
        `attributes`, `Content-Type` and others of ours, is asked once the first chunk is there; a folder keeps none.
        """
        with _translated():
            if self._folder is not None:
                return await self._move_in(key, chunks)
            try:
                return await self._upload(key, chunks, attributes)
            except FileNotFoundError as error:
                if await self.size(key) is not None:
                    raise EndUnheard(f"the end of the upload of {key} was not heard, and repeated in vain") from error
                if "NoSuchUpload" in str(error):
                    words = f"the object store has forgotten an upload: {_words(error)}"
                    raise StoreAway(words, reason="store") from error
                raise StopProcess(f"the object store has no such bucket or container: {_words(error)}") from error

    async def _move_in(self, key: str, chunks: AsyncIterator[bytes]) -> bool:
        staged = f"{_INCOMING}/{uuid.uuid4().hex}"
        await self._write(staged, deque(), chunks, None)
        try:
            await obstore.rename_async(self._store, staged, key, overwrite=False)
        except AlreadyExistsError:
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, staged)
            return False
        return True

    async def _upload(self, key: str, chunks: AsyncIterator[bytes], attributes: Callable[[], dict[str, str]]) -> bool:
        """An object of less than a part in one conditional request; a larger one in parts, unseen until the last."""
        head, size = deque[bytes](), 0
        async for chunk in chunks:
            head.append(chunk)
            size += len(chunk)
            if size >= self._part_bytes:
                await self._write(key, head, chunks, attributes())
                return True
        try:
            kept = cast("Any", attributes())
            await obstore.put_async(self._store, key, b"".join(head), attributes=kept, mode="create")
        except AlreadyExistsError:
            return False
        return True

    async def _write(
        self, key: str, head: deque[bytes], chunks: AsyncIterator[bytes], attributes: dict[str, str] | None
    ) -> None:
        """`head`, then `chunks`. A writer that is dropped before it is closed leaves no object."""
        writer: Any = obstore.open_writer_async(
            self._store, key, buffer_size=self._part_bytes, max_concurrency=_PARTS_AT_ONCE,
            attributes=cast("Any", attributes),
        )  # fmt: skip
        try:
            while head:  # emptied on the way: the caller holds it, too
                await writer.write(head.popleft())
            async for chunk in chunks:
                await writer.write(chunk)
            await writer.close()
        finally:
            writer = None  # now: an error's traceback would hold it, and what it has written, for longer

    async def vouch(self, key: str, sheet: Stored, *, replace: bool = False) -> Stored:
        """Write the sheet of an object that is there; unless `replace`, the one that was there first counts."""
        with _translated():
            try:
                mode: Any = "overwrite" if replace else "create"
                await obstore.put_async(self._store, _sheet_key(key), encode(sheet), mode=mode)
            except AlreadyExistsError:
                return await self.sheet(key) or sheet
        return sheet

    async def delete(self, key: str) -> None:
        """The sink deletes nothing: this is for what was written to try the store."""
        with _translated():
            await obstore.delete_async(self._store, key)

    async def sweep(self) -> None:
        """Remove what killed processes left unfinished in a local folder. Buckets have lifecycle rules for it."""
        if self._folder is not None:
            await asyncio.to_thread(_sweep, self._folder / _INCOMING)


def _let_threads_end() -> None:
    """The threads of obstore 0.12 let go of Python a moment after they have answered; once it has ended, they abort."""
    time.sleep(0.1)


def _sheet_key(key: str) -> str:
    return f"{key}.json"


def _sweep(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for each in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if each.stat().st_mtime < time.time() - _LEFT_OVER_SECONDS:
                    each.unlink()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """The store's errors in our words; ours, raised by what was being written, pass."""
    try:
        yield
    except (PermissionDeniedError, PermissionError, UnauthenticatedError, UnknownConfigurationKeyError) as error:
        raise StopProcess(f"the object store does not let this process in: {_words(error)}") from error
    except (InvalidPathError, ValueError) as error:  # which of the two is the library's whim
        raise RejectRecord("bad_key", f"the object store refuses the key: {_words(error)}") from error
    except (BaseError, OSError) as error:
        raise StoreAway(f"the object store does not answer: {_words(error)}", reason="store") from error


def _words(error: Exception) -> str:
    """The first line: obstore appends a debug form of many."""
    return str(error).partition("\n")[0]
