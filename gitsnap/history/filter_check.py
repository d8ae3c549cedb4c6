"""Checks that the clusters and namespaces of ``--cluster`` and ``--namespace`` exist.

A filter with a misspelled name hides everything, and the user would take "no changes" for an answer. An unknown cluster
is an error. A namespace may exist without an archived object in it, so an empty namespace is a warning.
This module must not filter or compare.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Protocol

from gitsnap.cluster.lists import list_objects
from gitsnap.core.commits import LoggedCommit
from gitsnap.core.errors import ArchiveError, NotFoundError
from gitsnap.core.model import Area, BlobId, JsonObject, Kind, ObjectKey, Substitute
from gitsnap.core.ports import Cluster, Tree
from gitsnap.core.suggestions import nearest
from gitsnap.format import CLUSTER_SCOPED, decode_object, file_of, key_of, kind_folder, path_of
from gitsnap.format.tree_files import PathsByKind, top_folders
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.filters import Filters
from gitsnap.sveltos.matching import STATUS_FIELDS, ClusterRef

_NOW = "the management cluster now"

_INVENTORY_KINDS = (kinds.CLUSTER_CONFIGURATION, kinds.CLUSTER_SUMMARY)
_KINDS_OF_CLUSTERS = kinds.CLUSTER_KINDS.union(_INVENTORY_KINDS)
"""The kinds whose objects each belong to one managed cluster."""


def check_filters(filters: Filters, trees: Sequence[Tree], *, where: str) -> list[str]:
    """Check the names of filters against trees. Returns warnings about namespaces in which no tree has an object.

    Raises NotFoundError if no tree knows a cluster. If a tree could not read the kinds that would tell, every name is
    accepted. ``where`` names the trees in messages.
    """
    missing = {
        incomplete.kind
        for tree in trees
        for incomplete in tree.incomplete
        if incomplete.substitute is Substitute.MISSING
    }
    if missing.isdisjoint(_KINDS_OF_CLUSTERS):
        check_clusters(filters.clusters, chain.from_iterable(map(clusters_of, trees)), where=where)
    if missing:
        return []
    return _empty_namespaces(filters.namespaces, chain.from_iterable(map(_namespaces_of, trees)), where=where)


def check_clusters(names: Collection[str], known: Iterable[ClusterRef], *, where: str) -> None:
    """Check names of clusters. Raises NotFoundError for the first name that is not known.

    ``known`` is read until all names are found, so the cheapest source should come first.
    """
    missing = list(names)
    seen: set[ClusterRef] = set()
    remaining = iter(known)
    while missing and (cluster := next(remaining, None)) is not None:
        seen.add(cluster)
        missing = [name for name in missing if name not in cluster.names]
    if missing:
        hint = nearest(missing[0], map(_notation_like(missing[0]), seen), none="It has no managed clusters.")
        raise NotFoundError(f"there is no managed cluster {missing[0]} in {where}", hint=hint)


def _empty_namespaces(names: Collection[str], known: Iterable[str], *, where: str) -> list[str]:
    """Return a warning for each namespace that is not known. ``known`` is consumed until all names are found."""
    missing, seen = list(names), set[str]()
    remaining = iter(known)
    while missing and (namespace := next(remaining, None)) is not None:
        seen.add(namespace)
        missing = [name for name in missing if name != namespace]
    return [
        f"there is nothing in the namespace {name} in {where}. "
        + nearest(name, seen - {""}, none="There is nothing in any namespace.")
        for name in missing
    ]


def _notation_like(text: str) -> Callable[[ClusterRef], str]:
    """Return a function that writes a cluster as ``text`` is written: with namespace and type, or without."""
    with_namespace, with_type = "/" in text, "--" in text

    def write(cluster: ClusterRef) -> str:
        name = f"{cluster.type}--{cluster.name}" if with_type else cluster.name
        return f"{cluster.namespace}/{name}" if with_namespace else name

    return write


# In a tree ------------------------------------------------------------------------------------------------------------


def clusters_of(tree: Tree) -> Iterator[ClusterRef]:
    """Yield the managed clusters that a tree knows, some of them repeatedly.

    Registered clusters come first, because they cost least. The clusters to which Sveltos reported a deployment and the
    clusters that an object matched follow.
    """
    files = tree.files(Area.CONFIGURATION)
    for kind in sorted(kinds.CLUSTER_KINDS):
        for path in PathsByKind(files).paths(kind):
            key = key_of(path) or ObjectKey.of(decode_object(tree.read(files[path]), f"{Area.CONFIGURATION}/{path}"))
            yield ClusterRef.of_key(key)
    for kind in _INVENTORY_KINDS:
        yield from map(inventory.cluster_of, _inventory_entries(tree, kind))
    for kind in STATUS_FIELDS:
        for document in _inventory_entries(tree, kind):
            for entries in document["status"].values():
                yield from map(ClusterRef.of_reference, entries)


def _inventory_entries(tree: Tree, kind: Kind) -> Iterator[JsonObject]:
    files = tree.files(Area.INVENTORY)
    for path in PathsByKind(files).paths(kind):
        yield decode_object(tree.read(files[path]), f"{Area.INVENTORY}/{path}")


def _namespaces_of(tree: Tree) -> Iterator[str]:
    """Yield the namespaces of a tree: those of its files and clusters, and those that a Namespace object names."""
    for area in (Area.CONFIGURATION, Area.INVENTORY):
        yield from top_folders(tree.files(area)) - {CLUSTER_SCOPED}
    files = tree.files(Area.CONFIGURATION)
    for path in PathsByKind(files).paths(kinds.NAMESPACE):
        yield ObjectKey.of(decode_object(tree.read(files[path]), f"{Area.CONFIGURATION}/{path}")).name
    yield from (cluster.namespace for cluster in clusters_of(tree))


# In the history -------------------------------------------------------------------------------------------------------


class History(Protocol):
    """The commits of an archive."""

    def log(self, patterns: Sequence[str]) -> Iterator[LoggedCommit]:
        """Yield the commits that changed files which match git pathspecs, newest first."""

    def read(self, blob: BlobId) -> bytes:
        """Return the content of a blob of such a commit."""


def clusters_ever(archive: History, names: Collection[str]) -> Iterator[ClusterRef]:
    """Yield the clusters with some names that any commit contained."""
    patterns = [pattern for name in names for pattern in _pathspecs(name)]
    for commit in archive.log(patterns):
        for file in commit.files:
            blob = file.after or file.before
            if blob is not None:
                yield from _clusters_in(archive.read(blob))


def _clusters_in(content: bytes) -> Iterator[ClusterRef]:
    with suppress(ArchiveError):  # somebody committed a file that is not an object
        document = decode_object(content, "a file of the history")
        is_registration = Kind.of(document) in kinds.CLUSTER_KINDS
        yield ClusterRef.of(document) if is_registration else inventory.cluster_of(document)


def _pathspecs(text: str) -> Iterator[str]:
    """Yield git pathspecs of the files about a cluster, for each reading of its name: with a type, or without."""
    namespace, _, name = text.rpartition("/")
    folder = path_of(ObjectKey(kinds.CLUSTER_CONFIGURATION, namespace, "")).partition("/")[0] if namespace else "*"
    cluster_type, separator, rest = name.partition("--")
    readings = [("*", name), *([(cluster_type, rest)] if separator else [])]
    for type_pattern, cluster_name in readings:
        file_name = file_of(cluster_name)
        for kind in sorted(kinds.CLUSTER_KINDS):
            yield f":(glob){Area.CONFIGURATION}/{folder}/{kind_folder(kind)}/{file_name}"
        prefix = f":(glob){Area.INVENTORY}/{folder}"
        yield f"{prefix}/{kind_folder(kinds.CLUSTER_CONFIGURATION)}/{type_pattern}--{file_name}"
        yield f"{prefix}/{kind_folder(kinds.CLUSTER_SUMMARY)}/*-{type_pattern}-{file_name}"


# In the live cluster --------------------------------------------------------------------------------------------------


def check_filters_now(filters: Filters, cluster: Cluster, configurations: Iterable[JsonObject]) -> list[str]:
    """Check the names of filters against the live cluster; see check_filters. Raises the errors of the cluster, too.

    ``configurations`` are its ClusterConfigurations. The registered clusters are listed only if these do not suffice.
    """
    known = [*map(inventory.cluster_of, configurations)]
    check_clusters(filters.clusters, chain(known, _registered(cluster)), where=_NOW)
    namespaces = {managed.namespace for managed in known}
    if not namespaces.issuperset(filters.namespaces):
        namespaces.update(managed.namespace for managed in _registered(cluster))
    return _empty_namespaces(filters.namespaces, namespaces, where=_NOW)


def _registered(cluster: Cluster) -> Iterator[ClusterRef]:
    for kind in sorted(kinds.CLUSTER_KINDS):
        yield from map(ClusterRef.of, list_objects(cluster, kind))
