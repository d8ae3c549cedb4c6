"""A management cluster in memory with an addon-controller and managed clusters, for tests with simulated time.

This module must not be imported by the package.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.plans import custom
from tests.support.sveltos.addon_controller import AddonController
from tests.support.sveltos.lags import Lags
from tests.support.sveltos.managed import Happening, Slot
from tests.support.sveltos.memory_server import MemoryApi, MemoryServer
from tests.support.sveltos.timeline import Timeline

SETTLED = 120.0
"""Seconds until the controller is idle. The longest retry takes a minute."""


class Stage:
    """A management cluster, its running controller and its managed clusters."""

    def __init__(self, documents: Iterable[JsonObject] = (), lags: Lags | None = None) -> None:
        self.timeline = Timeline()
        self.lags = lags or Lags()
        self.server = MemoryServer(timeline=self.timeline, lags=self.lags)
        self.controller = AddonController(MemoryApi(self.server), self.timeline, self.lags)
        self.server.listeners.append(self.controller.receive)
        self.server.fill(documents)
        self.controller.start()

    def settle(self, seconds: float = SETTLED) -> None:
        """Advance the simulated time."""
        self.timeline.advance(seconds)

    def put(self, *documents: JsonObject) -> None:
        """Create or replace objects without delay. Metadata that controllers wrote is kept."""
        with self.server.quiet():
            for document in documents:
                try:
                    live = self.server.get(ObjectKey.of(document))
                except NotFoundError:
                    self.server.create(document)
                    continue
                kept = {name: value for name, value in live["metadata"].items() if name in _KEPT}
                self.server.update({**document, "metadata": {**document["metadata"], **kept}})

    def delete(self, document: JsonObject) -> None:
        """Delete an object without delay."""
        MemoryApi(self.server).delete(ObjectKey.of(document))

    def live(self, document: JsonObject) -> JsonObject:
        """The live object."""
        with self.server.quiet():
            return self.server.get(ObjectKey.of(document))

    def exists(self, document: JsonObject) -> bool:
        """Whether the object exists."""
        return ObjectKey.of(document) in self.server.objects

    def running(self, document: JsonObject) -> dict[str, str]:
        """The resources of a managed cluster: slot -> content."""
        slots = self.controller.managed.of(ObjectKey.of(document))
        return {str(slot): deployed.content for slot, deployed in sorted(slots.items())}

    @property
    def log(self) -> list[Happening]:
        """The log of the managed clusters."""
        return self.controller.managed.log

    def deletions(self, since: int = 0) -> list[tuple[str, str]]:
        """Cluster and slot of each deletion, from a position in the log."""
        return [
            (happening.cluster.name, str(happening.slot))
            for happening in self.log[since:]
            if happening.change == "DELETED"
        ]


_KEPT = frozenset({"uid", "resourceVersion", "finalizers", "ownerReferences", "deletionTimestamp"})


def managed(name: str, namespace: str = "default", *, ready: bool = True, **labels: str) -> JsonObject:
    """A SveltosCluster."""
    document = custom(kinds.SVELTOS_CLUSTER, name, {}, namespace, labels=labels)
    return {**document, "status": {"ready": ready, "connectionStatus": "Healthy"}}


def config_map(name: str, *resources: str, namespace: str = "default", **metadata: Any) -> JsonObject:
    """A ConfigMap that contains ConfigMaps of these names in the namespace ``app``."""
    documents = [
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {resource}, namespace: app}}\n" for resource in resources
    ]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": {"all.yaml": "---\n".join(documents)},
    }


def ref(name: str, **fields: Any) -> JsonObject:
    """A policyRef to a ConfigMap."""
    return {"kind": "ConfigMap", "name": name, "namespace": "default", **fields}


def chart(name: str, version: str = "1.0.0", **fields: Any) -> JsonObject:
    """A Helm chart."""
    return {
        "releaseName": name,
        "releaseNamespace": name,
        "repositoryURL": "https://charts.example.com",
        "repositoryName": "example",
        "chartName": f"example/{name}",
        "chartVersion": version,
        **fields,
    }


def profile(name: str, *references: JsonObject, **spec: Any) -> JsonObject:
    """A ClusterProfile that selects ``env: fv`` unless the spec says otherwise."""
    metadata = spec.pop("metadata", {})
    spec = {"clusterSelector": {"matchLabels": {"env": "fv"}}, **spec}
    if references:
        spec["policyRefs"] = list(references)
    return custom(kinds.CLUSTER_PROFILE, name, spec, **metadata)


def slot(name: str) -> str:
    """The text of the slot of a ConfigMap that ``config_map`` contains."""
    return str(Slot("ConfigMap", "app", name))
