"""Answers ``/healthz``, ``/readyz`` and ``/metrics`` over HTTP.

This module must not know what is healthy: it asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gitsnap.controller.metrics import CONTENT_TYPE
from gitsnap.errors import InputError

Check = Callable[[], str]
"""What is wrong, in words; ``""`` where nothing is."""


class Endpoints:
    """A small HTTP server in a thread of its own."""

    def __init__(self, host: str, port: int, *, healthy: Check, ready: Check, metrics: Callable[[], bytes]) -> None:
        """Bind; port 0 takes a free one. Raises InputError where that is not possible."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """The method's name is that of http.server."""
                checks = {"/healthz": healthy, "/readyz": ready}
                if self.path in checks:
                    problem = checks[self.path]()
                    self._answer(503 if problem else 200, "text/plain; charset=utf-8", f"{problem or 'ok'}\n".encode())
                elif self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE, metrics())
                else:
                    self._answer(404, "text/plain; charset=utf-8", b"/healthz, /readyz or /metrics\n")

            def _answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """A line for every probe helps nobody."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"--listen {host}:{port}: {error}", hint="Choose another address or port.") from None
        self._server.daemon_threads = True
        self._started = False

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer until ``close``."""
        self._started = True
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def close(self) -> None:
        """Answer no more, and free the port."""
        if self._started:
            self._server.shutdown()
        self._server.server_close()
