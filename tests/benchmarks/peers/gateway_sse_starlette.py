"""Event streams as sse-starlette's EventSourceResponse, which pings by itself; frames are given to it as bytes."""

from benchmarks.peers.gateway_hub import HEADERS, Hub, ping_seconds, run
from sse_starlette import EventSourceResponse
from starlette.responses import Response


def answer(hub: Hub, channel: str) -> Response:
    return EventSourceResponse(hub.frames(channel, None), headers=HEADERS, ping=ping_seconds())


if __name__ == "__main__":
    run(answer)
