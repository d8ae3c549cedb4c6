"""Which proxy applies to a server: the table of Go's golang.org/x/net/http/httpproxy, by behaviour."""

from __future__ import annotations

import pytest

from gitsnap.cluster.api.proxies import proxy_for, without_credentials

_PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://api.example.com:6443", {"HTTPS_PROXY": _PROXY}, _PROXY),
        ("https://api.example.com:6443", {"https_proxy": _PROXY}, _PROXY),
        (
            "https://api.example.com:6443",
            {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"},
            "http://upper:1",
        ),
        ("https://api.example.com:6443", {"HTTP_PROXY": _PROXY}, ""),
        ("http://api.example.com", {"HTTP_PROXY": _PROXY}, _PROXY),
        ("http://api.example.com", {"HTTP_PROXY": _PROXY, "REQUEST_METHOD": "GET"}, ""),
        ("https://api.example.com", {"ALL_PROXY": _PROXY}, ""),
        ("https://api.example.com", {"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ("https://api.example.com", {"HTTPS_PROXY": "socks5://proxy:1080"}, "socks5://proxy:1080"),
    ],
)
def test_environment_variables(url: str, environment: dict[str, str], proxy: str) -> None:
    """The scheme of the server selects the variable. Upper case takes precedence. A proxy without a scheme is http."""
    assert proxy_for(url, environment) == proxy


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:6443", "https://127.9.8.7", "https://[::1]:6443", "https://localhost:6443"]
)
def test_loopback_is_reached_directly(url: str) -> None:
    """A cluster of kind or k3d, or a tunnel, is on this machine and cannot be reached through the proxy."""
    assert proxy_for(url, {"HTTPS_PROXY": _PROXY}) == ""


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("*", "api.example.com:6443", True),
        ("example.com", "api.example.com:6443", True),
        ("example.com", "example.com:6443", True),
        ("example.com", "notexample.com", False),
        (".example.com", "api.example.com", True),
        (".example.com", "example.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "example.com", False),
        ("example.com:6443", "api.example.com:6443", True),
        ("example.com:6443", "api.example.com:443", False),
        ("example.com:443", "api.example.com", True),
        ("EXAMPLE.com", "api.Example.COM", True),
        (" a , example.com ", "example.com", True),
        ("10.0.0.0/8", "10.1.2.3:6443", True),
        ("10.0.0.0/8", "11.1.2.3:6443", False),
        ("10.1.2.3", "10.1.2.3:6443", True),
        ("10.1.2.3:6443", "10.1.2.3:6443", True),
        ("10.1.2.3:6443", "10.1.2.3:443", False),
        ("2.3", "10.1.2.3", False),
        ("fd00::/8", "[fd00::1]:6443", True),
        ("[fd00::1]:6443", "[fd00::1]:6443", True),
        ("[fd00::1]:443", "[fd00::1]:6443", False),
        ("fd00::1", "[fd00::1]:6443", True),
        (":6443", "example.com:6443", False),
        ("", "example.com", False),
        ("localhost.example", "localhost", True),  # by the rule of loopback
    ],
)
def test_no_proxy(no_proxy: str, host: str, *, direct: bool) -> None:
    """Entries are domains with their subdomains, addresses and networks, each with or without a port."""
    proxy = proxy_for(f"https://{host}", {"HTTPS_PROXY": _PROXY, "NO_PROXY": no_proxy})
    assert proxy == ("" if direct else _PROXY)


def test_a_proxy_is_named_without_its_password() -> None:
    """The password is left out, because users copy messages into tickets."""
    assert without_credentials("http://me:secret@proxy:3128") == "http://proxy:3128"
    assert without_credentials("me:secret@proxy:3128") == "proxy:3128"
    assert without_credentials("http://proxy:3128") == "http://proxy:3128"
