"""A host with one large object: `BENCH_BYTES` bytes that begin as a video, as fast as they are taken."""

import asyncio
import os
import struct

SIZE = int(os.environ.get("BENCH_BYTES", "0"))
BLOCK = b"\0" * 256 * 1024
HEAD = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp42")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    print("asked", flush=True)
    writer.write(
        b'HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nETag: "one"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n'
        % SIZE
    )
    writer.write(HEAD)
    left = SIZE - len(HEAD)
    while left:
        block = BLOCK[:left]
        writer.write(block)
        left -= len(block)
        await writer.drain()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
