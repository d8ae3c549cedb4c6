"""Rows and texts for the objects of the management cluster that changed.

This module must not know managed clusters, and masks whatever values of Secrets an archive may hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.diff.changes import MOST_FIELDS, Change
from gitsnap.diff.presence import tell_presence, without_profile
from gitsnap.diff.raw_text import is_shown, text_pair
from gitsnap.diff.rows import Action, ManagementRow, TextPair, object_title, resource_type, short_name
from gitsnap.diff.sides import Side
from gitsnap.format.fingerprint import is_fingerprint
from gitsnap.sveltos import kinds, kustomize_archives
from gitsnap.sveltos.matching import ClusterRef

MASK = "(not shown)"
MASK_BEFORE = "(not shown, before)"
MASK_AFTER = "(not shown, after)"


def management_rows(before: Side, after: Side, changes: Iterable[Change]) -> list[ManagementRow]:
    """One row for each object that changed."""
    changes = list(changes)
    told = tell_presence(before, after, changes)
    matches = _matches(before, after, changes)
    modified = {change.key for change in changes if change.action is Action.MODIFIED}
    referrers = without_profile(after, {key for key in modified if key.kind in kinds.REFERENCED_KINDS})
    rows = []
    for change in changes:
        key = change.key
        said = (change.action, change.fields) if change.action is Action.MODIFIED else told.get(key)
        if said is None:
            continue
        action, message = said
        if key.kind in kinds.CLUSTER_KINDS:
            message = "; ".join([*([message] if message else []), *matches.get(key, [])])
        elif key in referrers:
            message = f"{message}; referred to {referrers[key]}"
        rows.append(ManagementRow(resource_type(key.kind), key.namespace, key.name, action, message))
    return rows


def _matches(before: Side, after: Side, changes: Iterable[Change]) -> dict[ObjectKey, list[str]]:
    """Which profiles start or stop matching a cluster because of what changed in the cluster itself.

    A profile of the newer side must match otherwise with the older labels, so that a change of its selector is told by
    its own row alone. And the profile of the older side must not have matched, or stopped matching, already.
    """
    clusters = {ClusterRef.of(change.after or change.before or {}) for change in changes if _is_relabelled(change)}
    if not clusters:
        return {}
    came: dict[ClusterRef, list[ObjectKey]] = {}
    went: dict[ClusterRef, list[ObjectKey]] = {}
    by_old_labels = dict(after.selected(before.cluster_labels))
    former = dict(before.selected())
    for profile, selected in sorted(after.selected()):
        if profile not in by_old_labels or (profile not in former and before.blob(profile) is not None):
            continue
        matched = former.get(profile, frozenset())
        for cluster in clusters & (selected - by_old_labels[profile] - matched - before.clusters_of(profile)):
            came.setdefault(cluster, []).append(profile)
        for cluster in clusters & (by_old_labels[profile] & matched) - selected:
            went.setdefault(cluster, []).append(profile)
    return {
        cluster.key: [
            f"{words} {_first_names(found[cluster])}"
            for words, found in (("now matched by", came), ("no longer matched by", went))
            if cluster in found
        ]
        for cluster in clusters
    }


def _is_relabelled(change: Change) -> bool:
    if change.key.kind not in kinds.CLUSTER_KINDS:
        return False
    old, new = (((side or {}).get("metadata") or {}).get("labels") for side in (change.before, change.after))
    return change.action is not Action.MODIFIED or not same_json(old, new)


def _first_names(profiles: list[ObjectKey]) -> str:
    named = ", ".join(short_name(profile) for profile in profiles[:MOST_FIELDS])
    return f"{named} and {len(profiles) - MOST_FIELDS} more" if len(profiles) > MOST_FIELDS else named


def management_texts(changes: Iterable[Change], shown: set[TextPair]) -> list[TextPair]:
    """The objects as they stand in the archive, except those that ``shown`` documents show as a whole."""
    texts = []
    for change in changes:
        if not is_shown(change, shown):
            old, new = _shown(change)
            texts.append(text_pair(object_title(change.key), old, new))
    return texts


def _shown(change: Change) -> tuple[JsonObject | None, JsonObject | None]:
    """Both sides as they are shown: archives by file, Secrets without values, though one sees which differ."""
    if change.key.kind == kinds.CONFIG_MAP:
        old_files, new_files = (side and kustomize_archives.listed(side) for side in (change.before, change.after))
        # The files say more than a blob, except where only the packing differs.
        return (change.before, change.after) if same_json(old_files, new_files) else (old_files, new_files)
    if change.key.kind != kinds.SECRET:
        return change.before, change.after
    old, new = ((side or {}).get("data") or {} for side in (change.before, change.after))
    return _with_data(change.before, old, new, MASK_BEFORE), _with_data(change.after, new, old, MASK_AFTER)


def _with_data(
    secret: JsonObject | None, own: Mapping[str, Any], other: Mapping[str, Any], mark: str
) -> JsonObject | None:
    if secret is None or "data" not in secret:
        return secret
    data = {
        name: value if is_fingerprint(value) else MASK if name not in other or same_json(other[name], value) else mark
        for name, value in own.items()
    }
    return {**secret, "data": data}
