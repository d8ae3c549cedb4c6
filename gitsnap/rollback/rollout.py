"""Waits for the rollout of a rollback: what Sveltos reports for each profile on each cluster.

A deployment has arrived when its ClusterSummary reports each feature as ``Provisioned`` for the new configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gitsnap.cluster.lists import list_objects
from gitsnap.core.errors import AccessDeniedError, ClusterUnreachableError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.ports import Cluster
from gitsnap.rollback.plan import EffectType, Plan
from gitsnap.rollback.readiness import WaitOptions
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.matching import ClusterRef

Pair = tuple[ObjectKey, ClusterRef]
"""A profile and a cluster."""

_POLL_SECONDS = 1.0
_DEPLOYING = frozenset({EffectType.DEPLOYS, EffectType.REDEPLOYS, EffectType.REDUCES, EffectType.LAST})
_WITHDRAWING = frozenset({EffectType.WITHDRAWS})
_FORBIDDEN = "you may not list ClusterSummaries"


@dataclass(frozen=True, slots=True, order=True)
class RolloutStatus:
    """What Sveltos reports for one profile on one cluster after a rollback."""

    cluster: ClusterRef
    profile: ObjectKey
    outcome: str
    """``arrived``, ``failed``, ``not yet`` or ``withdrawn``."""
    detail: str = ""
    """The features that failed or are missing, or why the outcome is unknown."""


def read_rollout_state(cluster: Cluster, plan: Plan) -> Mapping[Pair, JsonObject]:
    """The ClusterSummaries of the deployments that a plan changes, to tell new reports from old ones.

    Empty if they cannot be read; ``wait_for_rollout`` reports that.
    """
    affected = _pairs(plan, _DEPLOYING | _WITHDRAWING)
    try:
        return {pair: summary for pair, summary in _summaries(cluster) if pair in affected}
    except (AccessDeniedError, ClusterUnreachableError):
        return {}


def wait_for_rollout(
    cluster: Cluster, plan: Plan, before: Mapping[Pair, JsonObject], wait_options: WaitOptions
) -> list[RolloutStatus]:
    """The status of each deployment, sorted, once all are complete or the time to wait is over.

    ``before`` is the result of ``read_rollout_state`` before the rollback.
    """
    deploying, withdrawing = _pairs(plan, _DEPLOYING), _pairs(plan, _WITHDRAWING)
    end = wait_options.now() + wait_options.seconds
    while True:
        statuses = list(_read_statuses(cluster, deploying, withdrawing - deploying, before))
        pending = [status for status in statuses if status.outcome == "not yet"]
        if not pending or wait_options.now() >= end or any(status.detail == _FORBIDDEN for status in pending):
            return sorted(statuses)
        wait_options.say(f"waiting for Sveltos: {len(statuses) - len(pending)} of {len(statuses)} deployments reported")
        wait_options.sleep(min(_POLL_SECONDS, max(0.0, end - wait_options.now())))


def _read_statuses(
    cluster: Cluster, deploying: frozenset[Pair], withdrawing: frozenset[Pair], before: Mapping[Pair, JsonObject]
) -> Iterator[RolloutStatus]:
    try:
        summaries = dict(_summaries(cluster))
    except (AccessDeniedError, ClusterUnreachableError) as error:
        denied = isinstance(error, AccessDeniedError)
        detail = _FORBIDDEN if denied else "the API server does not respond"
        yield from (RolloutStatus(ref, profile, "not yet", detail) for profile, ref in deploying | withdrawing)
        return
    for pair in deploying:
        yield _deployment_status(pair, summaries.get(pair), before.get(pair))
    for pair in withdrawing:
        profile, ref = pair
        if pair in summaries:
            yield RolloutStatus(ref, profile, "not yet", "it is being withdrawn")
        else:
            yield RolloutStatus(ref, profile, "withdrawn")


def _deployment_status(pair: Pair, summary: JsonObject | None, before: JsonObject | None) -> RolloutStatus:
    profile, cluster = pair
    if summary is None:
        return RolloutStatus(cluster, profile, "not yet", "Sveltos has no ClusterSummary for it")
    states = _feature_states(summary)
    failed = sorted(name for name, state in states.items() if state.startswith("Failed"))
    if failed:
        return RolloutStatus(cluster, profile, "failed", ", ".join(failed))
    pending = sorted(name for name, state in states.items() if state != "Provisioned")
    if pending or not states:
        return RolloutStatus(cluster, profile, "not yet", ", ".join(pending))
    if before is not None and _deployment_marks(before) == _deployment_marks(summary):
        return RolloutStatus(cluster, profile, "not yet", "Sveltos has not started")
    return RolloutStatus(cluster, profile, "arrived")


def _feature_states(summary: JsonObject) -> dict[str, str]:
    """The state of each feature. A feature that Sveltos retries after a failure counts as failed."""
    states = {}
    for feature in _features(summary):
        state = str(feature.get("status"))
        retried = feature.get("consecutiveFailures") and state != "Provisioned"
        states[str(feature.get("featureID", ""))] = "Failed" if retried else state
    return states


def _deployment_marks(summary: JsonObject) -> list[tuple[str, str, str]]:
    """The fields of each feature that change whenever Sveltos deploys, sorted."""
    return sorted(
        (str(feature.get("featureID", "")), str(feature.get("hash") or ""), str(feature.get("lastAppliedTime") or ""))
        for feature in _features(summary)
    )


def _features(summary: JsonObject) -> Iterable[JsonObject]:
    return (summary.get("status") or {}).get("featureSummaries") or ()


def _pairs(plan: Plan, effect_types: frozenset[EffectType]) -> frozenset[Pair]:
    """The profiles and clusters on which the plan has an effect of these types."""
    return frozenset(
        (effect.by, cluster)
        for step in plan.writes
        for effect in step.effects
        if effect.type in effect_types and effect.by.kind in kinds.PROFILE_KINDS
        for cluster in effect.clusters
    )


def _summaries(cluster: Cluster) -> Iterable[tuple[Pair, JsonObject]]:
    for summary in list_objects(cluster, kinds.CLUSTER_SUMMARY):
        profile = inventory.profile_of(summary)
        if profile is not None:
            yield (profile, inventory.cluster_of(summary)), summary
