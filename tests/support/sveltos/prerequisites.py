"""The dependency manager: the clusters that a profile must be deployed to because other profiles depend on it.

Its state is in memory and rebuilt at a start from the statuses of the dependents. Every 30 seconds it triggers the
prerequisites whose clusters changed. This module must not deploy anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos import clusters
from tests.support.sveltos.manager import Manager

INTERVAL = 30.0


class DependencyManager:
    """Dependents, their prerequisites, and the clusters."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._requests: dict[ObjectKey, dict[ObjectKey, set[ObjectKey]]] = {}
        """Prerequisite -> cluster -> dependents."""
        self._known: dict[ObjectKey, set[ObjectKey]] = {}
        """Dependent -> all prerequisites that it had since the start of the process."""
        self._changed: set[ObjectKey] = set()
        self.ready = False

    def start(self) -> None:
        """Build the state from the statuses in the cache."""
        for kind in (kinds.PROFILE, kinds.CLUSTER_PROFILE):
            for key, document in self._manager.all(kind).items():
                if (document.get("spec") or {}).get("dependsOn"):
                    status = document.get("status") or {}
                    matching = clusters.referenced_in(status, "matchingClusters")
                    self.update(key, matching, prerequisites_of(key, document))
        self.ready = True
        self._announce()

    def clusters_for(self, profile: ObjectKey) -> list[ObjectKey]:
        """The clusters that a profile must be deployed to because of dependents."""
        return sorted(self._requests.get(profile, {}))

    def update(self, dependent: ObjectKey, matching: Iterable[ObjectKey], wanted: Iterable[ObjectKey]) -> None:
        """Replace the requests of a dependent."""
        matching, wanted = set(matching), set(wanted)
        for prerequisite in wanted | self._known.setdefault(dependent, set()):
            requests = self._requests.setdefault(prerequisite, {})
            before = set(requests)
            for cluster in matching if prerequisite in wanted else ():
                requests.setdefault(cluster, set()).add(dependent)
            for cluster in before - (matching if prerequisite in wanted else set()):
                requests[cluster].discard(dependent)
                if not requests[cluster]:
                    del requests[cluster]
            if set(requests) != before or prerequisite in wanted:
                self._changed.add(prerequisite)
        self._known[dependent] |= wanted

    def _announce(self) -> None:
        """Write a hash into the status of each prerequisite whose clusters changed, to trigger its controller."""
        for profile in sorted(self._changed):
            document = self._manager.get(profile)
            if document is not None and not clusters.deleting(document):
                value = _hash(self.clusters_for(profile))
                if (document.get("status") or {}).get("dependenciesHash") != value:
                    self._manager.api.patch_status(profile, {"dependenciesHash": value})
        self._changed.clear()
        self._manager.after(INTERVAL, self._announce)


def prerequisites_of(key: ObjectKey, document: JsonObject) -> list[ObjectKey]:
    """The profiles that a profile depends on. They have its kind and its namespace."""
    names = (document.get("spec") or {}).get("dependsOn") or ()
    return [ObjectKey(key.kind, key.namespace, name) for name in names]


def _hash(found: list[ObjectKey]) -> str | None:
    """A hash in base64, as the API encodes bytes. None without clusters."""
    if not found:
        return None
    return base64.b64encode(hashlib.sha256(repr(found).encode()).digest()).decode()
