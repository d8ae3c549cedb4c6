"""The managed clusters and namespaces that an answer is limited to: ``--cluster`` and ``--namespace``."""

from __future__ import annotations

from dataclasses import dataclass

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos.matching import ClusterRef


@dataclass(frozen=True, slots=True)
class Filters:
    """The wanted namespaces and clusters. An empty filter selects everything."""

    namespaces: tuple[str, ...] = ()
    """Namespaces of managed clusters, and of namespaced objects of the management cluster."""
    clusters: tuple[str, ...] = ()
    """Managed clusters: ``name``, ``ns/name``, ``capi--name`` or ``ns/capi--name``."""

    def __bool__(self) -> bool:
        return bool(self.namespaces or self.clusters)

    def wants_cluster(self, cluster: ClusterRef) -> bool:
        """Return whether a managed cluster passes the filters."""
        if self.namespaces and cluster.namespace not in self.namespaces:
            return False
        return not self.clusters or not cluster.names.isdisjoint(self.clusters)

    def wants_object(self, key: ObjectKey) -> bool:
        """Return whether an object is in a wanted namespace. Cluster-scoped objects always are."""
        return not self.namespaces or not key.namespace or key.namespace in self.namespaces


EVERYTHING = Filters()
