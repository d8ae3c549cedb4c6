"""A TCP proxy on loopback that can be switched off: what a server looks like that is away.

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

    def on(self) -> None:
        """Pass connections on again."""
        with self._lock:
            self._is_on = True

    def close(self) -> None:
        """Stop listening."""
        self.off()
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
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
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


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
