"""Managed clusters in the management cluster: readiness, matches and references.

This module must not import ``gitsnap.sveltos.matching``, because tests compare it with that module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos.manager import Change, Manager, Queue
from tests.support.sveltos.selectors import selects

KINDS = (kinds.CAPI_CLUSTER, kinds.SVELTOS_CLUSTER)
"""The kinds of clusters, in the order in which Sveltos lists them."""

_API_VERSIONS = {kinds.CAPI_CLUSTER: "cluster.x-k8s.io/v1beta2", kinds.SVELTOS_CLUSTER: "lib.projectsveltos.io/v1beta1"}
_TYPES = {kinds.CAPI_CLUSTER: "Capi", kinds.SVELTOS_CLUSTER: "Sveltos"}


def reference(cluster: ObjectKey) -> JsonObject:
    """The reference to a cluster in a status."""
    return {
        "apiVersion": _API_VERSIONS[cluster.kind],
        "kind": cluster.kind.name,
        "namespace": cluster.namespace,
        "name": cluster.name,
    }


def referred(entry: JsonObject, namespace: str = "") -> ObjectKey:
    """The cluster that a reference names. ``namespace`` overrides the namespace of the reference."""
    kind = kinds.CAPI_CLUSTER if entry["kind"] == "Cluster" else kinds.SVELTOS_CLUSTER
    return ObjectKey(kind, namespace or entry.get("namespace") or "", entry["name"])


def type_of(cluster: ObjectKey) -> str:
    """``Capi`` or ``Sveltos``."""
    return _TYPES[cluster.kind]


def ready(document: JsonObject) -> bool:
    """Whether Sveltos deploys to a cluster."""
    status = document.get("status") or {}
    if document["kind"] == "SveltosCluster":
        return bool(status.get("ready"))
    return bool((status.get("initialization") or {}).get("controlPlaneInitialized"))


def is_paused(document: JsonObject) -> bool:
    """Whether deployments to a cluster are paused."""
    return bool((document.get("spec") or {}).get("paused"))


def connection_down(document: JsonObject) -> bool:
    """Whether the connection is down, so that a set does not select the cluster."""
    return (document.get("status") or {}).get("connectionStatus") == "Down"


def labels_of(document: JsonObject) -> dict[str, str]:
    """The labels of an object."""
    return dict(document["metadata"].get("labels") or {})


def deleting(document: JsonObject) -> bool:
    """Whether an object is being deleted."""
    return "deletionTimestamp" in document["metadata"]


def matching(manager: Manager, spec: JsonObject, namespace: str) -> list[ObjectKey]:
    """The clusters in the cache that a selector matches, and the referenced clusters, which may not exist."""
    found = [
        key
        for kind in KINDS
        for key, document in manager.all(kind).items()
        if namespace in ("", key.namespace)
        and not deleting(document)
        and ready(document)
        and selects(spec.get("clusterSelector"), labels_of(document))
    ]
    return [*found, *(referred(entry, namespace) for entry in spec.get("clusterRefs") or ())]


def unique(clusters: Iterable[ObjectKey]) -> list[ObjectKey]:
    """Remove duplicates, and keep the order."""
    return list(dict.fromkeys(clusters))


def referenced_in(status: JsonObject, *fields: str) -> list[ObjectKey]:
    """The clusters in the given lists of a status."""
    return [referred(entry) for field in fields for entry in status.get(field) or ()]


class Consumers:
    """The objects to reconcile when a cluster changes: the predicates of Sveltos and its maps of matches.

    The maps come from the last reconciliation of each object, so they are empty after a restart.
    """

    def __init__(self, manager: Manager, queue: Queue) -> None:
        self._manager = manager
        self._queue = queue
        self.clusters: dict[ObjectKey, Sequence[ObjectKey]] = {}
        self.selectors: dict[ObjectKey, Any] = {}
        for kind in KINDS:
            manager.on(kind, self.changed)

    def remember(self, key: ObjectKey, found: Sequence[ObjectKey], selector: Any) -> None:
        """Record the matches and the selector of an object."""
        self.clusters[key] = found
        self.selectors[key] = selector

    def forget(self, key: ObjectKey) -> None:
        """Forget a deleted object."""
        self.clusters.pop(key, None)
        self.selectors.pop(key, None)

    def changed(self, change: Change) -> None:
        """Queue the objects that a change of a cluster concerns."""
        document = change.new or change.old
        if document is None or not _concerns(change):
            return
        cluster = ObjectKey.of(document)
        labels = labels_of(document)
        for key in sorted(self.selectors):
            if cluster in self.clusters[key] or _selects_or_empty(self.selectors[key], labels):
                self._manager.add(self._queue, key)


def _selects_or_empty(selector: Any, labels: dict[str, str]) -> bool:
    """Whether a selector selects labels or is empty. An empty selector also triggers its owner."""
    empty = not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))
    return empty or selects(selector, labels)


def _concerns(change: Change) -> bool:
    old, new = change.old, change.new
    if old is None:
        return new is not None and not is_paused(new)
    if new is None:
        return True
    return (
        labels_of(old) != labels_of(new)
        or old["metadata"].get("annotations") != new["metadata"].get("annotations")
        or ready(old) != ready(new)
        or (is_paused(old) and not is_paused(new))
    )
