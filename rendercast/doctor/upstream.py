"""The upstream: does it answer, does it take our token, does it open a stream."""

import asyncio
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from uuid import uuid4

import httpx

from connectors.upstream.budget import Budget
from connectors.upstream.client import UpstreamClient
from connectors.upstream.errors import Trouble, Unauthorized
from connectors.upstream.parser import Channel
from connectors.upstream.settings import ConnectorSettings
from rendercast.doctor import clock
from rendercast.doctor.finding import Findings, doubtful, good, wrong
from rendercast.settings import Settings
from schemas import utcnow

SLOW_SECONDS = 3.0
STREAM_SECONDS = 15.0
_ADDRESS = "Correct RENDERCAST_CONNECTOR__BASE_URL, or let this machine reach it."
_GIVE_ONE = "Give RENDERCAST_CONNECTOR__TOKEN (or …__TOKEN_FILE) a token that is valid there."


async def examine(settings: Settings) -> Findings:
    """One request without the token, one with it, and one stream of a file that nobody has."""
    upstream = settings.connector
    try:
        async with httpx.AsyncClient(timeout=upstream.connect_seconds) as client:
            asked_at, started = utcnow(), time.monotonic()
            answer = await client.get(upstream.base_url)
    except httpx.HTTPError as error:
        yield wrong("upstream", f"{upstream.base_url} does not answer: {str(error) or type(error).__name__}", _ADDRESS)
        return
    took = time.monotonic() - started
    words = f"{upstream.base_url} answers after {took * 1000:.0f} ms"
    slow = "Nothing breaks; results are seen later. Is there a proxy in between?"
    yield doubtful("upstream", words, slow) if took > SLOW_SECONDS else good("upstream", words)
    date = answer.headers.get("date")
    if date is not None:
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            yield doubtful("clock of the upstream", f"its Date is no date: {date[:50]!r}", "Ask its operators.")
        else:  # one of the zone -0000 comes without a zone, and is in UTC (RFC 5322, 3.3)
            yield clock.compare("the upstream", told if told.tzinfo else told.replace(tzinfo=UTC), asked_at)
    if not upstream.token.get_secret_value():
        yield wrong("upstream's token", "there is none", _GIVE_ONE)
        return
    async for each in _with_token(upstream):
        yield each


async def _with_token(upstream: ConnectorSettings) -> Findings:
    async with UpstreamClient(upstream, Budget(upstream)) as client:
        try:
            await client.generation_configs("text_to_video")
        except Unauthorized as error:
            yield wrong("upstream's token", str(error), _GIVE_ONE)
            return
        except Trouble as error:
            yield wrong("upstream's REST", str(error), "Is this the upstream's API? Its path is …/api/v1/.")
            return
        yield good("upstream's token", "is taken")
        started = time.monotonic()
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                subscription = await client.subscribe(Channel("file", str(uuid4())))
        except (Trouble, TimeoutError) as error:
            yield wrong(
                "upstream's streams", str(error) or f"none opens within {STREAM_SECONDS:g} s",
                "Polling goes on without them, more slowly. Does a proxy keep event streams back?",
            )  # fmt: skip
            return
        await subscription.close()
        yield good("upstream's streams", f"one opens after {(time.monotonic() - started) * 1000:.0f} ms")
