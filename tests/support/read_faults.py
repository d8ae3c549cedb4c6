"""A proxy on loopback in front of an API server that adds faults to reads.

This module must not be imported by the package.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support import api_proxy
from tests.support.api_proxy import Answer
from tests.testbed.apiserver import ApiServer


@dataclass(frozen=True)
class Fault:
    """A fault that replaces the answer of the server."""

    status: int = 0
    """Answer with this HTTP status. 0 for another kind of fault."""
    message: str = "a fault"
    retry_after: str = ""
    reset: bool = False
    """Break the connection before any answer."""
    truncate: bool = False
    """Send half of the server's answer, and break the connection."""
    garbage: bool = False
    """Send an answer that is no JSON."""
    silent: threading.Event | None = None
    """Answer only after this event is set."""
    trickle: threading.Event | None = None
    """Send single bytes of the answer until this event is set, and then the rest."""


Judge = Callable[[str], Fault | None]
"""Path with query -> the fault of the request, None without a fault."""


@dataclass
class FaultyProxy:
    """A running proxy. ``judge`` may be replaced at any time."""

    api: ApiServer
    url: str = ""
    judge: Judge = field(default=lambda _path: None)
    asked: list[str] = field(default_factory=list)
    """Paths with queries, in the order of the requests."""

    def kubeconfig(self) -> str:
        """A kubeconfig file for the proxy."""
        return api_proxy.kubeconfig(self.api, self.url)

    def once(self, fault: Fault, *, where: str, at: int = 1) -> None:
        """Add a fault only to the ``at``-th request whose path contains ``where``."""
        seen = 0

        def judge(path: str) -> Fault | None:
            nonlocal seen
            seen += where in path
            return fault if where in path and seen == at else None

        self.judge = judge

    def always(self, fault: Fault, *, where: str) -> None:
        """Add a fault to each request whose path contains ``where``."""
        self.judge = lambda path: fault if where in path else None


class _Handler(api_proxy.Handler):
    proxy: FaultyProxy

    def answer(self, body: bytes) -> None:
        self.proxy.asked.append(self.path)
        fault = self.proxy.judge(self.path) or Fault()
        if fault.silent is not None:
            fault.silent.wait()
        if fault.reset:
            self.cut()
            return
        answer = self._answer(fault, body)
        if fault.truncate:
            self.begin(answer)
            self.wfile.write(answer.content[: len(answer.content) // 2])
            self.wfile.flush()
            self.cut()
        elif fault.trickle is not None:
            self._trickle(answer, fault.trickle)
        else:
            self.send(answer)

    def _answer(self, fault: Fault, body: bytes) -> Answer:
        if fault.garbage:
            return Answer(200, b"<html>nonsense</html>")
        if fault.status:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return Answer.failure(fault.status, fault.message, **headers)
        return self.passed_on(body)

    def _trickle(self, answer: Answer, over: threading.Event) -> None:
        self.begin(answer)
        sent = 0
        with contextlib.suppress(OSError):  # the client may have closed the connection
            while sent < len(answer.content) and not over.wait(0.2):
                self.wfile.write(answer.content[sent : sent + 1])
                self.wfile.flush()
                sent += 1
            self.wfile.write(answer.content[sent:])


@contextlib.contextmanager
def faulty_proxy(api: ApiServer) -> Iterator[FaultyProxy]:
    """Run a proxy in front of a server."""
    proxy = FaultyProxy(api)
    with api_proxy.running(api, _Handler, proxy=proxy) as proxy.url:
        yield proxy
