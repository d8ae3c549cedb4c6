"""An HTTP proxy on loopback in front of the API server that adds a fault to a chosen write.

Everything else is passed on. Dry runs are not counted.
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

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that replaces a write, or only its answer."""

    status: int = 0
    """Answer with this HTTP status without asking the server. 0 cuts the connection."""
    carried_out: bool = False
    """Whether the server performs the write before the connection is cut."""
    always: bool = False
    """Whether later writes have the fault too, until the proxy is healed."""
    act: Callable[[], None] = lambda: None
    """Called at the fault: may kill the process, or write as another user."""


@dataclass
class FaultyProxy:
    """A running proxy."""

    api: ApiServer
    url: str = ""
    writes: list[str] = field(default_factory=list)
    """Method and path of each write that the server performed."""
    before_write: Callable[[int], None] = lambda _number: None
    """Called before each write, with its number from 0."""
    _fault: Fault | None = None
    _position: int = 0
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strike(self, position: int, fault: Fault) -> None:
        """Add a fault to the write at a position, counted from 0 and from now."""
        self._fault, self._position, self._seen = fault, position, 0
        self.writes.clear()

    def heal(self) -> None:
        """Stop the fault."""
        self._fault = None

    def take(self) -> Fault | None:
        """The fault of the next write, or None."""
        with self._lock:
            number, self._seen = self._seen, self._seen + 1
            fault = self._fault
            meets = fault is not None and (number == self._position or (fault.always and number > self._position))
        self.before_write(number)
        return fault if meets else None

    def kubeconfig(self) -> str:
        """A kubeconfig file for the proxy."""
        return api_proxy.kubeconfig(self.api, self.url)


class _Handler(api_proxy.Handler):
    proxy: FaultyProxy

    def answer(self, body: bytes) -> None:
        dry_run = "dryRun=All" in self.path or b'"dryRun"' in body  # a deletion says it in its body
        counted = self.command in _WRITES and not dry_run and "reviews" not in self.path
        fault = self.proxy.take() if counted else None
        if fault is None:
            self.send(self._carried_out(body) if counted else self.passed_on(body))
            return
        if fault.carried_out:
            self._carried_out(body)
        fault.act()
        if fault.status:
            headers = {"Retry-After": "0"} if fault.status == 429 else {}
            self.send(Answer.failure(fault.status, f"injected {fault.status}", **headers))
        else:
            self.cut()

    def _carried_out(self, body: bytes) -> Answer:
        answer = self.passed_on(body)
        if answer.status < 300:
            self.proxy.writes.append(f"{self.command} {self.path.partition('?')[0]}")
        return answer


@contextlib.contextmanager
def faulty_proxy(api: ApiServer) -> Iterator[FaultyProxy]:
    """Run a proxy."""
    proxy = FaultyProxy(api)
    with api_proxy.running(api, _Handler, proxy=proxy) as proxy.url:
        yield proxy
