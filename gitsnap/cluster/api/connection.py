"""The HTTP connection to one API server, with its certificates, its proxy and the credentials of a user.

Requests are sent with urllib3, which the kubernetes package uses, too. Importing the kubernetes package takes twice as
long as all other imports of `gitsnap capture`. Only the module ``credential_plugins`` imports the package, for the few
users that need it.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from gitsnap import __version__
from gitsnap.cluster.api.credentials import check_headers
from gitsnap.core.model import JsonObject

_IDLE_CONNECTIONS = 16
"""The number of idle connections that are kept. A capture uses five, a follower one for each kind that it watches."""


def _no_authorization() -> str:
    return ""


@dataclass(slots=True)
class ConnectionSettings:
    """The address of an API server, and the settings of the connection. The files are PEM files; ``""`` for none."""

    server: str
    authority_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    verifies_server: bool = True
    tls_server_name: str = ""
    proxy: str = ""
    authorization: Callable[[], str] = _no_authorization
    """Returns the value of the header Authorization. It is called before each request, because tokens are renewed."""


class Connection:
    """Sends requests to one API server, each request once."""

    def __init__(self, settings: ConnectionSettings) -> None:
        """Raises ImportError for a SOCKS proxy without PySocks, and ValueError for an invalid URL of a proxy."""
        self.server = settings.server
        self._authorization = settings.authorization
        self._pool = _pool(settings)
        if not settings.verifies_server:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: urllib3.HTTPHeaderDict,
        body: JsonObject | None,
        timeout: tuple[float, float],
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the response before its body is read.

        ``timeout``: seconds to connect, and seconds without a byte. Raises the exceptions of urllib3, RenewalError, and
        AccessDeniedError for a token that no header can hold.
        """
        sent = urllib3.HTTPHeaderDict({"User-Agent": f"gitsnap/{__version__} ({sys.platform})"})
        authorization = self._authorization()
        if authorization:
            sent["authorization"] = authorization
        check_headers(sent, server=self.server)
        sent.extend(headers)
        encoded = f"?{urlencode(query, quote_via=quote, safe='/')}" if query else ""
        return self._pool.request(
            method,
            f"{self.server}{path}{encoded}",
            body=None if body is None else json.dumps(body).encode(),
            headers=sent,
            timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
            retries=False,  # a repeated write may be executed twice; Transport repeats reads
            preload_content=False,
        )


def _pool(settings: ConnectionSettings) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "cert_reqs": ssl.CERT_REQUIRED if settings.verifies_server else ssl.CERT_NONE,
        "ca_certs": settings.authority_file or None,
        "cert_file": settings.certificate_file or None,
        "key_file": settings.key_file or None,
        "maxsize": _IDLE_CONNECTIONS,
        "ssl_context": _tls_context(settings),
    }
    if settings.tls_server_name:
        options["server_hostname"] = settings.tls_server_name
    if not settings.proxy:
        return urllib3.PoolManager(**options)
    if settings.proxy.partition("://")[0].lower().startswith("socks"):
        from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 - fails without PySocks

        return SOCKSProxyManager(settings.proxy, **options)
    return urllib3.ProxyManager(settings.proxy, **options)


def _tls_context(settings: ConnectionSettings) -> ssl.SSLContext:
    """Return the rules for the certificates of a server, which are those of kubectl.

    From Python 3.13 on, urllib3 also refuses certificates without extensions that RFC 5280 requires. The authorities of
    many clusters lack these extensions, and Go does not look for them.
    """
    required = ssl.CERT_REQUIRED if settings.verifies_server else ssl.CERT_NONE
    context = create_urllib3_context(cert_reqs=required)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not settings.authority_file:
        context.load_default_certs()
    return context
