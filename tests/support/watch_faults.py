"""A proxy in front of an API server whose watches fail: cut, ended, delayed, stalled, refused and expired.

All other requests pass. This module must not be imported by the package.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import ssl
import threading
import time
from collections import Counter
from typing import ClassVar

from tests.support.api_proxy import Answer, Handler

KINDS = ("cut", "end", "gone", "delay", "stall", "refuse")
_STALL_SECONDS = 3.0


class Faults:
    """Decides which fault the next event or the next watch has."""

    def __init__(self, seed: int, *, share: float) -> None:
        """``share``: the probability of a fault, from 0 to 1. It can be changed at any time."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.share = share
        self.counts: Counter[str] = Counter()

    def next(self, *, is_open: bool) -> str:
        """The next fault, ``""`` for none. Only a watch that is not open yet is refused."""
        with self._lock:
            fault = self._random.choice(KINDS) if self._random.random() < self.share else ""
            if (fault == "refuse") == is_open:
                fault = ""
            self.counts[fault] += bool(fault)
            return fault


class FaultyWatches(Handler):
    """A connection of a client."""

    faults: ClassVar[Faults]

    def answer(self, body: bytes) -> None:
        """Forward the request. The events of a watch are forwarded one by one, with faults."""
        if "watch=true" not in self.path:
            self.send(self.passed_on(body))
        elif self.faults.next(is_open=False) == "refuse":
            self.send(Answer.failure(503, "no watch now"))
        else:
            self._watch()

    def _watch(self) -> None:
        self.close_connection = True
        context = ssl.create_default_context(cafile=str(self.api.ca))
        host = self.api.url.removeprefix("https://")
        with contextlib.closing(http.client.HTTPSConnection(host, context=context, timeout=300)) as connection:
            connection.request("GET", self.path, headers={"Authorization": self.headers["Authorization"]})
            answer = connection.getresponse()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            while line := answer.readline():
                if not self._forward(line):
                    return

    def _forward(self, line: bytes) -> bool:
        """Forward an event, perhaps with a fault. Returns whether the watch goes on."""
        fault = self.faults.next(is_open=True)
        if fault == "end":
            return False
        if fault == "cut":
            self.wfile.write(line[: len(line) // 2])
            self.cut()
            return False
        if fault == "gone":
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
            self.wfile.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            return False
        if fault == "stall":
            time.sleep(_STALL_SECONDS)
            return False
        if fault == "delay":
            time.sleep(0.5)
        self.wfile.write(line)
        return True
