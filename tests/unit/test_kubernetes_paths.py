"""Names in the paths of requests: no name of an object or a reference can address another object."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.cluster.api.client import Identity, KubernetesCluster
from gitsnap.cluster.api.connection import Connection, ConnectionSettings
from gitsnap.core.errors import NotFoundError, RejectedError
from gitsnap.core.model import Kind, ObjectKey, ResourceType

_CONFIG_MAP = Kind("", "ConfigMap")


class _Recording(KubernetesCluster):
    """Records the requested paths, and answers that the object does not exist."""

    def __init__(self) -> None:
        connection = Connection(ConnectionSettings("https://127.0.0.1:1"))
        super().__init__(connection, known_kinds={}, identity=Identity("c", "u"))
        self._transport.json = self._record  # type: ignore[method-assign]
        self._types[_CONFIG_MAP] = ResourceType(_CONFIG_MAP, "v1", "configmaps", namespaced=True)
        self.requested: list[str] = []

    def _record(self, method: str, path: str, action: str, **_more: Any) -> dict[str, Any]:
        del method, action
        self.requested.append(path)
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
def test_a_name_is_one_segment_of_the_path(namespace: str, name: str, path: str) -> None:
    """A name is encoded, so that no character separates segments, ends the path or starts a query."""
    cluster = _Recording()

    with pytest.raises(NotFoundError):
        cluster.get(ObjectKey(_CONFIG_MAP, namespace, name))

    assert cluster.requested == [path]


@pytest.mark.parametrize(("namespace", "name"), [("shop", ".."), ("shop", "."), ("..", "web"), (".", "web")])
def test_names_of_dots_are_refused(namespace: str, name: str) -> None:
    """A segment of dots would address the parent, for example the namespace of a ConfigMap. No request is sent."""
    cluster = _Recording()

    with pytest.raises(RejectedError, match="named"):
        cluster.get(ObjectKey(_CONFIG_MAP, namespace, name))

    assert cluster.requested == []
