"""A TCP proxy on loopback that can refuse connections or hold all data back: a server that is down, or that hangs.

This module must not know what passes through it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Switch:
    """Forwards connections to a port while it is on."""

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
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    def off(self) -> None:
        """Close every open connection, and every new connection at once."""
        with self._lock:
            self._is_on = False
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Accept connections and forward nothing, like a network that drops every packet."""
        self._flows.clear()

    def on(self) -> None:
        """Forward connections and the data that was held back."""
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
