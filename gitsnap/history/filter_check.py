"""Whether there is what ``--cluster`` and ``--namespace`` name: a filter for a name that nothing has hides everything.

Nobody may take "no changes" of a misspelt cluster for an answer about the one that was meant. A namespace may well be
there and have nothing in it that is archived: of such a one there is only a remark.
This module must not filter or compare.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Protocol

from gitsnap.core.errors import ArchiveError, NotFoundError
from gitsnap.core.model import Area, BlobId, JsonObject, Kind, ObjectKey, Substitute
from gitsnap.core.ports import Cluster, Foldered, LoggedCommit, Tree
from gitsnap.core.suggestions import nearest
from gitsnap.diff import Filters
from gitsnap.diff.tree_files import ByKind
from gitsnap.format import CLUSTER_SCOPED, decode_object, file_of, key_of, kind_folder, path_of
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import STATUS_FIELDS, ClusterRef

_NOW = "the management cluster now"

_TELLING_INVENTORY = (kinds.CLUSTER_CONFIGURATION, kinds.CLUSTER_SUMMARY)
_TELLING = kinds.CLUSTER_KINDS.union(_TELLING_INVENTORY)
"""The kinds whose objects are each about one cluster."""


def check_filters(filters: Filters, trees: Sequence[Tree], *, where: str) -> list[str]:
    """Raises NotFoundError where none of the trees has a cluster that the filters name; remarks on empty namespaces.

    ``where`` says which trees these are. Where one could not read what would tell, every name may be right.
    """
    missing = {one.kind for tree in trees for one in tree.incomplete if one.substitute is Substitute.MISSING}
    if missing.isdisjoint(_TELLING):
        check_clusters(filters.clusters, chain.from_iterable(map(clusters_of, trees)), where=where)
    if missing:
        return []
    return _empty_namespaces(filters.namespaces, chain.from_iterable(map(_namespaces_of, trees)), where=where)


def check_clusters(names: Collection[str], known: Iterable[ClusterRef], *, where: str) -> None:
    """Raises NotFoundError for the first name that no known cluster has; they are looked at until all are found."""
    missing = list(names)
    seen: set[ClusterRef] = set()
    remaining = iter(known)
    while missing and (cluster := next(remaining, None)) is not None:
        seen.add(cluster)
        missing = [name for name in missing if name not in cluster.names]
    if missing:
        hint = nearest(missing[0], map(_spelling_like(missing[0]), seen), none="It knows no cluster at all.")
        raise NotFoundError(f"there is no managed cluster {missing[0]} in {where}", hint=hint)


def _empty_namespaces(names: Collection[str], known: Iterable[str], *, where: str) -> list[str]:
    """A remark for each namespace that nothing known lies in."""
    found = set(known) if names else set()
    return [
        f"there is nothing in the namespace {name} in {where}. "
        + nearest(name, found, none="There is nothing in any namespace.")
        for name in names
        if name not in found
    ]


def _spelling_like(text: str) -> Callable[[ClusterRef], str]:
    """How to propose clusters: with the namespace and the type if the text has them."""
    with_namespace, with_type = "/" in text, "--" in text

    def spelled(cluster: ClusterRef) -> str:
        name = f"{cluster.type}--{cluster.name}" if with_type else cluster.name
        return f"{cluster.namespace}/{name}" if with_namespace else name

    return spelled


# What a tree tells ----------------------------------------------------------------------------------------------------


def clusters_of(tree: Tree) -> Iterator[ClusterRef]:
    """The managed clusters that a tree knows, some of them repeatedly, what costs least first.

    These are the registered ones, then those that Sveltos reported a deployment to, then those that anything matched.
    """
    files = tree.files(Area.CONFIGURATION)
    for kind in sorted(kinds.CLUSTER_KINDS):
        for path in ByKind(files).paths(kind):
            key = key_of(path) or ObjectKey.of(decode_object(tree.read(files[path]), f"{Area.CONFIGURATION}/{path}"))
            yield ClusterRef(key.kind, key.namespace, key.name)
    for kind in _TELLING_INVENTORY:
        yield from map(inventory.cluster_of, _reported(tree, kind))
    for kind in STATUS_FIELDS:
        for document in _reported(tree, kind):
            for listed in document["status"].values():
                yield from map(ClusterRef.of_reference, listed)


def _reported(tree: Tree, kind: Kind) -> Iterator[JsonObject]:
    files = tree.files(Area.INVENTORY)
    yield from (decode_object(tree.read(files[path]), f"{Area.INVENTORY}/{path}") for path in ByKind(files).paths(kind))


def _namespaces_of(tree: Tree) -> Iterator[str]:
    """The namespaces that a tree has something in, or knows a cluster or a Namespace object of."""
    for area in (Area.CONFIGURATION, Area.INVENTORY):
        yield from (folder for folder in _folders(tree.files(area)) if folder != CLUSTER_SCOPED)
    files = tree.files(Area.CONFIGURATION)
    for path in ByKind(files).paths(kinds.NAMESPACE):
        yield ObjectKey.of(decode_object(tree.read(files[path]), f"{Area.CONFIGURATION}/{path}")).name
    yield from (cluster.namespace for cluster in clusters_of(tree))


def _folders(files: Mapping[str, BlobId]) -> set[str]:
    if isinstance(files, Foldered):
        return {name for name, (_, is_folder) in files.folder("").items() if is_folder}
    return {path.partition("/")[0] for path in files if "/" in path}


# What a history and a cluster tell ------------------------------------------------------------------------------------


class History(Protocol):
    """The commits of an archive."""

    def log(self, patterns: Sequence[str]) -> Iterator[LoggedCommit]:
        """Commits that changed files which fit git's pathspecs, newest first."""

    def read(self, blob: BlobId) -> bytes:
        """The content behind an id that ``log`` gave."""


def clusters_ever(archive: History, names: Collection[str]) -> Iterator[ClusterRef]:
    """The clusters of these names that any commit ever had."""
    patterns = [pattern for name in names for pattern in _patterns(name)]
    for commit in archive.log(patterns):
        for file in commit.files:
            yield from _told_by(file.after or file.before, archive.read)


def _told_by(blob: BlobId | None, read: Callable[[BlobId], bytes]) -> Iterator[ClusterRef]:
    if blob is None:
        return
    content = read(blob)
    with suppress(ArchiveError):  # a file that somebody committed by hand names no cluster
        document = decode_object(content, "a file of the history")
        registered = Kind.of(document) in kinds.CLUSTER_KINDS
        yield ClusterRef.of(document) if registered else inventory.cluster_of(document)


def _patterns(text: str) -> Iterator[str]:
    """git pathspecs of the files that are about a cluster, for each way in which its name can be understood."""
    namespace, _, name = text.rpartition("/")
    folder = path_of(ObjectKey(kinds.CLUSTER_CONFIGURATION, namespace, "")).partition("/")[0] if namespace else "*"
    cluster_type, separator, rest = name.partition("--")
    readings = [("*", name), *([(cluster_type, rest)] if separator else [])]
    for of_type, called in readings:
        for kind in sorted(kinds.CLUSTER_KINDS):
            yield f":(glob){Area.CONFIGURATION}/{folder}/{kind_folder(kind)}/{file_of(called)}"
        begun = f":(glob){Area.INVENTORY}/{folder}"
        yield f"{begun}/{kind_folder(kinds.CLUSTER_CONFIGURATION)}/{of_type}--{file_of(called)}"
        yield f"{begun}/{kind_folder(kinds.CLUSTER_SUMMARY)}/*-{of_type}-{file_of(called)}"


def check_filters_now(filters: Filters, cluster: Cluster, configurations: Iterable[JsonObject]) -> list[str]:
    """Raises NotFoundError where there is no cluster that the filters name, and the cluster's errors; else as above.

    ``configurations`` are the ClusterConfigurations that were read already: the rest is asked for only if need be.
    """
    known = [*map(inventory.cluster_of, configurations)]
    check_clusters(filters.clusters, chain(known, _registered(cluster)), where=_NOW)
    namespaces = {one.namespace for one in known}
    if not namespaces.issuperset(filters.namespaces):
        namespaces.update(one.namespace for one in _registered(cluster))
    return _empty_namespaces(filters.namespaces, namespaces, where=_NOW)


def _registered(cluster: Cluster) -> Iterator[ClusterRef]:
    for kind in sorted(kinds.CLUSTER_KINDS):
        resource = cluster.resource_type(kind)
        if resource is not None:
            for page in cluster.list(resource):
                yield from map(ClusterRef.of, page.items)
