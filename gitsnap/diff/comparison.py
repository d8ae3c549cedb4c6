"""The comparison of two trees: finds the changes, collects the rows of each part, filters and sorts them.

This module must not know fields of objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from gitsnap.core.model import ObjectKey, SensitiveField
from gitsnap.diff.changed_objects import ChangedObjects, find_changes
from gitsnap.diff.cluster_reports import common_report, read_reports, report_key
from gitsnap.diff.comparability import Comparability, find_comparability
from gitsnap.diff.deployment_rows import deployment_rows
from gitsnap.diff.deployments import Deployments
from gitsnap.diff.management_rows import management_rows, management_texts
from gitsnap.diff.raw_diff import TextPair
from gitsnap.diff.release_rows import clusters_with_changed_values, compare_releases
from gitsnap.diff.resource_rows import compare_resources
from gitsnap.diff.rows import ClusterChanges, Comparison
from gitsnap.diff.shown_objects import without_embedded_values
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.content_cache import ContentCache
from gitsnap.sveltos.filters import EVERYTHING, Filters
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.tree_view import TreeView

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree


def compare(
    before: Tree,
    after: Tree,
    *,
    filters: Filters = EVERYTHING,
    texts: bool = True,
    left_out: Iterable[SensitiveField] = (),
    shows_manifests: bool = False,
) -> Comparison:
    """Return the differences between two trees, sorted; the same trees always give the same result.

    Kinds that one side does not cover, or could not read, have no rows and are listed as not comparable.
    ``texts``: whether to collect the texts for raw diffs, which takes longer than the rows.
    ``left_out``: fields whose values are neither compared nor shown.
    ``shows_manifests``: whether the texts have the values of Secret manifests in other objects, such as in a ConfigMap.
    Raises InputError if an archived file cannot be read.
    """
    comparability = find_comparability(before, after)
    blanked_fields = tuple(sorted({*comparability.blanked_fields, *left_out}))
    cache = ContentCache()
    changed = find_changes(
        TreeView(before, cache, blanked_fields=blanked_fields),
        TreeView(after, cache, blanked_fields=blanked_fields),
        comparability,
    )
    deployments = Deployments(changed)
    managed = _managed_clusters(deployments, comparability, filters)
    changes = [change for key, change in changed.by_key.items() if _is_wanted(key, filters, managed.causes)]
    return Comparison(
        rows=tuple(sorted(managed.rows)),
        management=tuple(sorted(management_rows(*changed.sides, changes, deployments.referred_by_profiles()))),
        not_comparable=comparability.entries,
        texts=(
            *sorted(_shown_texts(managed.texts, shows_manifests=shows_manifests) if texts else (), key=_text_order),
            *sorted(
                management_texts(changes, managed.texts, shows_manifests=shows_manifests) if texts else (),
                key=_text_order,
            ),
        ),
        reached=tuple(
            sorted(
                (str(cluster), profile)
                for cluster, profiles in deployments.by_cluster.items()
                if filters.wants_cluster(cluster)
                for profile in profiles
            )
        ),
    )


def _shown_texts(pairs: Iterable[TextPair], *, shows_manifests: bool) -> Iterable[TextPair]:
    if shows_manifests:
        return pairs
    return [TextPair(pair.title, *without_embedded_values(pair.before, pair.after)) for pair in pairs]


def _text_order(pair: TextPair) -> tuple[str, str, str]:
    return pair.title, pair.before or "", pair.after or ""


def _is_wanted(key: ObjectKey, filters: Filters, causes: Collection[ObjectKey]) -> bool:
    """Return whether an object passes the filters.

    If the filters name clusters, only these clusters and the causes of changes in them pass.
    """
    if not filters.wants_object(key):
        return False
    if not filters.clusters:
        return True
    if key.kind in kinds.CLUSTER_KINDS:
        return filters.wants_cluster(ClusterRef.of_key(key))
    return key in causes


# Managed clusters -----------------------------------------------------------------------------------------------------


def _managed_clusters(deployments: Deployments, comparability: Comparability, filters: Filters) -> ClusterChanges:
    """Return the changes in the managed clusters that pass the filters."""
    changes = ClusterChanges()
    summary_paths = _changed_summaries(deployments.changed)
    for cluster in sorted(_clusters(deployments, summary_paths)):
        if filters.wants_cluster(cluster):
            changes.add(_compare_cluster(deployments, cluster, comparability.incomplete_objects))
    for cluster, profile, row in deployment_rows(deployments, summary_paths):
        if filters.wants_cluster(cluster):
            changes.rows.append(row)
            changes.causes.add(profile)
    return changes


def _changed_summaries(changed: ChangedObjects) -> list[str]:
    """Return the paths below ``inventory/`` of the ClusterSummaries that differ, none if the kind is excluded."""
    return [] if kinds.CLUSTER_SUMMARY in changed.excluded_kinds else changed.inventory_paths(kinds.CLUSTER_SUMMARY)


def _clusters(deployments: Deployments, summary_paths: Collection[str]) -> set[ClusterRef]:
    """Return the clusters that a change may have reached."""
    before, after = deployments.sides
    clusters = {*deployments.by_cluster, *deployments.clusters_of_deleted_profiles}
    for path in deployments.changed.inventory_paths(kinds.CLUSTER_CONFIGURATION):
        document = after.reported_at(path) or before.reported_at(path)
        if document is not None:
            clusters.add(inventory.cluster_of(document))
    clusters.update(clusters_with_changed_values(before, after, summary_paths))
    clusters.update(_clusters_with_failures(deployments.sides, summary_paths))
    return clusters


def _clusters_with_failures(sides: Iterable[TreeView], summary_paths: Collection[str]) -> Iterator[ClusterRef]:
    """Yield the clusters in which a deployment failed, so that the inventory may lack resources."""
    for side in sides:
        for path in summary_paths:
            blob = side.inventory.get(path)
            if blob is not None and b"status: Failed" in side.tree.read(blob):
                yield inventory.cluster_of(side.reported_at(path) or {})


def _compare_cluster(deployments: Deployments, cluster: ClusterRef, incomplete: frozenset[ObjectKey]) -> ClusterChanges:
    """Return the changes in one cluster. ``incomplete``: the objects that one side could not capture."""
    report = report_key(cluster)
    old, new = read_reports(*deployments.sides, report)
    if not deployments.changed.covers(report) or report in incomplete:
        # Entries that one side could not read must not look deleted, so both sides get the entries of the other side.
        old = new = common_report(old, new)
    changes = compare_resources(deployments, cluster, old, new)
    changes.add(compare_releases(deployments, cluster, old, new))
    return changes
