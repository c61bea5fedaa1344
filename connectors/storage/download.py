"""An object's bytes, whatever cuts the connection; counted, hashed and looked at on the way."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing

import structlog

from connectors.storage.fetch import Fetcher, StartOver, UrlExpired, require_rest, require_whole, validator_of
from connectors.storage.metrics import BYTES, RESUMED
from connectors.storage.sniff import HEAD_BYTES, require_media
from schemas import StorageRequest
from schemas.errors import RejectRecord, RetryLater

log = structlog.get_logger()

_CHUNK_BYTES = 1024 * 1024
PACE_SECONDS = 30.0
"""The period over which a download must not be too slow."""
_FRUITLESS = 4
"""So many connections in a row that bring nothing new end the download; the request's next try starts over."""


class Digest:
    """What is known of the bytes seen so far."""

    def __init__(self, request: StorageRequest, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._sha256 = hashlib.sha256()
        self.bytes = 0
        self.content_type = ""

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def require_size(self, size: int) -> None:
        """Raises RejectRecord `too_large`."""
        if size > self._max_bytes:
            raise RejectRecord("too_large", f"{size} bytes, {self._max_bytes} are allowed")

    async def read(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """Passes the chunks on, none before the first bytes are known to be media. Raises RejectRecord."""
        head = b""
        hashed: Awaitable[None] | None = None
        loop = asyncio.get_running_loop()
        async for chunk in chunks:
            if hashed is not None:
                await hashed
            # In a thread, beside the reading and writing of the next chunk: hashing takes longer than either.
            hashed = loop.run_in_executor(None, self._sha256.update, chunk)
            self.bytes += len(chunk)
            self.require_size(self.bytes)
            if self.content_type:
                yield chunk
                continue
            head += chunk
            if len(head) >= HEAD_BYTES:
                self._look(head)
                yield head
        if hashed is not None:
            await hashed
        if not self.content_type:
            self._look(head)
            yield head

    def _look(self, head: bytes) -> None:
        if not head:
            raise RetryLater("the object is empty", reason="empty")
        self.content_type = require_media(head[:HEAD_BYTES], self._request.kind, self._request.role)


async def download(fetcher: Fetcher, url: str, digest: Digest, least: float = 0) -> AsyncGenerator[bytes]:
    """The object's bytes in order, each once. A cut connection is followed by a request for the rest.

    `least`: bytes per second, over half a minute, below which the host is too slow.

    Raises RejectRecord, StartOver, or RetryLater once connections bring nothing new.
    """
    validator: str | None = None
    total: int | None = None
    read = fruitless = 0
    while True:
        before = read
        try:
            headers = {"Range": f"bytes={read}-", "If-Range": validator} if read and validator else {}
            async with fetcher.get(url, headers) as answer:
                if read:
                    total = require_rest(answer, read, total, validator)
                    RESUMED.inc()
                else:
                    validator, total = validator_of(answer), require_whole(answer)
                digest.require_size(total or 0)
                async with aclosing(_paced(answer.content.iter_chunked(_CHUNK_BYTES), least)) as chunks:
                    async for chunk in chunks:
                        read += len(chunk)
                        BYTES.inc(len(chunk))
                        yield chunk
            _require_end(read, total)
        except (StartOver, UrlExpired):
            raise
        except RetryLater as error:
            if read == total:
                return  # what went wrong came behind the last byte
            fruitless = 0 if read > before else fruitless + 1
            if not read or fruitless > _FRUITLESS or error.facts.get("reason") == "too_slow":
                raise
            if validator is None:
                raise StartOver(f"cut, and the host names no version: {error}", reason="unreachable") from error
            log.info("download was cut, going on", bytes=read, reason=str(error))
            await asyncio.sleep(0.2 * 2**fruitless)
        else:
            return


def _require_end(read: int, total: int | None) -> None:
    """Raises where an answer has ended and the object has not: a host may send less of it than was asked for."""
    if total is not None and read > total:
        raise StartOver("the host sends more than it has told", reason="host_error")
    if total is not None and read < total:
        raise RetryLater("the host sends a part of the rest", reason="unreachable")


async def _paced(chunks: AsyncIterator[bytes], least: float) -> AsyncGenerator[bytes]:
    """The chunks. A host that sends, but hardly anything, must not hold a place for hours: raises `too_slow`.

    Counted is the time that was spent waiting for it, so that a slow store is not the host's fault.
    """
    loop, waited, size = asyncio.get_running_loop(), 0.0, 0
    while True:
        began = loop.time()
        chunk = await anext(chunks, None)
        if chunk is None:
            return
        waited, size = waited + loop.time() - began, size + len(chunk)
        if waited >= PACE_SECONDS:
            if size < least * waited:
                raise RetryLater("the host sends too slowly", reason="too_slow")
            waited, size = 0.0, 0
        yield chunk
