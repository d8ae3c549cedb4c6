"""Rows for deployments that the documents do not explain: one for a profile on a managed cluster.

A deployment that failed on one side only leaves open what runs there. A deployment with another hash, while nothing
that is archived of the profile changed, carried out an earlier change. This module must not look at documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.diff.pairs import Pairs
from gitsnap.diff.rows import Action, DiffRow, resource_type
from gitsnap.diff.sides import Side
from gitsnap.sveltos import inventory
from gitsnap.sveltos.matching import ClusterRef

NOT_KNOWN = "what runs there is not known"
RAN_NOT_KNOWN = "what ran there before is not known"
APPLIED = "an earlier change was applied"

_WITH_ROWS_OF_THEIR_OWN = frozenset({"Helm"})
"""Features whose hash changes with the values of a release, which has a row."""

_Features = Mapping[str, Mapping[str, Any]]


def deployment_rows(
    before: Side, after: Side, pairs: Pairs, summaries: Iterable[str]
) -> Iterator[tuple[ClusterRef, ObjectKey, DiffRow]]:
    """A row for each pair, by the paths of the ClusterSummaries that differ."""
    for path in summaries:
        documents = before.reported_at(path), after.reported_at(path)
        newest = documents[1] or documents[0] or {}
        profile, cluster = inventory.profile_of(newest), inventory.cluster_of(newest)
        if profile is None:
            continue
        reached = profile in pairs.by_cluster.get(cluster, ())
        message = _message(_features(documents[0]), _features(documents[1]), reached=reached)
        if message:
            kind = resource_type(profile.kind)
            row = DiffRow(str(cluster), kind, profile.namespace, profile.name, Action.MODIFIED, message)
            yield cluster, profile, row


def _features(summary: JsonObject | None) -> _Features:
    listed = ((summary or {}).get("status") or {}).get("featureSummaries") or ()
    return {str(feature.get("featureID", "")): feature for feature in listed}


def _message(old: _Features, new: _Features, *, reached: bool) -> str:
    failed = [{name for name, feature in side.items() if _has_failed(feature)} for side in (old, new)]
    messages = []
    if begun := failed[1] - failed[0]:
        messages.append(f"deployment failed ({', '.join(sorted(begun))}): {NOT_KNOWN}")
    if ended := failed[0] - failed[1]:
        messages.append(f"deployment had failed ({', '.join(sorted(ended))}): {RAN_NOT_KNOWN}")
    applied = sorted(
        name
        for name in (old.keys() & new.keys()) - failed[0] - failed[1] - _WITH_ROWS_OF_THEIR_OWN
        if old[name].get("hash") and new[name].get("hash") and old[name]["hash"] != new[name]["hash"]
    )
    if applied and not reached:
        messages.append(f"deployed anew ({', '.join(applied)}): {APPLIED}")
    return "; ".join(messages)


def _has_failed(feature: Mapping[str, Any]) -> bool:
    return str(feature.get("status", "")).startswith("Failed")
