"""Rows and texts for the objects of the management cluster that changed.

Values of Secrets are masked in every text. This module must not know what is deployed in managed clusters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gitsnap.core.model import ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.text import describe, join_names
from gitsnap.diff.changes import MAX_NAMED, Change
from gitsnap.diff.object_actions import object_actions, referrers_other_than_profiles
from gitsnap.diff.raw_diff import TextPair, object_texts
from gitsnap.diff.rows import Action, ManagementRow, object_title
from gitsnap.diff.shown_documents import shows_change
from gitsnap.diff.shown_objects import shown_versions
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.tree_view import TreeView


def management_rows(before: TreeView, after: TreeView, changes: Sequence[Change]) -> list[ManagementRow]:
    """Return one row for each object that changed. Objects whose action is unknown have no row."""
    actions = object_actions(before, after, changes)
    matches = _match_messages(before, after, changes)
    modified_sources = {
        change.key
        for change in changes
        if change.action is Action.MODIFIED and change.key.kind in kinds.REFERENCED_KINDS
    }
    referrers = referrers_other_than_profiles(after, modified_sources)
    rows = []
    for change in changes:
        key = change.key
        if change.action is Action.MODIFIED:
            action, message = Action.MODIFIED, change.field_summary
        elif key in actions:
            action, message = actions[key]
        else:
            continue
        if key.kind in kinds.CLUSTER_KINDS:
            message = "; ".join([*([message] if message else []), *matches.get(key, [])])
        elif key in referrers:
            message = f"{message}; referred to {referrers[key]}"
        rows.append(ManagementRow(key.kind.resource_type, key.namespace, key.name, action, message))
    return rows


def _match_messages(before: TreeView, after: TreeView, changes: Iterable[Change]) -> dict[ObjectKey, list[str]]:
    """Return, for each cluster whose labels changed, which profiles start or stop matching it because of that.

    A profile counts only if its newer version gives another result for the older labels: a change of its selector has a
    row of its own. A profile does not count if the older side already had the same result.
    """
    clusters = {ClusterRef.of(change.after or change.before or {}) for change in changes if _is_relabelled(change)}
    if not clusters:
        return {}
    started: dict[ClusterRef, list[ObjectKey]] = {}
    stopped: dict[ClusterRef, list[ObjectKey]] = {}
    selected_before = dict(before.selected_clusters())
    selected_by_old_labels = dict(after.selected_clusters(before.cluster_labels))
    for profile, selected in sorted(after.selected_clusters()):
        if profile not in selected_by_old_labels or (profile not in selected_before and before.holds(profile)):
            continue
        by_old_labels, matched = selected_by_old_labels[profile], selected_before.get(profile, frozenset())
        for cluster in clusters & (selected - by_old_labels - matched - before.reported_clusters(profile)):
            started.setdefault(cluster, []).append(profile)
        for cluster in clusters & (by_old_labels & matched) - selected:
            stopped.setdefault(cluster, []).append(profile)
    return {
        cluster.key: [
            f"{prefix} {join_names([describe(profile) for profile in profiles[cluster]], most=MAX_NAMED)}"
            for prefix, profiles in (("now matched by", started), ("no longer matched by", stopped))
            if cluster in profiles
        ]
        for cluster in clusters
    }


def _is_relabelled(change: Change) -> bool:
    if change.key.kind not in kinds.CLUSTER_KINDS:
        return False
    old, new = (((side or {}).get("metadata") or {}).get("labels") for side in (change.before, change.after))
    return change.action is not Action.MODIFIED or not same_json(old, new)


def management_texts(changes: Iterable[Change], document_texts: Collection[TextPair]) -> list[TextPair]:
    """Return the objects that changed, except those whose change ``document_texts`` already show."""
    return [
        object_texts(object_title(change.key), *shown_versions(change.before, change.after))
        for change in changes
        if not shows_change(document_texts, change)
    ]
