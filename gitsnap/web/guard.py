"""Decides which requests are answered, and adds headers that restrict what a browser does with an answer.

A request is answered if its method is GET or HEAD, its host is an accepted host of the server, and it does not come
from another site. A link on another site is accepted. The decision needs only the head of the request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gitsnap.core.escapes import one_line
from gitsnap.web.listening import describe_hosts, host_of

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
    "Vary": "Accept",
}
"""The headers of every answer."""
_METHODS = ("GET", "HEAD")
_MOST_USER = 100
"""The largest number of characters of a user's name."""
_MOST_TARGET = 8_000
"""The largest number of bytes of the path and the query of a request."""

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: HTTPStatus
    message: str


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], user_header: str, log: Log) -> None:
        """``hosts``: the accepted host names. ``user_header``: the header with the user's name, ``""`` for none."""
        self._app = app
        self._hosts = hosts
        self._user_header = user_header
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        started = time.monotonic()
        headers = Headers(scope=scope)
        user = self._user(headers)
        scope.setdefault("state", {})["user"] = user
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope, headers)
        app = self._app if refusal is None else _refused(refusal)
        try:
            await app(scope, receive, send_with_headers)
        finally:
            client = scope["client"][0] if scope.get("client") else "-"
            target = (scope.get("raw_path") or b"").decode("latin-1")
            if query := scope["query_string"].decode("latin-1"):
                target += f"?{query}"
            milliseconds = round((time.monotonic() - started) * 1000)
            line = f"{client} {user or '-'} {scope['method']} {target[:500]} {status or '-'} {milliseconds} ms"
            self._log(one_line(line))

    def _user(self, headers: Headers) -> str:
        """Return the name of the user from the proxy; ``""`` if the request has no name, or several names."""
        names = headers.getlist(self._user_header) if self._user_header else []
        return one_line(names[0].strip())[:_MOST_USER] if len(names) == 1 else ""

    def _refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        if scope["method"] not in _METHODS:
            return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD: gitsnap web changes nothing")
        named = headers.getlist("host")
        if len(named) != 1 or host_of(named[0]) not in self._hosts:
            hosts = describe_hosts(self._hosts)
            return Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server answers for {hosts} only. --allowed-host of gitsnap web, or --web-allowed-host of the "
                "controller, adds a name.",
            )
        origins = headers.getlist("origin")
        if any(_origin_host(origin) not in self._hosts for origin in origins):
            return Refusal(HTTPStatus.FORBIDDEN, "a page of another site sent this request")
        is_foreign = headers.get("sec-fetch-site", "") in ("cross-site", "same-site")
        if is_foreign and headers.get("sec-fetch-mode", "") != "navigate":
            return Refusal(HTTPStatus.FORBIDDEN, "a page of another site sent this request")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _MOST_TARGET:
            return Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, f"the address is longer than {_MOST_TARGET} bytes")
        return None


def _origin_host(origin: str) -> str | None:
    """Return the host of an origin, None for ``null`` and for other schemes."""
    scheme, separator, host = origin.partition("://")
    return host_of(host) if separator and scheme in ("http", "https") else None


def _refused(refusal: Refusal) -> ASGIApp:
    headers = {"Cache-Control": "no-store"}
    if refusal.status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_METHODS)
    return PlainTextResponse(f"{refusal.message}\n", refusal.status, headers)
