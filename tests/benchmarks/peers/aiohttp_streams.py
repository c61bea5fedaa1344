"""aiohttp with a reader of one's own, which knows `data:` lines and blank lines."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
from benchmarks.peers import listening


async def main() -> None:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def listen(url: str, connecting: asyncio.Semaphore) -> AsyncIterator[str]:
            async with connecting:
                response = await session.get(url, headers={"accept": "text/event-stream"})
            data: list[bytes] = []
            async for line in response.content:
                if line.startswith(b"data:"):
                    data.append(line[5:].strip())
                elif data and line in (b"\n", b"\r\n"):
                    yield b"\n".join(data).decode()
                    data.clear()

        await listening.run(listen)


if __name__ == "__main__":
    asyncio.run(main())
