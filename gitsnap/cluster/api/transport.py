"""Sends requests to one API server, and repeats them where that is safe.

Reads are repeated while the server is busy. Writes are repeated only after the status 429, with which the server says
that it did nothing: a write that timed out may have been executed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import msgspec
import urllib3

from gitsnap.cluster.api.connection import Connection
from gitsnap.cluster.api.deadline import Deadline
from gitsnap.cluster.api.outage import Outage
from gitsnap.cluster.api.responses import Request, error_of, truncate_depth
from gitsnap.cluster.api.shapes import bad_answer
from gitsnap.cluster.api.transport_errors import (
    CONNECT_SECONDS,
    OUTAGE_SECONDS,
    READ_SECONDS,
    ConnectionLostError,
    connection_errors,
    pause,
)
from gitsnap.core.errors import ClusterUnreachableError
from gitsnap.core.model import JsonObject

_ATTEMPTS = 4
_REFUSED = frozenset({429})
"""Statuses with which a server refuses a request before it does anything."""

_BUSY = _REFUSED | {500, 502, 503}
_CHUNK_BYTES = 1 << 20

JSON = "application/json"


class Transport:
    """The connection to one API server."""

    def __init__(self, connection: Connection, *, headers: Sequence[tuple[str, str]], proxy: str) -> None:
        """``headers`` are sent with every request; names may repeat. ``proxy`` is named in messages."""
        self._connection = connection
        self._headers = tuple(headers)
        self._proxy = proxy
        self.server = connection.server
        self._answered = False
        self._outage = Outage(OUTAGE_SECONDS)
        self._deadline = Deadline()

    def request(self, action: str, *, confidential: bool = False) -> Request:
        """Describe a request for messages; ``action`` is a phrase such as ``list configmaps``."""
        return Request(action, self.server, confidential=confidential, proxy=self._proxy)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit all requests of a block together to ``seconds``."""
        return self._deadline.within(seconds)

    def json(
        self,
        method: str,
        path: str,
        action: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = JSON,
        confidential: bool = False,
    ) -> JsonObject:
        """Send a request and return the JSON object of the response: see ``content`` and ``json_object``."""
        request = self.request(action, confidential=confidential)
        content = self.content(method, path, request, query=query, body=body, content_type=content_type)
        return json_object(content, request)

    def content(
        self,
        method: str,
        path: str,
        request: Request,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> bytes:
        """Send a request and return the body of the response.

        Reads are repeated after a lost connection and while the server is busy; writes only where the server has not
        begun. Raises the error that a status stands for.
        """
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        reading = method == "GET"
        lost = busy = 0
        while True:
            try:
                status, response_headers, content = self._send(method, path, query or {}, body, headers, request)
            except ConnectionLostError:
                if not reading or not self._wait_for_server(lost):
                    raise
                lost += 1
                continue
            self._answered = True
            if busy + 1 == _ATTEMPTS or status not in (_BUSY if reading else _REFUSED):
                break
            time.sleep(self._deadline.limit(pause(response_headers, busy), request))
            busy += 1
        if not 200 <= status < 300:
            raise error_of(status, content, request)
        return content

    def _wait_for_server(self, lost: int) -> bool:
        """Whether to repeat a read after a lost connection. Waits first. ``lost``: lost connections before this one.

        The first repetition follows at once: the connection may have been idle. Further repetitions wait for
        a server that has answered before, all requests together for as long as a restart takes.
        """
        if lost == 0:
            return True
        return self._answered and self._outage.wait(pause({}, lost - 1))

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None,
        headers: Mapping[str, str],
        request: Request,
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            answer = self.open(method, path, request, query=query, body=body, headers=headers)
            with connection_errors(request, is_write=method != "GET"), answer as response:
                return response.status, dict(response.headers), self._read_body(response, request)
        except ClusterUnreachableError:
            self._deadline.check(request)  # if no time is left, the deadline is the cause
            raise

    def _read_body(self, response: urllib3.BaseHTTPResponse, request: Request) -> bytes:
        """Read a body in chunks and check the deadline: a server that sends single bytes never runs into a time-out."""
        parts = []
        while part := response.read1(_CHUNK_BYTES):
            parts.append(part)
            self._deadline.check(request)
        return b"".join(parts)

    def open(
        self,
        method: str,
        path: str,
        request: Request,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: JsonObject | None = None,
        read_seconds: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the response before its body is read. Raises ClusterUnreachableError."""
        with connection_errors(request, is_write=method != "GET"):
            sent = urllib3.HTTPHeaderDict(headers)
            for name, value in self._headers:
                sent.add(name, value)
            connect_seconds = self._deadline.limit(CONNECT_SECONDS, request)
            limits = connect_seconds, self._deadline.limit(read_seconds or READ_SECONDS, request)
            return self._connection.open(method, path, query=query, headers=sent, body=body, timeout=limits)


def json_object(content: bytes, request: Request, *, truncate: bool = False) -> JsonObject:
    """The JSON object of a response. Raises ClusterError if the response is not a JSON object.

    ``truncate`` replaces values that are nested too deeply for any archive, so that the other objects of a list can be
    read.
    """
    answer = _parse(content, request, truncate=truncate)
    if not isinstance(answer, dict):
        raise bad_answer(request, "the answer is not a JSON object")
    return answer


def _parse(content: bytes, request: Request, *, truncate: bool) -> Any:
    with suppress(msgspec.MsgspecError, RecursionError):  # faster than json; refuses 1e400 and lone surrogates
        return msgspec.json.decode(content)
    try:
        return json.loads(content)
    except ValueError:
        raise bad_answer(request, "the answer is not JSON") from None
    except RecursionError:
        if not truncate:
            raise bad_answer(request, "the answer is nested too deeply") from None
    return _parse(truncate_depth(content), request, truncate=False)
