"""The references of deployments: the objects that a profile refers to for a managed cluster, in two trees."""

from __future__ import annotations

from gitsnap.core.model import ObjectKey
from gitsnap.diff.changed_objects import ChangedObjects
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import Reference, WrittenReferences
from gitsnap.sveltos.tree_view import TreeView


class DeploymentReferences:
    """Resolves references. A reference that is the same for all clusters is resolved once."""

    def __init__(self, changed: ChangedObjects) -> None:
        self._changed = changed
        self._written: dict[tuple[bool, ObjectKey], WrittenReferences | None] = {}
        self._resolved: dict[tuple[bool, ObjectKey, ClusterRef | None], list[Reference]] = {}

    def of(self, side: TreeView, profile: ObjectKey, cluster: ClusterRef) -> list[Reference]:
        """Return the references of a profile for a cluster that can be resolved and compared."""
        written = self._read(side, profile)
        if written is None:
            return []
        slot = side is self._changed.before, profile, cluster if written.depend_on_clusters else None
        if slot not in self._resolved:
            self._resolved[slot] = [
                reference
                for reference in written.resolve((cluster,), side.cluster_object)
                if reference.unresolved is None and self._changed.covers(reference.target)
            ]
        return self._resolved[slot]

    def depend_on_clusters(self, profile: ObjectKey) -> bool:
        """Return whether the references of a profile differ from cluster to cluster in one of the trees."""
        written = (self._read(side, profile) for side in self._changed.sides)
        return any(references is not None and references.depend_on_clusters for references in written)

    def _read(self, side: TreeView, profile: ObjectKey) -> WrittenReferences | None:
        slot = side is self._changed.before, profile
        if slot not in self._written:
            document = side.get(profile)
            other = self._changed.after if slot[0] else self._changed.before
            if document is not None and (not slot[0], profile) in self._written and document is other.get(profile):
                self._written[slot] = self._written[not slot[0], profile]
            else:
                self._written[slot] = None if document is None else WrittenReferences(document)
        return self._written[slot]
