"""One object over HTTP: guarded, redirected by hand, and its errors in our words."""

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver

from connectors.storage.guard import Guard, GuardedResolver
from connectors.storage.resolver import SystemResolver
from connectors.storage.settings import StorageSettings
from schemas import utcnow
from schemas.errors import RejectRecord, RetryLater

MAX_REDIRECTS = 5
_READ_BUFFER = 256 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_EXPIRED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.GONE}
_LATER = {HTTPStatus.REQUEST_TIMEOUT: "host_error", HTTPStatus.TOO_EARLY: "host_error", 429: "too_many_requests"}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19})", re.ASCII)
_HEADER = re.compile(r"[\x20-\x7e]{1,1000}")
_URL = re.compile(r"https?://\S+", re.IGNORECASE)


class StartOver(RetryLater):
    """The object cannot be resumed: it changed, or its host does not serve ranges. What was read is void."""


class UrlExpired(RetryLater):
    """The host refuses the URL by now. A fresh one may work, and a host may come to its senses."""


class Fetcher:
    """The HTTP client. Every address it connects to has been checked; `resolver` takes the place of the system's."""

    def __init__(self, settings: StorageSettings, resolver: AbstractResolver | None = None) -> None:
        self._settings = settings
        self._guard = Guard(settings)
        self._resolver = resolver
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=TCPConnector(
                resolver=GuardedResolver(
                    self._guard, self._resolver or SystemResolver(self._settings.connect_timeout_seconds)
                ),
                use_dns_cache=False,
                limit=self._settings.concurrency,
                limit_per_host=self._settings.concurrency_per_host,  # also of hosts that redirects lead to
            ),
            timeout=ClientTimeout(
                total=None,
                sock_connect=self._settings.connect_timeout_seconds,
                sock_read=self._settings.read_timeout_seconds,
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "rendercast-storage"},
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            read_bufsize=_READ_BUFFER,
            trust_env=False,  # a proxy would resolve names by itself
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def get(self, url: str, headers: dict[str, str]) -> AsyncIterator[ClientResponse]:
        """The answer, 200 or 206, its body unread. Raises RejectRecord, or RetryLater with the fact `reason`."""
        assert self._session is not None, "used outside of its context"
        at = url
        with translated():
            for _ in range(MAX_REDIRECTS + 1):
                async with self._session.get(self._guard.url(at), headers=headers, allow_redirects=False) as answer:
                    if answer.status not in _REDIRECTS:
                        require_success(answer.status, answer.headers.get("Retry-After"), utcnow())
                        yield answer
                        return
                    at = _redirected(at, answer.headers.get("Location", ""))
        raise RejectRecord("refused_url", f"more than {MAX_REDIRECTS} redirects")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """The client's errors as RetryLater."""
    try:
        yield
    except (ClientError, TimeoutError, OSError) as error:
        words = _URL.sub("the URL", str(error)) or "no answer in time"  # a signed URL is a secret
        raise RetryLater(f"the host cannot be read: {type(error).__name__}: {words}", reason="unreachable") from error


def _redirected(at: str, location: str) -> str:
    try:
        return urljoin(at, location)
    except ValueError as error:
        raise RejectRecord("refused_url", "URL refused: it redirects to none that can be read") from error


def require_success(status: int, retry_after: str | None, now: datetime) -> None:
    """Returns for 200 and 206. Raises by what may help: time (RetryLater), or nothing (RejectRecord)."""
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise StartOver("the host does not serve the rest of the object", reason="host_error")
    if status == HTTPStatus.NOT_FOUND:  # a URL is told before its object can be read everywhere
        raise RetryLater("the host answers 404", reason="not_found")
    if status in _EXPIRED:
        raise UrlExpired(f"the host answers {status}", reason="expired_url")
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        after = seconds_of(retry_after, now)
        raise RetryLater(f"the host answers {status}", after=after, reason=_LATER.get(status, "host_error"))
    raise RejectRecord("refused_by_host", f"the host answers {status}")


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """`Retry-After`, in seconds or as a date; None where it says nothing that can be read."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):  # of dates that only look like some
        return None


def validator_of(answer: ClientResponse) -> str | None:
    """What says that the object is still the same one: a strong ETag, else the time of its last change."""
    for name in ("ETag", "Last-Modified"):
        found = answer.headers.get(name)
        if found is not None and not found.startswith("W/") and _HEADER.fullmatch(found):
            return str(found)
    return None


def _encoding(answer: ClientResponse) -> str | None:
    """None where the bytes are the object's own."""
    found = answer.headers.get("Content-Encoding", "identity").lower()
    return None if found == "identity" else found


def require_whole(answer: ClientResponse) -> int | None:
    """The size that the first answer tells; None where its end is marked in another way.

    Raises for what could be a part of the object and look like all of it: RetryLater, or RejectRecord.
    """
    if answer.status != HTTPStatus.OK:
        raise RetryLater("the host answers with a part that nobody asked for", reason="host_error")
    if (encoding := _encoding(answer)) is not None:
        raise RetryLater(f"the host encodes the object ({encoding[:20]}), unasked", reason="host_error")
    if answer.content_length is None and "chunked" not in answer.headers.get("Transfer-Encoding", "").lower():
        raise RejectRecord("refused_by_host", "the host tells no length: nobody could see that the object was cut")
    return answer.content_length


def require_rest(answer: ClientResponse, start: int, total: int | None, validator: str | None) -> int:
    """The object's size, if a partial answer goes on exactly at `start`, of the same version. Raises StartOver."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status != HTTPStatus.PARTIAL_CONTENT or found is None or int(found[1]) != start:
        raise StartOver("the host does not go on where the download was cut", reason="host_error")
    if _encoding(answer) is not None:
        raise StartOver("the host encodes the rest of the object, unasked", reason="host_error")
    if validator_of(answer) not in (None, validator):
        raise StartOver("the object has changed", reason="host_error")
    if total is not None and int(found[2]) != total:
        raise StartOver("the object has changed its size", reason="host_error")
    return int(found[2])
