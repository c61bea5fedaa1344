"""The page at `/`: files beside the code, read once, sent with headers that let it load nothing else."""

from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import schemas

FOLDER = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/board.js": ("board.js", "text/javascript; charset=utf-8"),
    "/board.css": ("board.css", "text/css; charset=utf-8"),
    "/generate.js": ("generate.js", "text/javascript; charset=utf-8"),
    "/generate.css": ("generate.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/asyncapi": ("asyncapi.html", "text/html; charset=utf-8"),
    "/asyncapi.css": ("asyncapi.css", "text/css; charset=utf-8"),
}
ASYNCAPI = Path(schemas.__file__).parent / "asyncapi.yaml"
"""The topics for machines: it is the contract's, not the page's."""

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' https: http:; media-src https: http:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page_routes() -> list[Route]:
    """One route for each file of the page, and one for the document that it shows."""
    files = [(path, FOLDER / name, media_type) for path, (name, media_type) in FILES.items()]
    return [_route(*each) for each in (*files, ("/asyncapi.yaml", ASYNCAPI, "application/yaml"))]


def _route(path: str, file: Path, media_type: str) -> Route:
    content = file.read_bytes()
    headers = {**HEADERS, "ETag": f'"{sha256(content).hexdigest()[:16]}"'}

    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return Route(path, send, name=file.name)
