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

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver

from connectors.storage.guard import Guard, GuardedResolver
from connectors.storage.settings import StorageSettings
from schemas import utcnow
from schemas.errors import RejectRecord, RetryLater

MAX_REDIRECTS = 5
_READ_BUFFER = 256 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_EXPIRED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.GONE}
_LATER = {HTTPStatus.REQUEST_TIMEOUT: "host_error", HTTPStatus.TOO_EARLY: "host_error", 429: "too_many_requests"}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)", re.ASCII)


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
                resolver=GuardedResolver(self._guard, self._resolver),
                use_dns_cache=False,
                limit=self._settings.concurrency,
                limit_per_host=self._settings.concurrency_per_host,
            ),
            timeout=ClientTimeout(
                total=None,
                sock_connect=self._settings.connect_timeout_seconds,
                sock_read=self._settings.read_timeout_seconds,
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "rendercast-storage"},
            auto_decompress=False,
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
                    at = urljoin(at, answer.headers.get("Location", ""))
        raise RejectRecord("refused_url", f"more than {MAX_REDIRECTS} redirects")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """The client's errors as RetryLater."""
    try:
        yield
    except (ClientError, TimeoutError, OSError) as error:
        words = f"{type(error).__name__}: {str(error) or 'no answer in time'}"
        raise RetryLater(f"the host cannot be read: {words}", reason="unreachable") from error


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
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def validator_of(answer: ClientResponse) -> str | None:
    """What says that the object is still the same one: a strong ETag, else the time of its last change."""
    tag = answer.headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return str(tag)
    changed = answer.headers.get("Last-Modified")
    return str(changed) if changed is not None else None


def require_rest(answer: ClientResponse, start: int, total: int | None) -> None:
    """Whether a partial answer goes on exactly at `start`. Raises StartOver where it does not."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status != HTTPStatus.PARTIAL_CONTENT or found is None or int(found[1]) != start:
        raise StartOver("the host does not go on where the download was cut", reason="host_error")
    if total is not None and found[2] != str(total):
        raise StartOver("the object has changed its size", reason="host_error")
