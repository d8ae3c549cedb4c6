"""A TCP proxy on loopback that can be switched off, or hold everything back: a server that is away, or hangs.

This module must not know what passes through it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Switch:
    """Passes connections on to a port while it is on."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_on = True
        self._flows = threading.Event()
        self._flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def off(self) -> None:
        """Cut every connection, and every new one at once."""
        with self._lock:
            self._is_on = False
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Take connections and pass nothing on: what a client sees of a network that drops every packet."""
        self._flows.clear()

    def on(self) -> None:
        """Pass connections on again, with what was held back."""
        with self._lock:
            self._is_on = True
        self._flows.set()

    def close(self) -> None:
        """Stop listening."""
        self.off()
        self._flows.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if not self._is_on:
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server, self._registered(client, server):
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()

    @contextlib.contextmanager
    def _registered(self, *sockets: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.update(sockets)
        try:
            yield
        finally:
            with self._lock:
                self._open.difference_update(sockets)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
