"""Adds to a plan what it would withdraw, from live deployed content, ClusterConfigurations and ClusterSummaries.

Objects that this user may not read are left out. The plan then reports an unknown consequence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress

from gitsnap.cluster.lists import list_objects
from gitsnap.core.errors import AccessDeniedError, KindNotInstalledError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.ports import Cluster
from gitsnap.rollback.plan import Plan, Reductions, TemplateInputs, add_deployed_content
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import ADD_ON_TYPE

FEW = 8
"""Up to this many objects of one kind and namespace are read one by one. A list reads a larger number."""


def add_withdrawals(cluster: Cluster, plan: Plan) -> Plan:
    """The plan with its withdrawals and uncertainties, from the live ClusterConfigurations and ClusterSummaries."""
    reductions, inputs = Reductions(plan), TemplateInputs(plan)
    contents = read_contents(cluster, reductions.sources | inputs.sources)
    clusters = reductions.compare(contents) | {withdrawal.cluster for withdrawal in plan.withdrawals}
    configurations = tuple(read_configurations(cluster, clusters))
    summaries = tuple(read_all(cluster, kinds.CLUSTER_SUMMARY)) if reductions.needs_summaries else ()
    plan = add_deployed_content(reductions.add_to_plan(configurations, summaries), configurations)
    return inputs.add_to_plan(plan, contents)


def read_contents(cluster: Cluster, keys: Collection[ObjectKey]) -> dict[ObjectKey, JsonObject | None]:
    """ConfigMaps and Secrets by key; None for an object that does not exist. Unreadable objects are missing.

    Secrets are only listed with the type of Sveltos, so that no other Secret is read.
    """
    groups: dict[tuple[Kind, str], set[ObjectKey]] = defaultdict(set)
    for key in keys:
        groups[key.kind, key.namespace].add(key)
    contents: dict[ObjectKey, JsonObject | None] = {}
    for (kind, namespace), group in sorted(groups.items()):
        if len(group) > FEW:
            contents |= _list_contents(cluster, kind, namespace, group)
        for key in sorted(group - contents.keys()):
            try:
                contents[key] = cluster.get(key)
            except NotFoundError:
                contents[key] = None
            except AccessDeniedError:
                continue
    return contents


def _list_contents(
    cluster: Cluster, kind: Kind, namespace: str, keys: Collection[ObjectKey]
) -> dict[ObjectKey, JsonObject]:
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
    """The live ClusterConfigurations of some managed clusters.

    Up to FEW objects are read one by one. If the role may list but not get them, or if none exists, all are listed.
    """
    configurations: list[JsonObject] = []
    try:
        for ref in sorted(clusters) if len(clusters) <= FEW else ():
            key = ObjectKey(kinds.CLUSTER_CONFIGURATION, ref.namespace, f"{ref.type}--{ref.name}")
            configurations += _get_if_present(cluster, key)
    except AccessDeniedError:
        configurations = []
    if configurations or len(clusters) == 0:
        yield from configurations
        return
    yield from (
        configuration
        for configuration in read_all(cluster, kinds.CLUSTER_CONFIGURATION)
        if inventory.cluster_of(configuration) in clusters
    )


def _get_if_present(cluster: Cluster, key: ObjectKey) -> list[JsonObject]:
    try:
        return [cluster.get(key)]
    except NotFoundError:
        return []


def read_summary_clusters(cluster: Cluster, profiles: Collection[ObjectKey]) -> dict[ObjectKey, frozenset[ClusterRef]]:
    """By profile: the clusters that have a ClusterSummary of the profile."""
    clusters: dict[ObjectKey, set[ClusterRef]] = {}
    for summary in read_all(cluster, kinds.CLUSTER_SUMMARY) if profiles else ():
        profile = inventory.profile_of(summary)
        if profile in profiles and profile is not None:
            clusters.setdefault(profile, set()).add(inventory.cluster_of(summary))
    return {profile: frozenset(refs) for profile, refs in clusters.items()}


def read_all(cluster: Cluster, kind: Kind) -> Iterator[JsonObject]:
    """Every live object of a kind; nothing if the kind is not installed or may not be listed."""
    with suppress(AccessDeniedError, KindNotInstalledError):
        yield from list_objects(cluster, kind)
