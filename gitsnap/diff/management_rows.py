"""Rows and texts for the objects of the management cluster that changed.

Values of Secrets are masked in every text. This module must not know what is deployed in managed clusters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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
from gitsnap.sveltos.name_matcher import NameMatcher
from gitsnap.sveltos.tree_view import TreeView

_PLAIN = re.compile(r"[A-Za-z0-9./_!-]*")
"""Words that YAML never escapes. A server accepts no other label keys."""


def management_rows(
    before: TreeView, after: TreeView, changes: Sequence[ObjectChange], referred: Collection[ObjectKey] = ()
) -> list[ManagementRow]:
    """Return one row for each object that changed. Objects whose action is unknown have no row.

    ``referred``: known objects to which a profile of the newer side refers. Their referrers are not searched.
    """
    actions = object_actions(before, after, changes)
    matches = _match_messages(before, after, changes)
    modified_sources = {
        change.key
        for change in changes
        if change.action is Action.MODIFIED and change.key.kind in kinds.REFERENCED_KINDS and change.key not in referred
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
    for profile, document in sorted(
        _profiles_reading(_changed_terms(before, after, clusters), after), key=itemgetter(0)
    ):
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


class _Terms:
    """Words to find the profiles that may select a cluster on one side only.

    A profile without any of the words selects each of the added clusters on both sides or on neither side.
    """

    def __init__(self) -> None:
        self._alone = {"setRefs", "clusterSetRefs"}
        """Words that are sufficient alone."""
        self._values: dict[str, set[str]] = {}
        """Words that are sufficient together with one of these values: word -> values."""

    def add(self, name: str, old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> None:
        """Add the words for a cluster with its labels on both sides, None for a side that lacks the cluster.

        The words are the label keys that differ. If both sides have a key, only a profile with one of the two values,
        or with an operator that compares numbers, can select one side only. If one side lacks the cluster, the words
        are all label keys, the name of the cluster, and the operators that match a missing label, which are ``!`` and
        ``notin`` in the text form of selectors.
        """
        if old is None or new is None:
            self._alone |= {*(old or new or {}), name, "NotIn", "DoesNotExist", "notin", "!"}
            return
        for key in old.keys() | new.keys():
            values = [side.get(key, "") for side in (old, new)]
            if values[0] == values[1] and key in old and key in new:
                continue
            if all(values) and all(map(_PLAIN.fullmatch, values)):
                self._values.setdefault(key, set()).update(values)
            else:
                self._alone.add(key)

    def search(self) -> Callable[[bytes], bool] | None:
        """Return a search for the words in the YAML of a profile, None if YAML may write a word with escapes."""
        if not all(map(_PLAIN.fullmatch, self._alone | self._values.keys())):
            return None
        alone = [term.encode() for term in self._alone]
        with_value = [(key.encode(), NameMatcher(values)) for key, values in self._values.items()]

        def contains_words(content: bytes) -> bool:
            return any(term in content for term in alone) or any(
                key in content and (values.matches(content) or b"<" in content or b">" in content)
                for key, values in with_value
            )

        return contains_words


def _changed_terms(before: TreeView, after: TreeView, clusters: Iterable[ClusterRef]) -> _Terms:
    terms = _Terms()
    for cluster in clusters:
        terms.add(cluster.name, before.labels_of(cluster), after.labels_of(cluster))
    return terms


def _profiles_reading(terms: _Terms, side: TreeView) -> Iterator[tuple[ObjectKey, JsonObject]]:
    """Yield the profiles that contain the terms; all profiles if YAML may write a term with escapes."""
    contains_terms = terms.search()
    for kind in kinds.PROFILE_KINDS:
        for path in side.paths(kind):
            if contains_terms is not None and not contains_terms(side.content_at(path)):
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
