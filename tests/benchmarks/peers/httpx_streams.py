"""Plain httpx with httpx-sse. A client takes 250 streams: it walks through its whole pool for each request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count

import httpx
from benchmarks.peers import listening
from httpx_sse import EventSource

STREAMS_PER_CLIENT = 250


async def main() -> None:
    timeout = httpx.Timeout(30, read=None, pool=None)
    context, numbers, clients = httpx.create_ssl_context(), count(), list[httpx.AsyncClient]()
    async with AsyncExitStack() as stack:

        async def listen(url: str, connecting: asyncio.Semaphore) -> AsyncIterator[str]:
            if next(numbers) % STREAMS_PER_CLIENT == 0:
                new = httpx.AsyncClient(
                    limits=httpx.Limits(max_connections=None), timeout=timeout, verify=context, trust_env=False
                )
                clients.append(new)
                await stack.enter_async_context(new)
            client = clients[-1]
            request = client.build_request("GET", url, headers={"accept": "text/event-stream"})
            async with connecting:
                response = await client.send(request, stream=True)
            async for event in EventSource(response).aiter_sse():
                yield event.data

        await listening.run(listen)


if __name__ == "__main__":
    asyncio.run(main())
