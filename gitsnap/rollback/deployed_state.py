"""Reads what a plan's consequences are told from: the content that profiles deploy, and what is deployed where.

What may not be read is left out: the plan then says that it cannot tell. This module must not judge what it reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from gitsnap.core.errors import AccessDeniedError, KindNotInstalledError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.ports import Cluster
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import ADD_ON_TYPE

FEW = 8
"""Up to this many objects of one kind and namespace are read one by one."""


def read_contents(cluster: Cluster, keys: Collection[ObjectKey]) -> dict[ObjectKey, JsonObject | None]:
    """ConfigMaps and Secrets by key, None for one that does not exist. Secrets are listed by Sveltos' type only."""
    groups: dict[tuple[Kind, str], set[ObjectKey]] = defaultdict(set)
    for key in keys:
        groups[key.kind, key.namespace].add(key)
    found: dict[ObjectKey, JsonObject | None] = {}
    for (kind, namespace), group in sorted(groups.items()):
        if len(group) > FEW:
            found |= _listed(cluster, kind, namespace, group)
        for key in sorted(group - found.keys()):
            try:
                found[key] = cluster.get(key)
            except NotFoundError:
                found[key] = None
            except AccessDeniedError:
                continue
    return found


def _listed(cluster: Cluster, kind: Kind, namespace: str, keys: Collection[ObjectKey]) -> dict[ObjectKey, JsonObject]:
    resource = cluster.resource_type(kind)
    if resource is None:
        return {}
    selector = f"type={ADD_ON_TYPE}" if kind == kinds.SECRET else ""
    try:
        pages = list(cluster.list(resource, namespace=namespace, field_selector=selector))
    except AccessDeniedError:
        return {}
    items = (item for page in pages for item in page.items)
    return {key: item for item in items if (key := ObjectKey.of(item)) in keys}


def read_configurations(cluster: Cluster, clusters: Collection[ClusterRef]) -> Iterator[JsonObject]:
    """The live ClusterConfigurations of some managed clusters; from the whole list, where the role may only list."""
    found: list[JsonObject] = []
    try:
        for ref in sorted(clusters) if len(clusters) <= FEW else ():
            found += _one(cluster, ObjectKey(kinds.CLUSTER_CONFIGURATION, ref.namespace, f"{ref.type}--{ref.name}"))
    except AccessDeniedError:
        found = []
    if found or len(clusters) == 0:
        yield from found
        return
    yield from (
        document
        for document in read_all(cluster, kinds.CLUSTER_CONFIGURATION)
        if inventory.cluster_of(document) in clusters
    )


def _one(cluster: Cluster, key: ObjectKey) -> list[JsonObject]:
    try:
        return [cluster.get(key)]
    except NotFoundError:
        return []


def read_summaries(cluster: Cluster, profiles: Collection[ObjectKey]) -> dict[ObjectKey, frozenset[ClusterRef]]:
    """The clusters on which profiles have a ClusterSummary."""
    found: dict[ObjectKey, set[ClusterRef]] = {}
    for document in read_all(cluster, kinds.CLUSTER_SUMMARY) if profiles else ():
        profile = inventory.profile_of(document)
        if profile in profiles and profile is not None:
            found.setdefault(profile, set()).add(inventory.cluster_of(document))
    return {profile: frozenset(clusters) for profile, clusters in found.items()}


def read_all(cluster: Cluster, kind: Kind) -> Iterator[JsonObject]:
    """Every object of a kind; none of one that is not installed or may not be listed."""
    try:
        resource = cluster.resource_type(kind)
        if resource is not None:
            yield from (item for page in cluster.list(resource) for item in page.items)
    except (AccessDeniedError, KindNotInstalledError):
        return
