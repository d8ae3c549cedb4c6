"""Rows and texts for the objects of the management cluster that changed.

Values of Secrets are masked in every text. This module must not know what is deployed in managed clusters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.text import describe, join_names
from gitsnap.diff.object_actions import object_actions, referrers_other_than_profiles
from gitsnap.diff.object_changes import MAX_NAMED, ObjectChange
from gitsnap.diff.raw_diff import TextPair, object_texts
from gitsnap.diff.rows import Action, ManagementRow, object_title
from gitsnap.diff.shown_documents import shows_change
from gitsnap.diff.shown_objects import shown_versions
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef, Selection
from gitsnap.sveltos.tree_view import TreeView

_PLAIN = re.compile(r"[A-Za-z0-9./_!-]*")
"""Words that YAML never escapes. A server accepts no other label keys."""


def management_rows(before: TreeView, after: TreeView, changes: Sequence[ObjectChange]) -> list[ManagementRow]:
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


def _match_messages(before: TreeView, after: TreeView, changes: Iterable[ObjectChange]) -> dict[ObjectKey, list[str]]:
    """Return, for each cluster whose labels changed, which profiles start or stop matching it because of that.

    A profile counts only if its newer version gives another result for the older labels: a change of its selector has a
    row of its own. A profile does not count if the older side already had the same result.
    """
    relabelled = (change.after or change.before or {} for change in changes if _is_relabelled(change))
    clusters = frozenset(map(ClusterRef.of, relabelled))
    if not clusters:
        return {}
    started: dict[ClusterRef, list[ObjectKey]] = {}
    stopped: dict[ClusterRef, list[ObjectKey]] = {}
    for profile, document in sorted(_profiles_reading(_terms(before, after, clusters), after), key=itemgetter(0)):
        selection = after.select_among(document, clusters)
        by_old_labels = after.select_among(document, clusters, before)
        old = before.get(profile)
        former = Selection(frozenset()) if old is None else before.select_among(old, clusters)
        if not (selection.certain and by_old_labels.certain and former.certain):
            continue
        new_matches = selection.clusters - by_old_labels.clusters - former.clusters
        for cluster in new_matches - before.reported_clusters(profile) if new_matches else ():
            started.setdefault(cluster, []).append(profile)
        for cluster in (by_old_labels.clusters & former.clusters) - selection.clusters:
            stopped.setdefault(cluster, []).append(profile)
    return {
        cluster.key: [
            f"{prefix} {join_names([describe(profile) for profile in profiles[cluster]], most=MAX_NAMED)}"
            for prefix, profiles in (("now matched by", started), ("no longer matched by", stopped))
            if cluster in profiles
        ]
        for cluster in clusters
    }


def _terms(before: TreeView, after: TreeView, clusters: Iterable[ClusterRef]) -> frozenset[str]:
    """Return words, one of which is in every profile that selects one of the clusters on one side only.

    The words are the changed label keys, and the fields that name sets. For a cluster that one side lacks, the words
    are all label keys, the name of the cluster, and the operators that match a missing label, which are ``!`` and
    ``notin`` in the text form of selectors.
    """
    terms = {"setRefs", "clusterSetRefs"}
    for cluster in clusters:
        old, new = before.labels_of(cluster), after.labels_of(cluster)
        if old is None or new is None:
            terms |= {*(old or new or {}), cluster.name, "NotIn", "DoesNotExist", "notin", "!"}
        else:
            terms |= {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    return frozenset(terms)


def _profiles_reading(terms: Collection[str], side: TreeView) -> Iterator[tuple[ObjectKey, JsonObject]]:
    """Yield the profiles that contain one of the terms; all profiles if YAML may write a term with escapes."""
    encoded = [term.encode() for term in terms]
    is_plain = all(map(_PLAIN.fullmatch, terms))
    for kind in kinds.PROFILE_KINDS:
        for path in side.paths(kind):
            content = side.content_at(path) if is_plain else b""
            if is_plain and not any(term in content for term in encoded):
                continue
            document = side.object_at(path)
            if document is not None:
                yield ObjectKey.of(document), document


def _is_relabelled(change: ObjectChange) -> bool:
    if change.key.kind not in kinds.CLUSTER_KINDS:
        return False
    old, new = (((side or {}).get("metadata") or {}).get("labels") for side in (change.before, change.after))
    return change.action is not Action.MODIFIED or not same_json(old, new)


def management_texts(
    changes: Iterable[ObjectChange], document_texts: Collection[TextPair], *, shows_manifests: bool
) -> list[TextPair]:
    """Return the objects that changed, except those whose change ``document_texts`` already show.

    ``shows_manifests``: whether the values of Secret manifests in other objects are shown.
    """
    return [
        object_texts(
            object_title(change.key),
            *shown_versions(change.before, change.after, shows_manifests=shows_manifests),
        )
        for change in changes
        if not shows_change(document_texts, change)
    ]
