"""The adapter of the Kubernetes API with a scripted answer per path, for answers that no real server gives.

This module must not be imported by the package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from gitsnap.cluster.api.client import Identity, KubernetesCluster
from gitsnap.cluster.api.connection import Connection, ConnectionSettings
from gitsnap.core.model import JsonObject, Kind, ResourceType
from gitsnap.sveltos.kinds import BY_KIND

TYPES = (
    ResourceType(Kind("", "ConfigMap"), "v1", "configmaps", namespaced=True),
    ResourceType(Kind("", "Secret"), "v1", "secrets", namespaced=True),
    ResourceType(Kind("config.projectsveltos.io", "ClusterProfile"), "v1beta1", "clusterprofiles", namespaced=False),
    ResourceType(
        Kind("config.projectsveltos.io", "ClusterConfiguration"), "v1beta1", "clusterconfigurations", namespaced=True
    ),
    ResourceType(Kind("cluster.x-k8s.io", "Cluster"), "v1beta2", "clusters", namespaced=True),
)


class ScriptedServer(KubernetesCluster):
    """Serves objects as lists. Any answer can be replaced by a JSON text."""

    def __init__(self, objects: Iterable[JsonObject | str] = ()) -> None:
        """``objects``: documents, or the JSON text of a document that Python cannot hold."""
        super().__init__(
            Connection(ConnectionSettings("https://127.0.0.1:1")),
            known_kinds=BY_KIND,
            identity=Identity("test", "tester"),
        )
        self._transport._send = self._serve  # type: ignore[assignment,method-assign]
        self.texts = [json.dumps(item) if isinstance(item, dict) else item for item in objects]
        self.replaced: dict[str, str] = {}
        """Path -> the text of the answer."""

    def paths(self) -> dict[str, str]:
        """Each served path, with the text of its answer."""
        served = {
            "/api/v1/namespaces/kube-system": {"metadata": {"name": "kube-system", "uid": "the-cluster"}},
            "/version": {"gitVersion": "v1.34.0"},
        }
        versions: dict[str, list[ResourceType]] = {}
        for resource in TYPES:
            versions.setdefault(resource.api_version, []).append(resource)
        for api_version, types in versions.items():
            group, _, version = api_version.rpartition("/")
            entries = [
                {"name": resource.plural, "kind": resource.kind.name, "namespaced": resource.namespaced}
                for resource in types
            ]
            served[_root(api_version)] = {"resources": entries}
            if group:
                named = {"version": version, "groupVersion": api_version}
                served[f"/apis/{group}"] = {"preferredVersion": named, "versions": [named]}
        answers = {path: json.dumps(answer) for path, answer in served.items()}
        for resource in TYPES:
            answers[f"{_root(resource.api_version)}/{resource.plural}"] = self._list(resource)
        return answers | self.replaced

    def _list(self, resource: ResourceType) -> str:
        wanted = f'"apiVersion": "{resource.api_version}", "kind": "{resource.kind.name}"'
        items = ", ".join(text for text in self.texts if wanted in text)
        return f'{{"kind": "{resource.kind.name}List", "metadata": {{"resourceVersion": "100"}}, "items": [{items}]}}'

    def _serve(self, _method: str, path: str, *_more: Any) -> tuple[int, Mapping[str, str], bytes]:
        answer = self.paths().get(path)
        if answer is None and "/namespaces/" in path:
            start, _, rest = path.partition("/namespaces/")
            answer = self.paths().get(f"{start}/{rest.partition('/')[2]}")
        if answer is None:
            return 404, {}, json.dumps({"kind": "Status", "reason": "NotFound", "details": {"name": "x"}}).encode()
        return 200, {}, answer.encode("utf-8", "surrogatepass")


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def document(kind: str, name: str, version: str = "1", **fields: Any) -> JsonObject:
    """An object as a server returns it."""
    resource = next(entry for entry in TYPES if entry.kind.name == kind)
    metadata: dict[str, Any] = {"name": name, "uid": f"uid-of-{kind}-{name}", "resourceVersion": version}
    if resource.namespaced:
        metadata["namespace"] = "default"
    return {"apiVersion": resource.api_version, "kind": kind, "metadata": metadata, **fields}
