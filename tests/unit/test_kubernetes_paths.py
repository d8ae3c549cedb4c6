"""Names in the addresses of requests: whatever an object or a reference says, no other object is meant."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client

from gitsnap.cluster.api.client import Identity, KubernetesCluster
from gitsnap.core.errors import NotFoundError, RejectedError
from gitsnap.core.model import Kind, ObjectKey, ResourceType

_CONFIG_MAP = Kind("", "ConfigMap")


class _Recording(KubernetesCluster):
    """Notes the paths that are asked for, and finds nothing."""

    def __init__(self) -> None:
        api = client.ApiClient(client.Configuration(host="https://127.0.0.1:1"))
        super().__init__(api, known_kinds={}, identity=Identity("c", "u"))
        self._transport.json = self._note  # type: ignore[method-assign]
        self._types[_CONFIG_MAP] = ResourceType(_CONFIG_MAP, "v1", "configmaps", namespaced=True)
        self.asked: list[str] = []

    def _note(self, method: str, path: str, action: str, **_more: Any) -> dict[str, Any]:
        del method, action
        self.asked.append(path)
        raise NotFoundError(path)


@pytest.mark.parametrize(
    ("namespace", "name", "path"),
    [
        ("shop", "web", "/api/v1/namespaces/shop/configmaps/web"),
        ("shop", "../../x", "/api/v1/namespaces/shop/configmaps/..%2F..%2Fx"),
        ("shop", "%2e%2e", "/api/v1/namespaces/shop/configmaps/%252e%252e"),
        ("a?b#c", "...", "/api/v1/namespaces/a%3Fb%23c/configmaps/..."),
        ("shop", "line\nbreak", "/api/v1/namespaces/shop/configmaps/line%0Abreak"),
    ],
)
def test_a_name_is_one_step_of_the_path(namespace: str, name: str, path: str) -> None:
    """Nothing in it parts steps, ends the path or begins a query."""
    cluster = _Recording()

    with pytest.raises(NotFoundError):
        cluster.get(ObjectKey(_CONFIG_MAP, namespace, name))

    assert cluster.asked == [path]


@pytest.mark.parametrize(("namespace", "name"), [("shop", ".."), ("shop", "."), ("..", "web"), (".", "web")])
def test_dots_are_no_name(namespace: str, name: str) -> None:
    """A step of dots is taken for the folder above: a ConfigMap named so would be its namespace. Nothing is asked."""
    cluster = _Recording()

    with pytest.raises(RejectedError, match="named"):
        cluster.get(ObjectKey(_CONFIG_MAP, namespace, name))

    assert cluster.asked == []
