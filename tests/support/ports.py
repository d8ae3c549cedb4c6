"""Ports that a test writes into a file before a server binds them."""

from __future__ import annotations

import random
import socket

_PORTS = range(20_000, 32_000)
"""Below the ports that Linux gives to outgoing connections, which would otherwise take the port in the meantime."""


def reserve_port() -> int:
    """Return a port of loopback that nothing listens on."""
    for _ in range(100):
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("all ports are in use")
