"""When many connect at once, what else the process does has its turns between them."""

import asyncio
import socket

from connectors.gateway.server import ACCEPTED_AT_ONCE, BACKLOG, HttpServer
from connectors.gateway.settings import GatewaySettings

CONNECTED = 10 * ACCEPTED_AT_ONCE


class Served:
    """Counts requests; `turns` has those of each turn of the loop."""

    def __init__(self) -> None:
        self.number = 0
        self.turns: list[int] = []

    async def __call__(self, scope, receive, send):
        self.number += 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def watch(self) -> None:
        before = 0
        while True:
            await asyncio.sleep(0)
            self.turns.append(self.number - before)
            before = self.number


async def test_other_work_has_its_turn_while_many_connections_wait_to_be_taken():
    assert BACKLOG > CONNECTED
    served = Served()
    server = HttpServer(served, GatewaySettings(port=0))
    server.open()
    clients = []
    for _ in range(CONNECTED):  # all of them before the server's first turn
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(client)
    stop = asyncio.Event()
    watching = asyncio.create_task(served.watch())
    running = asyncio.create_task(server.run(stop, lambda: None))
    try:
        async with asyncio.timeout(20):
            while sum(served.turns) < CONNECTED:  # noqa: ASYNC110 - it counts turns; an event would be one more
                await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        for each in clients:
            each.close()
        stop.set()
        await running
        server.close()
    assert max(served.turns) <= 2 * ACCEPTED_AT_ONCE


async def test_the_kernel_still_holds_as_many_as_ask_at_once():
    """Raised again after asyncio has set it; a smaller one would turn readers away that come back together."""
    server = HttpServer(Served(), GatewaySettings(port=0))
    server.open()
    stop = asyncio.Event()
    running = asyncio.create_task(server.run(stop, lambda: None))
    clients = []
    try:
        async with asyncio.timeout(20):
            while not server._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
        for _ in range(CONNECTED):  # no turn for the server in between
            client = socket.socket()
            client.settimeout(5)
            clients.append(client)
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
        for each in clients:
            each.settimeout(0.5)
            each.send(b"GET")  # on a connection that was not made yet this fails
    finally:
        for each in clients:
            each.close()
        stop.set()
        await running
        server.close()
