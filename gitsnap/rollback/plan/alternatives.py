"""Withdrawals that the user can avoid by selecting one more profile or cluster.

An object is suggested only if the plan with the object loses no match. Candidates are profiles that match a relabelled
cluster, and clusters that match a profile whose selector changes.
"""

from __future__ import annotations

from collections.abc import Collection

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan.cluster_effects import Withdrawal, WithdrawalCause
from gitsnap.rollback.plan.steps import Plan
from gitsnap.sveltos import kinds


def unselected_losing_profiles(plan: Plan, sample_keys: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The profiles that are in the sample, are not selected, and lose a cluster after the plan."""
    selected = {step.key for step in plan.steps}
    profiles = {withdrawal.profile for withdrawal in _ended(plan)} - selected
    return frozenset(key for key in profiles if key in sample_keys and key.kind in kinds.PROFILE_KINDS)


def unselected_lost_clusters(plan: Plan, sample_keys: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The clusters that are in the sample, are not selected, and that a selected profile stops matching."""
    selected = {step.key for step in plan.steps}
    clusters = {withdrawal.cluster.key for withdrawal in _ended(plan) if withdrawal.profile in selected} - selected
    return frozenset(key for key in clusters if key in sample_keys)


def without_loss(wider: Plan, candidates: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """The candidates, profiles or clusters, that certainly lose nothing in a plan that selects them as well.

    A cluster's label also affects other profiles. A cluster on which any profile loses its match is left out.
    """
    uncertain = {uncertainty.key for uncertainty in wider.uncertainties}
    losing = {key for withdrawal in wider.withdrawals for key in (withdrawal.profile, withdrawal.cluster.key)}
    return frozenset(
        key
        for key in frozenset(candidates) - uncertain - losing
        if not (uncertain and key.kind in kinds.CLUSTER_KINDS)  # an uncertain profile may match this cluster
    )


def _ended(plan: Plan) -> list[Withdrawal]:
    return [withdrawal for withdrawal in plan.withdrawals if withdrawal.cause is WithdrawalCause.ENDED]
