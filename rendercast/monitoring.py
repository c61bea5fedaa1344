"""`/healthz`, `/readyz` and `/metrics` of a process, from a thread: they answer while the event loop is busy."""

import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from schemas.errors import StopProcess

NotReady = Callable[[], str | None]


class Monitoring:
    """Serves from construction to `close`. `not_ready` is asked at each `/readyz`."""

    def __init__(self, host: str, port: int, not_ready: NotReady = lambda: "starting") -> None:
        self.not_ready = not_ready
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise StopProcess(f"RENDERCAST_MONITORING__PORT: cannot listen on {host}:{port}: {error}") from error
        self._server.monitoring = self
        threading.Thread(target=self._server.serve_forever, name="monitoring", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    monitoring: Monitoring

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            # "::" is then every address of both families, whatever the machine's default
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/healthz":
                self._answer(HTTPStatus.OK, "application/json", b'{"status":"alive"}')
            case "/readyz":
                reason = self.server.monitoring.not_ready()
                status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
                body = {"status": "ready"} if reason is None else {"status": "not ready", "reason": reason}
                self._answer(status, "application/json", orjson.dumps(body))
            case "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest())
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/healthz /readyz /metrics\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Probes and scrapes are not news."""
