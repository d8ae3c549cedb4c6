"""The checks of a server's options: libraries, addresses to listen on, and host names that a browser may use."""

from __future__ import annotations

import importlib.util
import ipaddress
import re
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gitsnap.core.errors import InputError, UsageError

_LIBRARIES = ("jinja2", "starlette", "uvicorn")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(?::(\d{1,5}))?\Z")
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on."""

    host: str
    """A name or an IP address without brackets; ``""`` for all addresses."""
    port: int
    """0 selects a free port."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def bind(self) -> socket.socket:
        """Return a listening socket. Raises InputError if the address cannot be bound."""
        try:
            if self.host in ("", "::") and socket.has_dualstack_ipv6():
                return socket.create_server(("::", self.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
            family, _, _, _, found = socket.getaddrinfo(
                self.host or None, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return socket.create_server(found[:2], family=family, backlog=256)
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"--listen {self}: {reason}", hint="Choose another address or port.") from None


def check_libraries(user: str) -> None:
    """Raise UsageError if a library of the extra ``web`` is missing. ``user``: the command or option that needs it."""
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{user} needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint="`pip install 'gitsnap[web]'` installs it.",
        )


def parse_address(text: str, option: str = "--listen") -> Address:
    """Parse ``[HOST]:PORT``; an empty host means all addresses. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_ambiguous = ":" in bare and bare == host  # an IPv6 address needs brackets
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535 or is_ambiguous:
        raise UsageError(f"{option} {text}: [HOST]:PORT is needed, such as 127.0.0.1:8080 or [::1]:8080")
    return Address(bare, int(port))


def check_hosts(address: Address, allowed: Collection[str], prefix: str = "--") -> frozenset[str]:
    """Return the host names that requests may have, in lower case, without port.

    A browser sends the host name of the address that it shows. In an attack by DNS rebinding, another site resolves its
    own name to this address. Its requests have that name, and are refused. Raises UsageError for a name that is not a
    host name, and if other machines can reach the address but no name is allowed. ``prefix``: how the options begin.
    """
    for name in allowed:
        if not _is_host(name):
            raise UsageError(
                f"{prefix}allowed-host {name}: this is not the name or the IP address of a host",
                hint="Write it as browsers show it, without scheme, port and path: gitsnap.example.com",
            )
    if not address.is_loopback and not allowed:
        raise UsageError(
            f"{prefix}listen {address}: other machines reach this address, and gitsnap web has no login",
            hint="Listen on 127.0.0.1 and use `kubectl port-forward`, or put a proxy with a login in front and name "
            f"the host that browsers use with {prefix}allowed-host.",
        )
    names = {normal_host(name) for name in allowed}
    return frozenset(names | _LOOPBACK_NAMES if address.is_loopback else names)


def check_header(name: str, prefix: str = "--") -> str:
    """Return the name of a header with the name of the user; ``""`` for none. Raises UsageError."""
    if name and not _HEADER.match(name):
        raise UsageError(
            f"{prefix}user-header {name}: this is not the name of a header", hint="Write it as X-Forwarded-User."
        )
    return name


def _is_host(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return len(name) <= 253 and _NAME.match(name) is not None
    return True


def normal_host(name: str) -> str:
    """Return a host name in lower case, without a final dot and the brackets of an IPv6 address."""
    name = name.lower().removesuffix(".").removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def host_of(header: str) -> str | None:
    """Return the host of a ``Host`` header, or of an origin without its scheme; None if it is malformed."""
    match = _HOST.match(header)
    if match is None or int(match[2] or 0) > 65535:
        return None
    return normal_host(match[1])


def describe_hosts(hosts: Iterable[str]) -> str:
    """Return the names for a message."""
    return ", ".join(sorted(hosts))
