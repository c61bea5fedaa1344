"""Event streams as starlette's plain StreamingResponse."""

from benchmarks.peers.gateway_hub import HEADERS, Hub, run
from starlette.responses import Response, StreamingResponse


def answer(hub: Hub, channel: str) -> Response:
    return StreamingResponse(hub.frames(channel, b": ping\n\n"), headers=HEADERS, media_type="text/event-stream")


if __name__ == "__main__":
    run(answer)
