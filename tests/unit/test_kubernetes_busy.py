"""A busy API server: what is tried again, how long is waited, and what is never sent twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from kubernetes import client

from gitsnap.cluster.api.client import Identity, KubernetesCluster
from gitsnap.core.errors import BusyError, ClusterUnreachableError, GitsnapError
from gitsnap.core.model import Kind, ObjectKey, ResourceType

_KEY = ObjectKey(Kind("", "ConfigMap"), "default", "one")
_DOCUMENT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "one", "namespace": "default", "uid": "u", "resourceVersion": "1"},
}


class _Scripted(KubernetesCluster):
    """Gives these answers, one a request."""

    def __init__(self, *statuses: int, retry_after: str = "0") -> None:
        api = client.ApiClient(client.Configuration(host="https://127.0.0.1:1"))
        super().__init__(api, known_kinds={}, identity=Identity("c", "u"))
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
    """The pauses that were made, none of them in fact."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


def test_a_write_that_was_refused_for_now_is_sent_again(pauses: list[float]) -> None:
    """429 means that nothing was done; the server says how long to wait."""
    cluster = _Scripted(429, 429, 200, retry_after="3")
    assert cluster.update(_DOCUMENT) == _DOCUMENT
    assert pauses == [3.0, 3.0]


def test_a_write_that_is_refused_for_too_long_was_not_carried_out(pauses: list[float]) -> None:
    """The error says so by its class: there is no doubt about such a write."""
    with pytest.raises(BusyError):
        _Scripted(429, 429, 429, 429).update(_DOCUMENT)
    assert len(pauses) == 3


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_write_with_an_unclear_answer_is_sent_once(pauses: list[float], status: int) -> None:
    """It may have been carried out."""
    with pytest.raises(ClusterUnreachableError) as caught:
        _Scripted(status).update(_DOCUMENT)
    assert not isinstance(caught.value, BusyError)
    assert not pauses


def test_a_read_is_tried_again(pauses: list[float]) -> None:
    """A read can be repeated whatever went wrong."""
    assert _Scripted(500, 503, 429, 200).get(_KEY) == _DOCUMENT
    assert len(pauses) == 3
    with pytest.raises(GitsnapError):
        _Scripted(503, 503, 503, 503).get(_KEY)
