"""Requests to an API server over the official client's connection, and their answers as JSON.

Reads are tried again when the server is busy; writes only where it said that it did nothing (429), since one that timed
out may have been carried out. This module must not know paths or objects.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import urllib3
from kubernetes import client
from kubernetes.client.rest import RESTResponse

from gitsnap.cluster.api.credentials import check_headers
from gitsnap.cluster.api.deadline import Allowance
from gitsnap.cluster.api.responses import Request, error_of, shallow
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
"""What the server answers before it does anything."""

_BUSY = _REFUSED | {500, 502, 503}
_MOST_AT_ONCE = 1 << 20
"""Bytes of an answer."""

JSON = "application/json"


class Transport:
    """The connection to one API server."""

    def __init__(self, api: client.ApiClient, *, headers: Sequence[tuple[str, str]], proxy: str) -> None:
        """``headers`` are sent with every request, repeated names included; ``proxy`` is named in messages."""
        self._api = api
        self._headers = tuple(headers)
        self._proxy = proxy
        self.server = str(api.configuration.host)
        self._answered = False
        self._outage = OUTAGE_SECONDS
        self._allowance = Allowance()
        if not api.configuration.verify_ssl:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def request(self, what: str, *, confidential: bool = False) -> Request:
        """What is asked, for messages."""
        return Request(what, self.server, confidential=confidential, proxy=self._proxy)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """From now on, all requests together may take so long."""
        return self._allowance.within(seconds)

    def json(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        confidential: bool = False,
        shortens: bool = False,
    ) -> JsonObject:
        """The JSON object of an answer; raises the error that the answer stands for.

        ``shortens``: what is nested too deeply for any archive is cut off, so that the rest of a list can be read.
        """
        request = self.request(what, confidential=confidential)
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        reading = method == "GET"
        lost = busy = 0
        while True:
            try:
                status, answered, content = self._send(method, path, query or {}, body, headers, request)
            except ConnectionLostError:
                if not reading or not self._waits_out(lost):
                    raise
                lost += 1
                continue
            self._answered = True
            if busy + 1 == _ATTEMPTS or status not in (_BUSY if reading else _REFUSED):
                break
            time.sleep(self._allowance.of(pause(answered, busy), request))
            busy += 1
        if not 200 <= status < 300:
            raise error_of(status, content, request)
        answer = _parsed(content, request, shortens=shortens)
        if not isinstance(answer, dict):
            raise bad_answer(request, "the answer is no JSON object")
        return answer

    def _waits_out(self, lost: int) -> bool:
        """Whether a read whose connection was lost so many times before is sent again; waits for that.

        At once the first time, since it may have been an idle connection. Then only a server that was there before is
        waited for, and over all requests no longer than a restart takes.
        """
        if lost == 0:
            return True
        seconds = pause({}, lost - 1)
        if not self._answered or seconds > self._outage:
            return False
        self._outage -= seconds
        time.sleep(seconds)
        return True

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
            with connection_errors(request, is_write=method != "GET"), answer.response as response:
                return int(answer.status), dict(answer.getheaders() or {}), self._whole(response, request)
        except ClusterUnreachableError:
            self._allowance.check(request)  # where no time is left, that is what kept the answer away
            raise

    def _whole(self, response: urllib3.BaseHTTPResponse, request: Request) -> bytes:
        """The body of an answer, as it comes: a server that sends byte after byte is never silent, and never done."""
        parts = []
        while part := response.read1(_MOST_AT_ONCE):
            parts.append(part)
            self._allowance.check(request)
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
    ) -> RESTResponse:
        """The answer with its body still to be read."""
        with connection_errors(request, is_write=method != "GET"):
            method, url, given, content, form = self._api.param_serialize(
                method=method,
                resource_path=path,
                query_params=list(query.items()),
                header_params=dict(headers),
                body=body,
                auth_settings=["BearerToken"],
            )
            check_headers(given, server=self.server)
            sent = urllib3.HTTPHeaderDict(given)
            for name, value in self._headers:
                sent.add(name, value)
            limits = tuple(
                self._allowance.of(seconds, request) for seconds in (CONNECT_SECONDS, read_seconds or READ_SECONDS)
            )
            return self._api.call_api(method, url, sent, content, form, _request_timeout=limits)


def _parsed(content: bytes, request: Request, *, shortens: bool) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise bad_answer(request, "the answer is not JSON") from None
    except RecursionError:
        if not shortens:
            raise bad_answer(request, "the answer is nested too deeply") from None
    return _parsed(shallow(content), request, shortens=False)
