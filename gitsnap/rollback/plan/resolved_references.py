"""The references of profiles, resolved once for each cluster. Several comparisons of a plan need the same ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos.clusters import ClusterObjects
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import Reference, WrittenReferences


class ResolvedReferences:
    """The references of the objects of one plan. The documents and the objects of clusters must not change."""

    def __init__(self) -> None:
        self._written: dict[int, tuple[JsonObject, WrittenReferences]] = {}
        self._fixed: dict[int, tuple[Reference, ...]] = {}
        self._dependent: dict[int, dict[tuple[ClusterRef, int], tuple[Reference, ...]]] = {}

    def written(self, document: JsonObject) -> WrittenReferences:
        """The references as an object writes them."""
        if id(document) not in self._written:
            # The document is kept, so that no other document gets its id.
            self._written[id(document)] = document, WrittenReferences(document)
        return self._written[id(document)][1]

    def fixed(self, document: JsonObject) -> tuple[Reference, ...]:
        """The references that do not depend on the cluster."""
        if id(document) not in self._fixed:
            self._fixed[id(document)] = tuple(self.written(document).resolve(()))
        return self._fixed[id(document)]

    def dependent(self, document: JsonObject, cluster: ClusterRef, objects: ClusterObjects) -> tuple[Reference, ...]:
        """The references that depend on the cluster. ``objects`` must return objects that outlive this one."""
        written = self.written(document)
        if not written.depend_on_clusters:
            return ()
        by_cluster = self._dependent.setdefault(id(document), {})
        key = cluster, id(objects(cluster))
        references = by_cluster.get(key)
        if references is None:
            references = by_cluster[key] = tuple(written.resolve_dependent(cluster, objects))
        return references

    def on_any(
        self, document: JsonObject, clusters: Iterable[ClusterRef], objects: ClusterObjects
    ) -> Iterator[Reference]:
        """The references of an object for some clusters. A reference may occur more than once."""
        fixed = self.fixed(document)
        if not self.written(document).depend_on_clusters:
            return iter(fixed)
        return chain(fixed, chain.from_iterable(self.dependent(document, cluster, objects) for cluster in clusters))

    def refer_to(
        self,
        document: JsonObject,
        targets: Collection[ObjectKey],
        clusters: Iterable[ClusterRef],
        objects: ClusterObjects,
    ) -> bool:
        """Whether an object refers to any of these targets for any of these clusters."""
        return any(reference.target in targets for reference in self.on_any(document, clusters, objects))
