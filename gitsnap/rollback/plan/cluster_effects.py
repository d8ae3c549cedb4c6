"""What a plan means for managed clusters: effects, withdrawals, holds, waits, conflicts and uncertainties.

These are frozen values with their texts. Other modules compute them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gitsnap.core.model import ObjectKey
from gitsnap.core.text import describe, plural
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import DeployedRelease, DeployedResource
from gitsnap.sveltos.matching import ClusterRef

_MOST_CLUSTERS = 3
"""The number of clusters that a line names before it counts the rest."""


class EffectType(enum.StrEnum):
    """What Sveltos does on managed clusters after a step."""

    DEPLOYS = "deploys"
    """The clusters start to match."""
    REDEPLOYS = "redeploys"
    WITHDRAWS = "withdraws"
    """The clusters stop matching."""
    LEAVES = "leaves"
    """The clusters stop matching, and deployed add-ons stay (``stopMatchingBehavior: LeavePolicies``)."""
    APPLIES = "applies"
    """An object that is not a profile takes effect."""
    REPORTS = "reports"
    """Sveltos only reports (``syncMode: DryRun``)."""
    REDUCES = "reduces"
    """The clusters still match, and some add-ons are withdrawn: fewer references, charts or documents."""
    FAILS = "fails"
    """The deployment fails and running add-ons stay: a reference is broken, or Sveltos refuses a source."""
    STANDS = "stands"
    """The clusters stop matching, and add-ons stay until the profile leaves ``syncMode: DryRun``."""
    LAST = "last"
    """The clusters get this configuration and no later one (the step changes ``syncMode`` to ``OneTime``)."""
    MAY_CHANGE = "may change"
    """A template may read what the step changes. Sveltos may not notice before the next redeployment."""
    ONCE = "once"
    """Nothing on clusters that already have a deployment (``syncMode: OneTime``)."""
    WAITS = "waits"
    """Nothing while the profile is paused."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one profile, or another selecting object, does on some clusters after a step."""

    type: EffectType
    by: ObjectKey
    clusters: tuple[ClusterRef, ...]


class WithdrawalCause(enum.StrEnum):
    """Why Sveltos withdraws add-ons from a cluster."""

    ENDED = "ended"
    """The cluster does not match after the rollback."""
    INTERRUPTED = "interrupted"
    """The cluster matches before and after the rollback, but not between two of its steps."""
    TRANSIENT = "transient"
    """The cluster matches only between two steps, neither before nor after the rollback."""
    REDUCED = "reduced"
    """The cluster matches throughout, and the profile deploys less to the cluster."""

    def describe(self, cluster: ClusterRef | str) -> str:
        """What happens to the match of a cluster, or of several clusters, as a clause without a subject."""
        return _CAUSE_TEXTS[self].format(cluster)


_CAUSE_TEXTS = {
    WithdrawalCause.ENDED: "stops matching {}",
    WithdrawalCause.INTERRUPTED: "stops matching {} for a moment, between two steps",
    WithdrawalCause.TRANSIENT: "matches {} for a moment only, between two steps",
    WithdrawalCause.REDUCED: "deploys less to {}",
}


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Add-ons that Sveltos removes from a managed cluster because of the plan."""

    profile: ObjectKey
    """A ClusterProfile or Profile; or an EventTrigger, ClusterPromotion or RoleRequest."""
    cluster: ClusterRef
    cause: WithdrawalCause
    retention_reason: str = ""
    """Why Sveltos leaves the add-ons in place: ``stopMatchingBehavior LeavePolicies``, a pause; ``""`` if removed."""
    deployed: tuple[DeployedResource | DeployedRelease, ...] | None = None
    """What the profile has deployed on the cluster and Sveltos removes; None if that is unknown."""

    @property
    def needs_consent(self) -> bool:
        """Whether Sveltos removes something from the cluster."""
        return not self.retention_reason

    @property
    def releases(self) -> int | None:
        """The number of Helm releases in ``deployed``."""
        if self.deployed is None:
            return None
        return sum(isinstance(entry, DeployedRelease) for entry in self.deployed)

    @property
    def resources(self) -> int | None:
        """The number of resources in ``deployed``."""
        if self.deployed is None:
            return None
        return sum(isinstance(entry, DeployedResource) for entry in self.deployed)

    def __str__(self) -> str:
        return f"{describe(self.profile)} {self.cause.describe(self.cluster)}: {self.consequence}"

    @property
    def consequence(self) -> str:
        """What happens to the deployed add-ons."""
        if self.cause is WithdrawalCause.TRANSIENT:
            return "what is deployed there meanwhile is withdrawn again"
        if self.retention_reason:
            return f"what it deployed stays ({self.retention_reason})"
        if self.deployed is None and self.cause is WithdrawalCause.REDUCED:
            return "a part of what it deployed is withdrawn"
        if self.deployed is None or self.profile.kind not in kinds.PROFILE_KINDS:
            return "what it deployed is withdrawn"
        if not self.deployed:
            return "nothing is deployed there"
        releases, resources = self.releases or 0, self.resources or 0
        parts = [plural(releases, "Helm release")] if releases else []
        parts += [plural(resources, "resource")] if resources else []
        return f"{' and '.join(parts)} withdrawn"


def withdrawal_lines(withdrawals: Iterable[Withdrawal]) -> list[str]:
    """A line for each withdrawal; more than three that differ only in the cluster share a line with their number."""
    alike: dict[tuple[object, ...], list[Withdrawal]] = {}
    for withdrawal in withdrawals:
        deployed = None if withdrawal.deployed is None else bool(withdrawal.deployed)
        group = (withdrawal.profile, withdrawal.cause, withdrawal.retention_reason, deployed)
        alike.setdefault(group, []).append(withdrawal)
    return [line for group in alike.values() for line in _group_lines(group)]


def _group_lines(alike: Sequence[Withdrawal]) -> Iterable[str]:
    more = len(alike) - _MOST_CLUSTERS
    if more <= 0:
        yield from map(str, alike)
        return
    named = ", ".join(str(withdrawal.cluster) for withdrawal in alike[:_MOST_CLUSTERS])
    where = f"{len(alike)} clusters ({named} and {more} more)"
    deployed = tuple(entry for withdrawal in alike for entry in withdrawal.deployed or ())
    total = replace(alike[0], deployed=None if alike[0].deployed is None else deployed)
    yield f"{describe(total.profile)} {total.cause.describe(where)}: {total.consequence}"


@dataclass(frozen=True, slots=True)
class Hold:
    """A profile that gitsnap pauses while it writes the steps that decide which clusters the profile matches."""

    profile: ObjectKey
    clusters: tuple[ClusterRef, ...]
    """The clusters that the profile matches before and after the rollback."""

    def __str__(self) -> str:
        few = len(self.clusters) <= _MOST_CLUSTERS
        kept = ", ".join(map(str, self.clusters)) if few else f"its {len(self.clusters)} clusters"
        return f"paused during the rollback, to keep {kept}"


@dataclass(frozen=True, slots=True)
class Wait:
    """What Sveltos must report in the status of a set, or of a profile, before a step is written."""

    on: ObjectKey
    shows: tuple[ClusterRef, ...] = ()
    """Clusters that the status must name."""
    lacks: tuple[ClusterRef, ...] = ()
    """Clusters that the status must no longer name."""
    former_hash: str | None = None
    """``dependenciesHash`` of a prerequisite before the rollback, which must change; None to wait for clusters."""

    def __str__(self) -> str:
        if self.former_hash is not None:
            return f"until Sveltos knows that other profiles need {describe(self.on)}"
        clusters, no_longer = self.shows or self.lacks, "" if self.shows else "no longer "
        few = ", ".join(map(str, clusters)) if len(clusters) <= _MOST_CLUSTERS else f"{len(clusters)} clusters"
        return f"until {describe(self.on)} {no_longer}{'selects' if self.on.kind in _SETS else 'matches'} {few}"


_SETS = frozenset({kinds.SET, kinds.CLUSTER_SET})


@dataclass(frozen=True, slots=True, order=True)
class Conflict:
    """A resource that a profile would deploy from another source than before. Sveltos refuses that."""

    profile: ObjectKey
    cluster: ClusterRef
    resource: ObjectKey
    source: ObjectKey
    """The ConfigMap or Secret that contains the resource after the plan."""
    former: ObjectKey
    """The source that owns the resource on the cluster."""

    def __str__(self) -> str:
        return _conflict_line(self, str(self.cluster))


def conflict_lines(conflicts: Iterable[Conflict]) -> list[str]:
    """A line for each resource, with the cluster or the number of clusters."""
    alike: dict[tuple[object, ...], list[Conflict]] = {}
    for conflict in conflicts:
        group = (conflict.profile, conflict.resource, conflict.source, conflict.former)
        alike.setdefault(group, []).append(conflict)
    return [
        _conflict_line(group[0], str(group[0].cluster) if len(group) == 1 else f"{len(group)} clusters")
        for group in alike.values()
    ]


def _conflict_line(conflict: Conflict, where: str) -> str:
    former = describe(conflict.former)
    return (
        f"{describe(conflict.profile)} would deploy {describe(conflict.resource)} from {describe(conflict.source)}"
        f" to {where}, where it belongs to {former}: Sveltos refuses that. First remove it from {former}, and wait"
        " until Sveltos has withdrawn it"
    )


@dataclass(frozen=True, slots=True)
class Retained:
    """A live object that the selection covers, that is not in the sample, and that the plan leaves alone."""

    key: ObjectKey
    reason: str
    """Why the object is not deleted."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """A change whose effect on matching clusters is unknown until Sveltos acts."""

    key: ObjectKey
    """The object that may stop matching clusters."""
    reason: str

    def __str__(self) -> str:
        return f"{describe(self.key)}: {self.reason}; what would be withdrawn is unknown"
