"""A busy API server: which requests are repeated, after which pause, and which never are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gitsnap.cluster.api.client import Identity, KubernetesCluster
from gitsnap.cluster.api.connection import Connection, ConnectionSettings
from gitsnap.core.errors import BusyError, ClusterUnreachableError, GitsnapError
from gitsnap.core.model import Kind, ObjectKey, ResourceType

_KEY = ObjectKey(Kind("", "ConfigMap"), "default", "one")
_DOCUMENT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "one", "namespace": "default", "uid": "u", "resourceVersion": "1"},
}


class _Scripted(KubernetesCluster):
    """Sends these responses, one for each request."""

    def __init__(self, *statuses: int, retry_after: str = "0") -> None:
        connection = Connection(ConnectionSettings("https://127.0.0.1:1"))
        super().__init__(connection, known_kinds={}, identity=Identity("c", "u"))
        self._transport._send = self._answer  # type: ignore[assignment,method-assign]
        self._types[_KEY.kind] = ResourceType(_KEY.kind, "v1", "configmaps", namespaced=True)
        self.statuses = list(statuses)
        self.retry_after = retry_after

    def _answer(self, *_arguments: Any) -> tuple[int, Mapping[str, str], bytes]:
        status = self.statuses.pop(0)
        content = _DOCUMENT if status == 200 else {"kind": "Status", "message": "busy"}
        return status, {"Retry-After": self.retry_after}, json.dumps(content).encode()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The requested pauses, in place of real ones."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


def test_a_write_that_was_refused_for_now_is_sent_again(pauses: list[float]) -> None:
    """429 means that the server did nothing; it says how long to wait."""
    cluster = _Scripted(429, 429, 200, retry_after="3")
    assert cluster.update(_DOCUMENT) == _DOCUMENT
    assert pauses == [3.0, 3.0]


def test_a_write_that_is_refused_for_too_long_was_not_carried_out(pauses: list[float]) -> None:
    """The class of the error says that the write was not executed."""
    with pytest.raises(BusyError):
        _Scripted(429, 429, 429, 429).update(_DOCUMENT)
    assert len(pauses) == 3


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_write_with_an_unclear_answer_is_sent_once(pauses: list[float], status: int) -> None:
    """The write may have been executed."""
    with pytest.raises(ClusterUnreachableError) as caught:
        _Scripted(status).update(_DOCUMENT)
    assert not isinstance(caught.value, BusyError)
    assert not pauses


def test_a_read_is_tried_again(pauses: list[float]) -> None:
    """A read can be repeated after any failure."""
    assert _Scripted(500, 503, 429, 200).get(_KEY) == _DOCUMENT
    assert len(pauses) == 3
    with pytest.raises(GitsnapError):
        _Scripted(503, 503, 503, 503).get(_KEY)
