"""The controllers of Set and ClusterSet, which write matching and selected clusters into the status.

Profiles only use the status. This module must not know of profiles.
"""

from __future__ import annotations

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos import clusters
from tests.support.sveltos.manager import RETRY, Change, Manager, Queue, status_patch


class SetController:
    """The controller of Sets or of ClusterSets."""

    def __init__(self, manager: Manager, name: str) -> None:
        self.queue = Queue(name, self.reconcile)
        self._manager = manager
        self._consumers = clusters.Consumers(manager, self.queue)
        manager.on(kinds.SET if name == "Set" else kinds.CLUSTER_SET, self._changed)

    def _changed(self, change: Change) -> None:
        document = change.new or change.old
        if document is not None:
            self._manager.add(self.queue, ObjectKey.of(document))

    def reconcile(self, key: ObjectKey) -> float | None:
        """Update the status of a set from the cache."""
        document = self._manager.get(key)
        if document is None or clusters.deleting(document):
            self._consumers.forget(key)
            return None
        spec, old = document.get("spec") or {}, document.get("status") or {}
        matching = clusters.matching(self._manager, spec, key.namespace)
        new = dict(old)
        _put(new, "matchingClusterRefs", matching)
        healthy = self._healthy(matching)
        if healthy is not None:
            before = clusters.referenced_in(old, "selectedClusterRefs")
            _put(new, "selectedClusterRefs", select(healthy, before, int(spec.get("maxReplicas") or 0)))
        if patch := status_patch(old, new):
            self._manager.api.patch_status(key, patch)
        if healthy is None:
            return RETRY
        self._consumers.remember(key, matching, spec.get("clusterSelector"))
        return None

    def _healthy(self, matching: list[ObjectKey]) -> list[ObjectKey] | None:
        """The clusters whose connection is not down. None if a referenced SveltosCluster does not exist."""
        found = []
        for cluster in matching:
            document = self._manager.get(cluster)
            if cluster.kind == kinds.SVELTOS_CLUSTER:
                if document is None:
                    return None
                if clusters.connection_down(document):
                    continue
            found.append(cluster)
        return found


def select(healthy: list[ObjectKey], before: list[ObjectKey], limit: int) -> list[ObjectKey]:
    """The selected clusters: first those selected before that still match, then others up to the limit.

    Without a limit, or with 0, no cluster is selected. A set that must drop clusters first drops one too many
    (``controllers/set_utils.go``), and selects that cluster again at its next reconciliation.
    """
    kept = [cluster for cluster in before if cluster in healthy]
    if limit == 0 or len(kept) == limit:
        return kept if limit else []
    if len(kept) > limit:
        return kept[: limit - 1]
    return [*kept, *(cluster for cluster in healthy if cluster not in kept)][:limit]


def _put(status: JsonObject, field: str, found: list[ObjectKey]) -> None:
    if found:
        status[field] = [clusters.reference(cluster) for cluster in found]
    else:
        status.pop(field, None)
