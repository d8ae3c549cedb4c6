"""The clusters of the contract tests, each with methods that prepare it without the adapter, and sample objects.

This module must not be imported by the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import Cluster
from gitsnap.sveltos.kinds import CLUSTER_PROFILE, CONFIG_MAP
from tests.support import adapters
from tests.testbed.apiserver import ApiServer

NAMESPACE = Kind("", "Namespace")
UNKNOWN = Kind("gitsnap.test", "Unknown")


class Bed(Protocol):
    """A cluster under test, with methods that prepare it without the adapter."""

    def connect(self) -> Cluster:
        """A new connection with all permissions."""

    def connect_as_reader(self) -> Cluster:
        """A connection that may only read ConfigMaps."""

    def namespace(self) -> str:
        """A fresh namespace."""

    def set_status(self, cluster: Cluster, key: ObjectKey, status: JsonObject) -> None:
        """Write the status of an object as a controller does."""

    def gone_version(self, cluster: Cluster) -> tuple[ResourceType, str]:
        """A kind, and a resource version at which it can no longer be listed."""


@dataclass
class DirectoryBed:
    """A folder of YAML files."""

    folder: Path
    unused: list[str] = field(default_factory=lambda: ["test-3", "test-2", "test-1"])

    def __post_init__(self) -> None:
        items = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": f"uid-of-{name}"}}
            for name in ("default", "kube-system", *self.unused)
        ]
        (self.folder / "namespaces.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def connect(self) -> Cluster:
        """See Bed."""
        return adapters.open_directory(self.folder)

    def connect_as_reader(self) -> Cluster:
        """See Bed."""
        return adapters.open_directory(self.folder, read_only=True)

    def namespace(self) -> str:
        """See Bed."""
        return self.unused.pop()

    def set_status(self, cluster: Cluster, key: ObjectKey, status: JsonObject) -> None:
        """See Bed."""
        live = cluster.get(key)
        (path,) = self.folder.rglob(f"{key.name}.yaml")
        path.write_text(json.dumps(live | {"status": status}))

    def gone_version(self, cluster: Cluster) -> tuple[ResourceType, str]:
        """See Bed."""
        resource = served(cluster, CONFIG_MAP)
        version = next(cluster.list(resource)).resource_version
        cluster.create(config_map("later", "default"))
        return resource, version


@dataclass
class ServerBed:
    """A real API server."""

    api: ApiServer
    new_namespace: Callable[[], str]

    def connect(self) -> Cluster:
        """See Bed."""
        return adapters.connect(kubeconfig=str(self.api.kubeconfig()))

    def connect_as_reader(self) -> Cluster:
        """See Bed."""
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
        return adapters.connect(kubeconfig=str(self.api.kubeconfig(self.api.new_user(rule))))

    def namespace(self) -> str:
        """See Bed."""
        return self.new_namespace()

    def set_status(self, cluster: Cluster, key: ObjectKey, status: JsonObject) -> None:
        """See Bed."""
        resource = served(cluster, key.kind)
        place = f"/namespaces/{key.namespace}" if key.namespace else ""
        self.api.ask(
            "PATCH",
            f"/apis/{resource.api_version}{place}/{resource.plural}/{key.name}/status",
            {"status": status},
            content_type="application/merge-patch+json",
        )

    def gone_version(self, cluster: Cluster) -> tuple[ResourceType, str]:
        """See Bed."""
        # The server looks up versions that its cache never held in etcd, which has compacted them.
        before = next(cluster.list(served(cluster, CONFIG_MAP))).resource_version
        self.new_namespace()
        group, kind, plural = self.api.install_late_kind()
        self.api.compact(next(cluster.list(served(cluster, CONFIG_MAP))).resource_version)
        return ResourceType(Kind(group, kind), "v1", plural, namespaced=True), before


def config_map(name: str, namespace: str, *, labels: dict[str, str] | None = None, **data: str) -> JsonObject:
    """A ConfigMap to create."""
    metadata: JsonObject = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": "one", **data}}


def profile(name: str, **spec: Any) -> JsonObject:
    """A ClusterProfile to create."""
    return {
        "apiVersion": f"{CLUSTER_PROFILE.group}/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": name},
        "spec": {"syncMode": "Continuous", **spec},
    }


def served(cluster: Cluster, kind: Kind) -> ResourceType:
    """The served type of a kind. Fails if the kind is not served."""
    resource = cluster.resource_type(kind)
    assert resource is not None
    return resource


def names(cluster: Cluster, kind: Kind, **arguments: Any) -> list[str]:
    """The names of the listed objects, in the order of the list."""
    pages = list(cluster.list(served(cluster, kind), **arguments))
    return [item["metadata"]["name"] for page in pages for item in page.items]
