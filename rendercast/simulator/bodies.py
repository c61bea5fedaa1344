"""What goes wrong with the body of an answer that is otherwise right."""

from contextlib import suppress
from gzip import compress

from aiohttp import hdrs, web

from rendercast.simulator.wire import PAGE, Wire, reset
from rendercast.simulator.world import World

BODY_FAULTS = ("answer_reset", "answer_slow", "answer_gzip", "answer_wrong_type", "answer_page")
"""An answer suffers at most one of them."""


async def disturb(world: World, request: web.Request, found: web.Response, fault: str) -> web.StreamResponse:
    """The answer with the fault."""
    body = found.body
    assert isinstance(body, bytes)
    match fault:
        case "answer_gzip":
            return web.Response(
                body=compress(body), headers={hdrs.CONTENT_ENCODING: "gzip"}, content_type=found.content_type
            )
        case "answer_wrong_type":
            return web.Response(body=body, content_type="text/html", charset="utf-8")
        case "answer_page":
            return web.Response(text=PAGE, content_type="text/html")
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: found.content_type})
    response.content_length = len(body)
    with suppress(ConnectionError, TimeoutError):  # the client has gone, or reads no more
        await response.prepare(request)
        if fault == "answer_reset":
            await response.write(body[: len(body) // 2])
            reset(request.transport)
        else:
            await Wire(response, world.pause, step=1, rest=world.settings.slow_byte_seconds).send(body)
    return response
