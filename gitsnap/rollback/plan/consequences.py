"""What a plan means for managed clusters: what Sveltos does there, what would be lost, held, or cannot be told.

Frozen values with their words. This module must not work any of it out.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gitsnap.core.model import ObjectKey
from gitsnap.core.text import counted, in_words
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import DeployedRelease, DeployedResource
from gitsnap.sveltos.matching import ClusterRef

_MOST_CLUSTERS = 3


class Doing(enum.StrEnum):
    """What Sveltos does on managed clusters after a step."""

    DEPLOYS = "deploys"
    """The clusters come to match."""
    REDEPLOYS = "redeploys"
    WITHDRAWS = "withdraws"
    """The clusters stop matching."""
    LEAVES = "leaves"
    """They stop matching, and what is there stays (``stopMatchingBehavior: LeavePolicies``)."""
    APPLIES = "applies"
    """Of a kind that is no profile: it takes effect there."""
    REPORTS = "reports"
    """Nothing but a report (``syncMode: DryRun``)."""
    REDUCES = "reduces"
    """The clusters match as before, and a part of what is deployed goes: fewer references, charts or documents."""
    FAILS = "fails"
    """The deployment fails, and what is there stays: a reference leads nowhere, or a source is refused."""
    STANDS = "stands"
    """They stop matching, and what is there stays until the profile leaves ``syncMode: DryRun``."""
    LAST = "last"
    """The clusters get this configuration and no later one (a change to ``syncMode: OneTime``)."""
    MAY_CHANGE = "may change"
    """A template may read what the step changes; Sveltos may not notice before the next redeployment."""
    ONCE = "once"
    """Nothing where it was deployed before (``syncMode: OneTime``)."""
    WAITS = "waits"
    """Nothing as long as the profile is paused."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one profile, or one object that acts like it, does after a step."""

    doing: Doing
    by: ObjectKey
    clusters: tuple[ClusterRef, ...]


class Moment(enum.StrEnum):
    """When a cluster stops matching."""

    END = "end"
    """After the rollback."""
    BETWEEN = "between"
    """Between two steps, although it matches before and after."""
    PASSING = "passing"
    """Between two steps, after it came to match between two others: it matches neither before nor after."""
    LESS = "less"
    """It matches all the time, and the profile deploys less to it."""

    def of(self, cluster: ClusterRef | str) -> str:
        """What happens to the match of a cluster, or of several, in words."""
        return _MOMENTS[self].format(cluster)


_MOMENTS = {
    Moment.END: "stops matching {}",
    Moment.BETWEEN: "stops matching {} for a moment, between two steps",
    Moment.PASSING: "matches {} for a moment only, between two steps",
    Moment.LESS: "deploys less to {}",
}


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A managed cluster that would stop matching, so that Sveltos removes there what was deployed."""

    profile: ObjectKey
    """The ClusterProfile or Profile; or an EventTrigger, ClusterPromotion or RoleRequest."""
    cluster: ClusterRef
    moment: Moment
    stays: str = ""
    """Why Sveltos leaves in place what it deployed, in words: ``stopMatchingBehavior LeavePolicies``, a pause."""
    deployed: tuple[DeployedResource | DeployedRelease, ...] | None = None
    """What is deployed there by the profile, None where that is not known."""

    @property
    def takes(self) -> bool:
        """Whether something is taken from the cluster, so that it needs consent."""
        return not self.stays

    @property
    def releases(self) -> int | None:
        """Helm releases that would go."""
        if self.deployed is None:
            return None
        return sum(isinstance(entry, DeployedRelease) for entry in self.deployed)

    @property
    def resources(self) -> int | None:
        """Resources that would go."""
        if self.deployed is None:
            return None
        return sum(isinstance(entry, DeployedResource) for entry in self.deployed)

    def __str__(self) -> str:
        return f"{in_words(self.profile)} {self.moment.of(self.cluster)}: {self.consequence}"

    @property
    def consequence(self) -> str:
        """What becomes of what is deployed there, in words."""
        if self.moment is Moment.PASSING:
            return "what is deployed there meanwhile is withdrawn again"
        if self.stays:
            return f"what it deployed stays ({self.stays})"
        if self.deployed is None and self.moment is Moment.LESS:
            return "a part of what it deployed is withdrawn"
        if self.deployed is None or self.profile.kind not in kinds.PROFILE_KINDS:
            return "what it deployed is withdrawn"
        if not self.deployed:
            return "nothing is deployed there"
        releases, resources = self.releases or 0, self.resources or 0
        parts = [counted(releases, "Helm release")] if releases else []
        parts += [counted(resources, "resource")] if resources else []
        return f"{' and '.join(parts)} withdrawn"


def summed_up(withdraws: Iterable[Withdraw]) -> list[str]:
    """A line for each, or for all that are alike where they are many: how many clusters, the first of them by name."""
    alike: dict[tuple[object, ...], list[Withdraw]] = {}
    for one in withdraws:
        deployed = None if one.deployed is None else bool(one.deployed)
        alike.setdefault((one.profile, one.moment, one.stays, deployed), []).append(one)
    return [line for group in alike.values() for line in _in_lines(group)]


def _in_lines(alike: Sequence[Withdraw]) -> Iterable[str]:
    more = len(alike) - _MOST_CLUSTERS
    if more <= 0:
        yield from map(str, alike)
        return
    named = ", ".join(str(one.cluster) for one in alike[:_MOST_CLUSTERS])
    where = f"{len(alike)} clusters ({named} and {more} more)"
    deployed = tuple(entry for one in alike for entry in one.deployed or ())
    together = replace(alike[0], deployed=None if alike[0].deployed is None else deployed)
    yield f"{in_words(together.profile)} {together.moment.of(where)}: {together.consequence}"


@dataclass(frozen=True, slots=True)
class Hold:
    """A profile that is paused while the steps that decide about its matches are written."""

    profile: ObjectKey
    clusters: tuple[ClusterRef, ...]
    """The clusters that it matches before and after, and is not to lose in between."""

    def __str__(self) -> str:
        few = len(self.clusters) <= _MOST_CLUSTERS
        kept = ", ".join(map(str, self.clusters)) if few else f"its {len(self.clusters)} clusters"
        return f"paused meanwhile, to keep {kept}"


@dataclass(frozen=True, slots=True)
class Wait:
    """What Sveltos must report in the status of a set, or of a profile, before a step is written."""

    on: ObjectKey
    shows: tuple[ClusterRef, ...] = ()
    """Clusters that the status must name."""
    lacks: tuple[ClusterRef, ...] = ()
    """Clusters that the status must not name any more."""
    former_hash: str | None = None
    """``dependenciesHash`` of a prerequisite before the rollback, which Sveltos must have written anew; None if not."""

    def __str__(self) -> str:
        if self.former_hash is not None:
            return f"until Sveltos knows that other profiles need {in_words(self.on)}"
        shown, lacking = self.shows or self.lacks, "" if self.shows else "no longer "
        few = ", ".join(map(str, shown)) if len(shown) <= _MOST_CLUSTERS else f"{len(shown)} clusters"
        return f"until {in_words(self.on)} {lacking}{'selects' if self.on.kind in _SETS else 'matches'} {few}"


_SETS = frozenset({kinds.SET, kinds.CLUSTER_SET})


@dataclass(frozen=True, slots=True, order=True)
class Conflict:
    """A resource that a profile is to deploy from another object than before, which Sveltos refuses."""

    profile: ObjectKey
    cluster: ClusterRef
    resource: ObjectKey
    source: ObjectKey
    """The ConfigMap or Secret that has the resource after the plan."""
    former: ObjectKey
    """The one that the resource on the cluster belongs to."""

    def __str__(self) -> str:
        return _conflict(self, str(self.cluster))


def conflict_lines(conflicts: Iterable[Conflict]) -> list[str]:
    """A line for each resource, with the number of clusters."""
    alike: dict[tuple[object, ...], list[Conflict]] = {}
    for one in conflicts:
        alike.setdefault((one.profile, one.resource, one.source, one.former), []).append(one)
    return [
        _conflict(group[0], str(group[0].cluster) if len(group) == 1 else f"{len(group)} clusters")
        for group in alike.values()
    ]


def _conflict(one: Conflict, where: str) -> str:
    former = in_words(one.former)
    return (
        f"{in_words(one.profile)} is to deploy {in_words(one.resource)} from {in_words(one.source)} to {where}, where"
        f" it belongs to {former}: Sveltos refuses that. First take it out of {former}, and wait until Sveltos has"
        " withdrawn it"
    )


@dataclass(frozen=True, slots=True)
class Stay:
    """A live object that the selection covers and the sample does not have, and that is left alone."""

    key: ObjectKey
    reason: str
    """Why it is not deleted."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A change whose effect on what clusters match cannot be worked out before Sveltos acts."""

    key: ObjectKey
    """What may stop matching clusters."""
    reason: str

    def __str__(self) -> str:
        return f"{in_words(self.key)}: {self.reason}; it cannot be told what would be withdrawn"
