"""The controllers of Profile and ClusterProfile: from matches to ClusterSummaries, as in addon-controller v1.14.

A paused profile is not reconciled, even while it is being deleted. This module must not deploy anything.
"""

from __future__ import annotations

from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos import clusters, inventory, summaries
from tests.support.sveltos.manager import RETRY, Change, Manager, Queue, status_patch
from tests.support.sveltos.prerequisites import DependencyManager, prerequisites_of

PAUSED = "profile.projectsveltos.io/paused"
_FINALIZERS = {
    kinds.CLUSTER_PROFILE: "clusterprofilefinalizer.projectsveltos.io",
    kinds.PROFILE: "profilefinalizer.projectsveltos.io",
}


class ProfileController:
    """The controller of Profiles or of ClusterProfiles."""

    def __init__(self, manager: Manager, name: str, dependencies: DependencyManager) -> None:
        self.queue = Queue(name, self.reconcile)
        self._manager = manager
        self._dependencies = dependencies
        self._kind = kinds.PROFILE if name == "Profile" else kinds.CLUSTER_PROFILE
        self._set_kind = kinds.SET if name == "Profile" else kinds.CLUSTER_SET
        self._consumers = clusters.Consumers(manager, self.queue)
        self._sets: dict[ObjectKey, list[ObjectKey]] = {}
        manager.on(self._kind, self._changed)
        manager.on(self._set_kind, self._set_changed)

    # Triggers -----------------------------------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        document = change.new or change.old
        if document is not None and (change.old is None or change.new is None or _concerns(change.old, change.new)):
            self._manager.add(self.queue, ObjectKey.of(document))

    def _set_changed(self, change: Change) -> None:
        """A set triggers its profiles when its selection changes or when it is deleted, but not when it is created."""
        if change.old is None:
            return
        if change.new is not None and _selected(change.old) == _selected(change.new):
            return
        key = ObjectKey.of(change.old)
        for profile in sorted(self._sets):
            if key in self._sets[profile]:
                self._manager.add(self.queue, profile)

    # Reconciliation -----------------------------------------------------------------------------------------------

    def reconcile(self, key: ObjectKey) -> float | None:
        """Reconcile a profile. Returns the seconds until the next reconciliation, or None."""
        document = self._manager.get(key)
        if document is None:
            return None
        old = document.get("status") or {}
        if PAUSED in (document["metadata"].get("annotations") or {}):
            new = {**old, "reconciliationSuspended": True, "suspensionReason": f"{key.kind.name} is paused"}
            self._write_status(key, old, new)
            return None
        new = {name: value for name, value in old.items() if name != "suspensionReason"}
        if "reconciliationSuspended" in new:
            new["reconciliationSuspended"] = False
        if clusters.deleting(document):
            new.pop("matchingClusters", None)
            again = self._delete(key, document)
        elif not self._dependencies.ready:
            return RETRY
        else:
            matching = self._matching(key, document)
            new["matchingClusters"] = [clusters.reference(cluster) for cluster in matching]
            again = self._normal(key, document, matching)
        self._write_status(key, old, new)
        return again

    def _write_status(self, key: ObjectKey, old: JsonObject, new: JsonObject) -> None:
        if patch := status_patch(old, new):
            self._manager.api.patch_status(key, patch)

    def _matching(self, key: ObjectKey, document: JsonObject) -> list[ObjectKey]:
        spec = document.get("spec") or {}
        found = clusters.matching(self._manager, spec, key.namespace)
        sets = [ObjectKey(self._set_kind, key.namespace, name) for name in spec.get("setRefs") or ()]
        for set_key in sets:
            status = (self._manager.get(set_key) or {}).get("status") or {}
            found += clusters.referenced_in(status, "selectedClusterRefs")
        found = clusters.unique([*found, *self._dependencies.clusters_for(key)])
        self._consumers.remember(key, found, spec.get("clusterSelector"))
        self._sets[key] = sets
        return found

    def _normal(self, key: ObjectKey, document: JsonObject, matching: list[ObjectKey]) -> float | None:
        """Reconcile a profile that is not being deleted. Returns the seconds until a retry, None without a retry."""
        finalizers = document["metadata"].get("finalizers") or []
        if _FINALIZERS[key.kind] not in finalizers:
            patch = {"metadata": {"finalizers": [*finalizers, _FINALIZERS[key.kind]]}}
            self._manager.api.patch(key, patch)
        for cluster in matching:
            inventory.add_profile(self._manager, document, cluster)
        being_deleted = [
            cluster
            for cluster in matching
            if self._is_ready(cluster) and not summaries.synchronize(self._manager, document, cluster)
        ]
        if being_deleted:
            return RETRY
        if summaries.clean(self._manager, document, matching):
            return RETRY
        for cluster in inventory.reported_clusters(self._manager, key):
            if cluster not in matching and _mode(document) != "DryRun":
                inventory.remove_profile(self._manager, key, cluster)
        self._dependencies.update(key, matching, prerequisites_of(key, document))
        return None

    def _is_ready(self, cluster: ObjectKey) -> bool:
        document = self._manager.get(cluster)
        return document is not None and clusters.ready(document)

    def _delete(self, key: ObjectKey, document: JsonObject) -> float | None:
        self._dependencies.update(key, (), ())
        if summaries.clean(self._manager, document, []) or summaries.of_profile(self._manager, key):
            return RETRY
        for cluster in inventory.reported_clusters(self._manager, key):
            inventory.remove_profile(self._manager, key, cluster)
        self._consumers.forget(key)
        self._sets.pop(key, None)
        left = [
            finalizer
            for finalizer in document["metadata"].get("finalizers") or ()
            if finalizer != _FINALIZERS[key.kind]
        ]
        self._manager.api.patch(key, {"metadata": {"finalizers": left or None}})
        return None


def _mode(document: JsonObject) -> str:
    return str((document.get("spec") or {}).get("syncMode") or "Continuous")


def _selected(document: JsonObject) -> Any:
    return (document.get("status") or {}).get("selectedClusterRefs")


def _concerns(old: JsonObject, new: JsonObject) -> bool:
    """Whether a change of a profile triggers its controller: spec, deletion, labels, annotations, dependencies."""
    before, after = old["metadata"], new["metadata"]
    return (
        old.get("spec") != new.get("spec")
        or clusters.deleting(old) != clusters.deleting(new)
        or before.get("labels") != after.get("labels")
        or before.get("annotations") != after.get("annotations")
        or (old.get("status") or {}).get("dependenciesHash") != (new.get("status") or {}).get("dependenciesHash")
    )
