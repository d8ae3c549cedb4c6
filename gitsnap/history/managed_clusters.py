"""The managed clusters of a tree, from the names of its files. No file is read."""

from __future__ import annotations

from collections.abc import Iterator

from gitsnap.core.model import Area
from gitsnap.core.ports import Tree
from gitsnap.format import shown_key
from gitsnap.format.tree_files import PathsByKind
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import ClusterRef


def managed_clusters(tree: Tree) -> set[ClusterRef]:
    """Return the registered clusters, and the clusters for which Sveltos reports a deployment. Raises ArchiveError."""
    return {*_registered(tree), *_reported(tree)}


def _registered(tree: Tree) -> Iterator[ClusterRef]:
    registered = PathsByKind(tree.files(Area.CONFIGURATION))
    for kind in sorted(kinds.CLUSTER_KINDS):
        keys = map(shown_key, registered.paths(kind))
        yield from (ClusterRef.of_key(key) for key in keys if key is not None)


def _reported(tree: Tree) -> Iterator[ClusterRef]:
    reported = PathsByKind(tree.files(Area.INVENTORY)).paths(kinds.CLUSTER_CONFIGURATION)
    for key in map(shown_key, reported):
        if key is not None:
            yield inventory.cluster_of({"metadata": {"namespace": key.namespace, "name": key.name}})
