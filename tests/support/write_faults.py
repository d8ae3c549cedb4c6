"""An HTTP proxy on loopback in front of the API server that lets one write fail, in the way a test wants.

It speaks plain HTTP to gitsnap and passes everything on, but for that write. Dry runs are not counted.
This module must not be imported by the package.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.testbed.apiserver import ApiServer

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a write: instead of it, or in place of its answer."""

    status: int = 0
    """The answer that comes instead, without the server being asked; 0 for a connection that is cut."""
    carried_out: bool = False
    """Whether the server does carry the write out before the connection is cut."""
    always: bool = False
    """Whether it meets every later attempt as well, until the proxy is healed."""
    act: Callable[[], None] = lambda: None
    """Done at that moment: kill the process, or write something as somebody else."""


@dataclass
class FaultyProxy:
    """A running proxy."""

    api: ApiServer
    url: str = ""
    writes: list[str] = field(default_factory=list)
    """Method and path of each write that the server carried out."""
    before_write: Callable[[int], None] = lambda _number: None
    """Called before each write, with its number from 0."""
    _fault: Fault | None = None
    _position: int = 0
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strike(self, position: int, fault: Fault) -> None:
        """Let the write of this number (from 0, counted from now on) meet a fault."""
        self._fault, self._position, self._seen = fault, position, 0
        self.writes.clear()

    def heal(self) -> None:
        """Nothing fails any more."""
        self._fault = None

    def take(self) -> Fault | None:
        """The fault that meets the next write, if it is its turn."""
        with self._lock:
            number, self._seen = self._seen, self._seen + 1
            fault = self._fault
            meets = fault is not None and (number == self._position or (fault.always and number > self._position))
        self.before_write(number)
        return fault if meets else None

    def kubeconfig(self) -> str:
        """A kubeconfig file that leads through the proxy."""
        return str(self.api.kubeconfig(cluster={"server": self.url, "certificate-authority": None}))


@contextlib.contextmanager
def faulty_proxy(api: ApiServer) -> Iterator[FaultyProxy]:
    """A proxy, stopped at the end."""
    proxy = FaultyProxy(api)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dry_run = "dryRun=All" in self.path or b'"dryRun"' in body  # a deletion says it in its body
        counted = self.command in _WRITES and not dry_run and "reviews" not in self.path
        fault = self.proxy.take() if counted else None
        if fault is None:
            self._answer(*self._passed_on(body, counted=counted))
            return
        if fault.carried_out:
            self._passed_on(body, counted=True)
        fault.act()
        if fault.status:
            message = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": fault.status}
            message |= {"message": f"injected {fault.status}", "reason": "Injected"}
            self._answer(fault.status, {"Content-Type": "application/json"}, json.dumps(message).encode())
        else:
            self.close_connection = True
            self.connection.shutdown(2)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names in the library

    def _passed_on(self, body: bytes, *, counted: bool) -> tuple[int, dict[str, str], bytes]:
        context = ssl.create_default_context(cafile=str(self.proxy.api.ca))
        host = self.proxy.api.url.removeprefix("https://")
        connection = http.client.HTTPSConnection(host, context=context, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            if counted and answer.status < 300:
                self.proxy.writes.append(f"{self.command} {self.path.partition('?')[0]}")
            return answer.status, {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}, content
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status == 429:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests say what went wrong."""
