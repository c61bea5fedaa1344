"""The process around the routes: its port, its end, and work that belongs together."""

import asyncio
import socket

import pytest

from connectors.gateway import server
from connectors.gateway.gateway import Gateway
from connectors.gateway.settings import GatewaySettings
from connectors.gateway.tasks import until_one_ends
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings
from schemas.topics import Topics


async def test_a_port_that_is_taken_stops_the_process_with_its_setting_named(stand):
    settings = GatewaySettings(port=stand.server.port, auth="off")
    with pytest.raises(StopProcess, match="RENDERCAST_GATEWAY__PORT"):
        await Gateway(settings, KafkaSettings(), Topics("t.")).run(asyncio.Event())


async def test_no_broker_at_start_stops_the_process_and_frees_the_port():
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1", start_timeout_seconds=0.5)
    gateway = Gateway(GatewaySettings(port=0, auth="off"), kafka, Topics("t."))
    assert gateway.not_ready() is not None
    with pytest.raises(StopProcess, match="no Kafka broker"):
        await gateway.run(asyncio.Event())


async def test_an_open_request_does_not_hold_up_the_end(make_stand):
    stand = await make_stand(close_timeout_seconds=1)
    _, writer = await asyncio.open_connection("127.0.0.1", stand.server.port)
    writer.write(b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
    await stand.until(lambda: stand.server._server.server_state.tasks)
    stand.stop.set()
    async with asyncio.timeout(5):
        await stand.running
    writer.close()


async def test_an_answer_in_two_writes_does_not_wait_for_the_clients_acknowledgement(stand):
    await stand.http.get("/healthz")
    (connection,) = stand.server._server.server_state.connections
    taken = connection.transport.get_extra_info("socket")
    assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


BODY_LEFT = b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n{"


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", BODY_LEFT, BODY_LEFT + b"a"])
async def test_who_asks_nothing_does_not_hold_a_connection_for_ever(stand, monkeypatch, sent):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.server.port)
    writer.write(sent[:-1])
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(sent[-1:])
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 415") if sent.startswith(b"POST") else answer == b""
    writer.close()


async def test_a_stream_outlives_the_time_that_a_head_may_take(make_stand, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.05)
    stand = await make_stand(ping_seconds=0.1)
    async with stand.http.stream("GET", "/api/events/all") as response:
        told = b""
        async with asyncio.timeout(10):
            async for part in response.aiter_bytes():
                told += part
                if told.count(b": ping") == 3:
                    break
        assert told.count(b": ping") == 3


async def test_the_first_work_that_fails_ends_the_others_and_is_told():
    ended = []

    async def fails():
        raise StopProcess("no")

    async def goes_on():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("other")

    with pytest.raises(StopProcess):
        await until_one_ends(fails(), goes_on())
    assert ended == ["other"]
