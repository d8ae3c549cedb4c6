"""Rows for deployments that the changed documents do not explain: a profile on a managed cluster.

If a deployment failed on one side only, the resources that run there are unknown. If its hash changed although no
archived object of the profile changed, Sveltos applied an earlier change. This module must not look at documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.diff.deployments import Deployments
from gitsnap.diff.rows import Action, DiffRow
from gitsnap.sveltos import inventory
from gitsnap.sveltos.matching import ClusterRef

NOT_KNOWN = "what runs there is not known"
RAN_NOT_KNOWN = "what ran there before is not known"
APPLIED = "an earlier change was applied"

_WITH_OWN_ROWS = frozenset({"Helm"})
"""Features whose hash changes with the values of a release, which has a row of its own."""

_Features = Mapping[str, Mapping[str, Any]]
"""The feature summaries of a ClusterSummary by feature."""


def deployment_rows(
    deployments: Deployments, summary_paths: Iterable[str]
) -> Iterator[tuple[ClusterRef, ObjectKey, DiffRow]]:
    """Yield cluster, profile and row. ``summary_paths``: the ClusterSummaries below ``inventory/`` that differ."""
    for path in summary_paths:
        old, new = deployments.before.reported_at(path), deployments.after.reported_at(path)
        summary = new or old or {}
        profile, cluster = inventory.profile_of(summary), inventory.cluster_of(summary)
        if profile is None:
            continue
        is_reached = profile in deployments.by_cluster.get(cluster, ())
        message = _message(_features(old), _features(new), is_reached=is_reached)
        if message:
            kind = profile.kind.resource_type
            row = DiffRow(str(cluster), kind, profile.namespace, profile.name, Action.MODIFIED, message)
            yield cluster, profile, row


def _features(summary: JsonObject | None) -> _Features:
    entries = ((summary or {}).get("status") or {}).get("featureSummaries") or ()
    return {str(entry.get("featureID", "")): entry for entry in entries}


def _message(old: _Features, new: _Features, *, is_reached: bool) -> str:
    """Return the message of a row, ``""`` for no row. ``is_reached``: whether a change can reach the deployment."""
    old_failed, new_failed = _failed(old), _failed(new)
    messages = []
    if begun := new_failed - old_failed:
        messages.append(f"deployment failed ({', '.join(sorted(begun))}): {NOT_KNOWN}")
    if ended := old_failed - new_failed:
        messages.append(f"deployment had failed ({', '.join(sorted(ended))}): {RAN_NOT_KNOWN}")
    applied = sorted(
        feature
        for feature in (old.keys() & new.keys()) - old_failed - new_failed - _WITH_OWN_ROWS
        if old[feature].get("hash") and new[feature].get("hash") and old[feature]["hash"] != new[feature]["hash"]
    )
    if applied and not is_reached:
        messages.append(f"redeployed ({', '.join(applied)}): {APPLIED}")
    return "; ".join(messages)


def _failed(features: _Features) -> set[str]:
    return {feature for feature, summary in features.items() if str(summary.get("status", "")).startswith("Failed")}
