"""HTTP to the upstream. The only file that knows httpx and aiohttp: their errors leave as `errors.Trouble`."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from traceback import clear_frames
from typing import Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from connectors.upstream import metrics
from connectors.upstream.budget import Budget, Rank
from connectors.upstream.errors import NotFound, Refused, TooMany, Trouble, Unauthorized
from connectors.upstream.frames import Frame, FrameDecoder
from connectors.upstream.generation import GenerateRequest, endpoint
from connectors.upstream.parser import Channel, Generated, Sight, parse_answer, parse_refusal
from connectors.upstream.policy import retry_after
from connectors.upstream.settings import ConnectorSettings
from schemas import is_uuid, utcnow

MAX_ANSWER_BYTES = 4_194_304
_READ_BUFFER_BYTES = 16_384
"""Of one stream that nobody reads: aiohttp stops its socket at twice this."""

_PIECE_BYTES = 65_536
"""What is inflated at a time: a few bytes on the wire can stand for any number."""

_TURN_SECONDS = 5.0
"""How long somebody who waits for a call's answer waits for its turn."""

_STREAM_HEADERS = {"accept": "text/event-stream", "cache-control": "no-store"}
_LIBRARY_ERRORS = (
    httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, aiohttp.ClientError, OSError, TimeoutError, zlib.error,
    ValueError,  # httpx-aiohttp reads a reason phrase as if it were always UTF-8
)  # fmt: skip
_REFUSALS = (400, 409, 413, 422)


class UpstreamClient:
    """The upstream's calls. Use it with `async with`; one for all streams and requests of a process.

    Looks and streams are called in a turn that their caller holds, who may hurry it; generate calls take their own.
    """

    def __init__(self, settings: ConnectorSettings, budget: Budget) -> None:
        self._settings = settings
        self._budget = budget
        self._stack = contextlib.AsyncExitStack()
        self._http: httpx.AsyncClient
        self._transport: httpx.AsyncBaseTransport

    async def __aenter__(self) -> Self:
        base_url = httpx.URL(self._settings.base_url.rstrip("/") + "/api/v1/")
        # One connection a stream, however many; the timeouts are httpx's, request by request.
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER_BYTES,
        )
        await self._stack.enter_async_context(session)
        self._transport = AiohttpTransport(client=session)
        self._http = await self._stack.enter_async_context(
            httpx.AsyncClient(
                transport=self._transport,
                base_url=base_url,
                headers={
                    "authorization": f"Bearer {self._settings.token.get_secret_value()}",
                    "accept-encoding": "identity",
                },
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def get_file(self, file_id: str) -> bytes:
        """The file object as the upstream wrote it, for `parse_answer`. Raises Trouble."""
        return await self._get("file", file_id)

    async def get_project(self, project_id: str) -> bytes:
        """The project as the upstream wrote it, for `parse_answer`. Raises Trouble."""
        return await self._get("project", project_id)

    async def subscribe(self, channel: Channel) -> "Subscription":
        """A channel's stream, once the upstream has said yes. It is to be closed. Raises Trouble."""
        request = self._http.build_request(
            "GET", f"events/{channel}", headers=_STREAM_HEADERS, timeout=self._timeout(None)
        )
        with _translated():
            async with asyncio.timeout(self._settings.bytes_seconds):
                response = await self._transport.handle_async_request(request)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(_stream(response).aclose)
            with _translated():
                await self._check(response)
            if "text/event-stream" not in response.headers.get("content-type", ""):
                raise Trouble("not_a_stream", "the answer is not an event stream", status=response.status_code)
            found = Subscription(response)
            stack.pop_all()
        return found

    async def generate(self, kind: str, request: GenerateRequest) -> tuple[Generated, ...]:
        """Begin to generate an image or a video, in its turn: somebody waits. One call can begin several files.

        Raises Refused, with the field, before anything leaves or with the upstream's words; Trouble else, which says
        whether the call `began_nothing`. It is not retried here: see `Orders`.
        """
        name = endpoint(kind)
        body = request.body()
        seconds = self._settings.generate_seconds
        async with self._asked():
            try:
                async with asyncio.timeout(seconds):
                    answer = await self._post(f"file/{name}", body, seconds)
            except TimeoutError as error:
                raise Trouble("silent", f"no answer within {seconds:g} s") from error
        found = parse_answer(answer, name, Sight("poll", utcnow())).generated
        if not found:
            raise Trouble("no_file_id", "the upstream's answer names no file")
        return found

    async def generation_configs(self, sort: str) -> bytes:
        """The list of models of a sort, such as `text_to_video`, in its turn. Raises Trouble."""
        async with self._asked():
            return await self._get_json("generation-config", params={"type": sort})

    @contextlib.asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        """A turn for somebody who waits. Raises Trouble where there is none soon: then nothing has left."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_TURN_SECONDS):
                    await stack.enter_async_context(self._budget.calls.turn(Rank.ASKED, 0))
            except TimeoutError as error:
                raise self._no_turn() from error
            yield

    def _no_turn(self) -> Trouble:
        if self._budget.is_refused:
            return Unauthorized("no_turn", "the upstream refuses the token", after=self._settings.refused_seconds)
        wait = self._budget.shut_until - asyncio.get_running_loop().time()
        if wait > 0:
            return TooMany("no_turn", "the upstream has asked for a pause", after=wait, status=429)
        return Trouble("no_turn", "the upstream does not answer; nothing was asked of it")

    async def _post(self, path: str, body: object, seconds: float) -> bytes:
        request = self._http.build_request("POST", path, json=body, timeout=self._timeout(seconds))
        with _translated(), metrics.REQUEST_SECONDS.labels("generate").time():
            async with self._answer(request) as response:
                await self._check(response)
                return await _body(response)

    async def _get(self, what: str, found_id: str) -> bytes:
        if not is_uuid(found_id):  # nothing else may become a part of a URL
            raise ValueError(f"not a UUID: {found_id!r}")
        return await self._get_json(f"{what}/{found_id}")

    async def _get_json(self, path: str, params: dict[str, str] | None = None) -> bytes:
        seconds = self._settings.request_seconds
        request = self._http.build_request("GET", path, params=params, timeout=self._timeout(seconds))
        with _translated(), metrics.REQUEST_SECONDS.labels("look").time():
            async with asyncio.timeout(seconds), self._answer(request) as response:
                await self._check(response)
                return await _body(response)

    @contextlib.asynccontextmanager
    async def _answer(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """By the transport alone: what the client adds (redirects, cookies) is not wanted, and is kept in cycles."""
        response = await self._transport.handle_async_request(request)
        try:
            yield response
        finally:
            await _stream(response).aclose()

    def _timeout(self, read: float | None) -> httpx.Timeout:
        connect = self._settings.connect_seconds
        # aiohttp's time for a connection, names and TLS included, stands under httpx's name "pool".
        return httpx.Timeout(connect=connect, read=read, write=connect, pool=connect)

    async def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (200, 201, 202):
            return
        wait = retry_after(response.headers.get("retry-after"), response.headers.get("date"), utcnow(), self._settings)
        if status == 429 or (status == 503 and wait is not None):  # noqa: PLR2004
            raise TooMany(f"status_{status}", f"the upstream answers {status}", after=wait, status=status)
        if status in (401, 403):
            raise Unauthorized(
                f"status_{status}",
                f"the upstream refuses the token ({status})",
                after=self._settings.refused_seconds,
                status=status,
            )
        if status == 404:  # noqa: PLR2004
            raise NotFound("status_404", "the upstream does not know it", status=status)
        if status in _REFUSALS and response.request.method == "POST":
            field, words = parse_refusal(await _body(response))
            raise Refused(field, words or f"the upstream answers {status}", status=status)
        raise Trouble(f"status_{status}", f"the upstream answers {status}", status=status)


class Subscription:
    """One open event stream. Its clocks are its reader's."""

    __slots__ = ("_decoder", "_pieces", "_stream")

    def __init__(self, response: httpx.Response) -> None:
        self._stream = _stream(response)
        self._pieces = _pieces(response)
        self._decoder = FrameDecoder()

    async def read(self) -> list[Frame] | None:
        """The frames that the next bytes complete, at times none; None at the end. Raises Trouble."""
        try:
            return self._decoder.feed(await anext(self._pieces))
        except StopAsyncIteration:
            return None
        except _LIBRARY_ERRORS as error:
            raise _trouble(error) from None

    def finish(self) -> list[Frame]:
        """What stood there without its end when the stream ended."""
        return self._decoder.finish()

    async def close(self) -> None:
        with contextlib.suppress(*_LIBRARY_ERRORS):
            await self._stream.aclose()


def _stream(response: httpx.Response) -> httpx.AsyncByteStream:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes, inflated where it is compressed though nobody asked for that. Raises Trouble."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return aiter(_stream(response))
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Trouble("not_decodable", f"the answer is encoded: {encoding[:50]}", status=response.status_code)
    return _inflated(_stream(response))


async def _inflated(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as the first bytes say
    async for each in pieces:
        rest = each
        while rest:
            yield inflater.decompress(rest, _PIECE_BYTES)
            rest = inflater.unconsumed_tail
            await asyncio.sleep(0)  # others have a turn, however much it is


async def _body(response: httpx.Response) -> bytes:
    found = bytearray()
    async for piece in _pieces(response):
        found += piece
        if len(found) > MAX_ANSWER_BYTES:
            raise Trouble(
                "too_long", f"the answer is longer than {MAX_ANSWER_BYTES} bytes", status=response.status_code
            )
    return bytes(found)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _LIBRARY_ERRORS as error:
        raise _trouble(error) from None


def _trouble(error: BaseException) -> Trouble:
    """The error in our words, which lets go of the connection: its reader keeps the error, whose frames keep it."""
    found = Trouble(_cause(error), f"{type(error).__name__}: {error}")
    inner: BaseException | None = error
    while inner is not None:
        clear_frames(inner.__traceback__)
        inner.__traceback__ = None
        inner = inner.__cause__ or inner.__context__
    return found


def _cause(error: BaseException) -> str:
    # httpx-aiohttp calls a reset ConnectTimeout, so its own error beneath tells more.
    inner = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    if isinstance(inner, aiohttp.ClientConnectorCertificateError):
        return "certificate"
    if isinstance(inner, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return "unreachable"
    if isinstance(inner, TimeoutError | httpx.TimeoutException):
        return "silent"
    return "not_decodable" if isinstance(inner, zlib.error | ValueError) else "reset"
