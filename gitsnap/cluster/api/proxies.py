"""Choice of a proxy for a server, by the rules of Go's net/http (``ProxyFromEnvironment``).

Loopback addresses never use a proxy. The environment is an argument.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

_PORTS = {"http": "80", "https": "443"}

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class _Host(NamedTuple):
    """Host and port of a URL."""

    name: str
    address: IpAddress | None
    port: str


def proxy_for(url: str, environment: Mapping[str, str]) -> str:
    """The URL of the proxy for a server, ``""`` for a direct connection. Variables in upper case take precedence."""
    parts = urlsplit(url)
    host = _host(url)
    variable = {"http": "http_proxy", "https": "https_proxy"}.get(parts.scheme)
    proxy = _value(environment, variable) if variable is not None else ""
    if not proxy or host is None:
        return ""
    if variable == "http_proxy" and environment.get("REQUEST_METHOD"):
        return ""  # in a CGI program, HTTP_PROXY is a header that the client chose
    if host.name == "localhost" or (host.address is not None and host.address.is_loopback):
        return ""
    if any(_matches(entry, host) for entry in _entries(_value(environment, "no_proxy"))):
        return ""
    return _as_url(proxy)


def without_credentials(url: str) -> str:
    """The URL of a proxy without user and password, for messages."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else url.rpartition("@")[2]


def _as_url(proxy: str) -> str:
    """The proxy as a URL; the environment may have ``host:port``."""
    parts = urlsplit(proxy) if "://" in proxy else None
    return proxy if parts is not None and parts.scheme and parts.netloc else f"http://{proxy}"


def _value(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _host(url: str) -> _Host | None:
    parts = urlsplit(url)
    name = (parts.hostname or "").lower()
    with contextlib.suppress(ValueError):
        return _Host(name, _address(name), str(parts.port or _PORTS.get(parts.scheme, ""))) if name else None
    return None  # the port is not a number


def _address(text: str) -> IpAddress | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _entries(no_proxy: str) -> Iterator[str]:
    for entry in no_proxy.lower().split(","):
        if entry.strip():
            yield entry.strip()


def _matches(entry: str, host: _Host) -> bool:
    """Whether an entry of NO_PROXY covers a host: ``*``, a network, ``address[:port]`` or ``domain[:port]``."""
    if entry == "*":
        return True
    if "/" in entry:
        with contextlib.suppress(ValueError):
            network = ipaddress.ip_network(entry, strict=False)
            return host.address is not None and host.address in network
    name, port = _split_port(entry)
    if not name or (port and port != host.port):
        return False
    address = _address(name)
    if address is not None:
        return address == host.address
    if host.address is not None:
        return False
    name = name.removeprefix("*")
    return host.name.endswith(name) if name.startswith(".") else f".{host.name}".endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, str]:
    """Host and port of ``host:port`` or ``[address]:port``; a bare IPv6 address has no port."""
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        return name, port.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""
