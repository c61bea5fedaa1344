"""What goes out in chunks arrives as it was sent, and what has a length is sent as it is."""

import asyncio

import httpx

from connectors.gateway.server import HttpServer
from connectors.gateway.settings import GatewaySettings

PARTS = [b"first", b"", b"x" * 70_000, b"last"]


async def _app(scope, receive, send):
    headers = [(b"content-length", b"5")] if scope["path"] == "/short" else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    parts = [b"", b"short"] if headers else PARTS
    for number, each in enumerate(parts, 1):
        await send({"type": "http.response.body", "body": each, "more_body": number < len(parts)})


async def test_answers_with_and_without_a_length_follow_one_another_on_one_connection():
    server = HttpServer(_app, GatewaySettings(port=0))
    server.open()
    stop = asyncio.Event()
    running = asyncio.create_task(server.run(stop, lambda: None))
    try:
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", limits=limits, timeout=20) as client:
            for _ in range(2):
                chunked, short = await client.get("/long"), await client.get("/short")
                assert chunked.headers["transfer-encoding"] == "chunked"
                assert chunked.content == b"".join(PARTS)
                assert (short.headers["content-length"], short.content) == ("5", b"short")
                assert (await client.head("/long")).content == b""
    finally:
        stop.set()
        await running
        server.close()
