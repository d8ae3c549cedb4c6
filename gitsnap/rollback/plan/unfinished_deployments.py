"""Deployments that failed or are in progress, as the live ClusterSummaries report them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.cluster_effects import Uncertainty
from gitsnap.rollback.plan.deployed_content import FEATURES
from gitsnap.sveltos import inventory
from gitsnap.sveltos.matching import ClusterRef

_COMPLETE = frozenset({"Provisioned", "Removed"})
"""States of a feature in which the ClusterConfiguration lists everything that runs on the cluster."""


def unfinished_features(summaries: Iterable[JsonObject]) -> Mapping[tuple[ObjectKey, ClusterRef], frozenset[str]]:
    """The features of each profile and cluster that are not deployed completely, from live ClusterSummaries.

    The ClusterConfiguration lists none or only a part of the resources of such a feature.
    """
    unfinished: dict[tuple[ObjectKey, ClusterRef], frozenset[str]] = {}
    for summary in summaries:
        profile, spec = inventory.profile_of(summary), (summary.get("spec") or {}).get("clusterProfileSpec") or {}
        if profile is None or spec.get("syncMode") == "DryRun":
            continue  # a DryRun profile deploys no feature, which is no failure
        states = {feature: "" for field, feature in FEATURES.items() if spec.get(field)}
        for reported in (summary.get("status") or {}).get("featureSummaries") or ():
            states[str(reported.get("featureID", ""))] = str(reported.get("status", ""))
        features = frozenset(feature for feature, state in states.items() if state not in _COMPLETE)
        if features:
            unfinished[profile, inventory.cluster_of(summary)] = features
    return unfinished


def unfinished_deployment(profile: ObjectKey, clusters: Iterable[ClusterRef]) -> Uncertainty:
    """The uncertainty about a profile that the plan redeploys to clusters where its last deployment is unfinished."""
    named = sorted(clusters)
    where = str(named[0]) if len(named) == 1 else f"{len(named)} clusters"
    return Uncertainty(
        profile, f"its last deployment to {where} failed or is in progress, and what runs there is unknown"
    )
