"""A download as most scripts have it: httpx, chunk by chunk into a file."""

import asyncio
import os
from pathlib import Path

import httpx


async def main() -> None:
    with Path(os.environ["BENCH_FILE"]).open("wb") as file:  # noqa: ASYNC230 - as most scripts do
        async with httpx.AsyncClient(timeout=60) as client, client.stream("GET", os.environ["BENCH_URL"]) as answer:
            async for chunk in answer.aiter_bytes():
                file.write(chunk)
    print("written", flush=True)
    await asyncio.Event().wait()  # so that the memory it had can be read


if __name__ == "__main__":
    asyncio.run(main())
