"""Waits until Sveltos has carried out what a rollback wrote, and says so by cluster.

Going by the ClusterSummaries: each feature is ``Provisioned`` for the configuration that the rollback left, or failed.
This module must not write to a cluster, and reads no clock but the one it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitsnap.core.errors import AccessDeniedError, ClusterUnreachableError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Cluster
from gitsnap.rollback.plan import Doing, Plan
from gitsnap.rollback.readiness import Patience
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import ClusterRef

Pair = tuple[ObjectKey, ClusterRef]
"""A profile and a cluster."""

_AGAIN_SECONDS = 1.0
_ARRIVING = frozenset({Doing.DEPLOYS, Doing.REDEPLOYS, Doing.REDUCES, Doing.LAST})
_FORBIDDEN = "you may not list ClusterSummaries"
_LEAVING = frozenset({Doing.WITHDRAWS})


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """What Sveltos reports of one profile on one cluster after a rollback."""

    cluster: ClusterRef
    profile: ObjectKey
    outcome: str
    """``arrived``, ``failed``, ``not yet`` or ``withdrawn``."""
    detail: str = ""
    """Which features failed, or are not there yet."""


def states(cluster: Cluster, plan: Plan) -> Mapping[Pair, JsonObject]:
    """The ClusterSummaries of all that a plan has deployed anew, to tell later what came after it."""
    wanted = _pairs(plan, _ARRIVING) | _pairs(plan, _LEAVING)
    try:
        return {pair: document for pair, document in _summaries(cluster) if pair in wanted}
    except (AccessDeniedError, ClusterUnreachableError):
        return {}  # said once it is asked for again


def await_arrival(cluster: Cluster, plan: Plan, before: Mapping[Pair, JsonObject], patience: Patience) -> list[Arrival]:
    """What became of each profile on each cluster, once all is done or the patience is at its end; sorted."""
    arriving, leaving = _pairs(plan, _ARRIVING), _pairs(plan, _LEAVING)
    end = patience.now() + patience.seconds
    while True:
        found = _look(cluster, arriving, leaving, before)
        open_ones = [one for one in found if one.outcome == "not yet"]
        if not open_ones or patience.now() >= end or any(one.detail == _FORBIDDEN for one in open_ones):
            return sorted(found)
        patience.say(f"waiting for Sveltos: {len(found) - len(open_ones)} of {len(found)} deployments reported")
        patience.pause(min(_AGAIN_SECONDS, max(0.0, end - patience.now())))


def _look(
    cluster: Cluster, arriving: frozenset[Pair], leaving: frozenset[Pair], before: Mapping[Pair, JsonObject]
) -> list[Arrival]:
    try:
        now = dict(_summaries(cluster))
    except AccessDeniedError:
        return [Arrival(one, profile, "not yet", _FORBIDDEN) for profile, one in arriving | leaving]
    except ClusterUnreachableError:
        return [
            Arrival(one, profile, "not yet", "the API server does not answer") for profile, one in arriving | leaving
        ]
    found = [_arrival(pair, now.get(pair), before.get(pair)) for pair in arriving]
    gone = leaving - arriving
    found += [Arrival(one, profile, "withdrawn") for profile, one in gone if (profile, one) not in now]
    found += [
        Arrival(one, profile, "not yet", "it is being withdrawn") for profile, one in gone if (profile, one) in now
    ]
    return found


def _arrival(pair: Pair, now: JsonObject | None, before: JsonObject | None) -> Arrival:
    profile, cluster = pair
    if now is None:
        return Arrival(cluster, profile, "not yet", "Sveltos has no ClusterSummary for it")
    features = _features(now)
    failed = sorted(name for name, (state, _) in features.items() if state.startswith("Failed"))
    if failed:
        return Arrival(cluster, profile, "failed", ", ".join(failed))
    pending = sorted(name for name, (state, _) in features.items() if state != "Provisioned")
    if pending or not features:
        return Arrival(cluster, profile, "not yet", ", ".join(pending))
    if before is not None and _stamps(before) == _stamps(now):
        return Arrival(cluster, profile, "not yet", "Sveltos has not begun")
    return Arrival(cluster, profile, "arrived")


def _features(summary: JsonObject) -> dict[str, tuple[str, str]]:
    """State and hash of each feature; one that is retried after a failure has failed."""
    listed = (summary.get("status") or {}).get("featureSummaries") or ()
    return {
        str(one.get("featureID", "")): (
            "Failed"
            if one.get("consecutiveFailures") and one.get("status") != "Provisioned"
            else str(one.get("status")),
            str(one.get("hash") or ""),
        )
        for one in listed
    }


def _stamps(summary: JsonObject) -> list[tuple[str, str, str]]:
    """What moves whenever Sveltos deploys."""
    listed = (summary.get("status") or {}).get("featureSummaries") or ()
    return sorted(
        (str(one.get("featureID", "")), str(one.get("hash") or ""), str(one.get("lastAppliedTime") or ""))
        for one in listed
    )


def _pairs(plan: Plan, doings: frozenset[Doing]) -> frozenset[Pair]:
    return frozenset(
        (effect.by, cluster)
        for step in plan.writes
        for effect in step.effects
        if effect.doing in doings and effect.by.kind in kinds.PROFILE_KINDS
        for cluster in effect.clusters
    )


def _summaries(cluster: Cluster) -> Iterable[tuple[Pair, JsonObject]]:
    resource = cluster.resource_type(kinds.CLUSTER_SUMMARY)
    for page in cluster.list(resource) if resource is not None else ():
        for document in page.items:
            profile = inventory.profile_of(document)
            if profile is not None:
                yield (profile, inventory.cluster_of(document)), document
