"""What a plan says: steps with their reasons, what would be withdrawn from managed clusters, and what forbids it.

Frozen values only. Documents are kept out of every ``repr``, since they may be Secrets.
This module must not decide or do anything.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gitsnap.model import ClusterInfo, IncompleteKind, JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import DeployedRelease, DeployedResource
from gitsnap.sveltos.matching import ClusterRef

_MOST_CLUSTERS = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What the person allows."""

    allow_withdraw: bool = False
    """Add-ons may be withdrawn from managed clusters, as the plan names them."""
    force_owned: bool = False
    """Objects that Argo CD, Flux, Helm or another controller will write again may be written."""
    skip_refused: bool = False
    """What cannot be rolled back is left out; without it, one such object holds up the whole rollback."""
    recreate: bool = False
    """A Secret of another type and an immutable object may be deleted and created anew."""
    create_namespaces: bool = False
    """Namespaces that objects need and that do not exist may be created."""
    prune: bool = False
    """Selected objects that the sample does not have may be deleted."""
    max_delete: int = 10
    """How many objects ``prune`` may delete at most."""


class Action(enum.StrEnum):
    """What a rollback does to an object."""

    CREATE = "create"
    UPDATE = "update"
    RECREATE = "recreate"
    """Deleted and created anew, since it cannot be updated."""
    DELETE = "delete"
    HOLD = "hold"
    """A profile is paused for the time of the rollback, so that it loses no match between two steps."""
    RELEASE = "release"
    UNCHANGED = "unchanged"
    REFUSE = "refuse"

    @property
    def writes(self) -> bool:
        """Whether it is a write."""
        return self not in {Action.UNCHANGED, Action.REFUSE}


class Outcome(enum.StrEnum):
    """What the server's dry run said of a step."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Trial:
    """The dry run of one step."""

    outcome: Outcome
    message: str = ""
    """Why it failed or was not tried."""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.message}" if self.message else str(self.outcome)


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


@dataclass(frozen=True, slots=True)
class Step:
    """One object of the selection."""

    action: Action
    key: ObjectKey
    reason: str = ""
    """Why it is refused; never a value of the object."""
    changed: tuple[str, ...] = ()
    """Paths of the fields that differ, sorted."""
    needs: tuple[ObjectKey, ...] = ()
    """Objects that earlier steps write and without which this one fails."""
    trial: Trial | None = None
    effects: tuple[Effect, ...] = ()
    """What Sveltos does after it, sorted."""
    archived: JsonObject | None = field(default=None, repr=False)
    """The object as the sample holds it, normalized, with real values."""
    live: JsonObject | None = field(default=None, repr=False)
    """The object as the API server gave it when the plan was made, None where it does not exist."""
    api_version: str = ""
    """The API version that the server serves, for an object to create."""

    @property
    def uid(self) -> str:
        """A precondition of the write, ``""`` for an object to create."""
        return str((self.live or {}).get("metadata", {}).get("uid", ""))

    @property
    def resource_version(self) -> str:
        """A precondition of the write, ``""`` for an object to create."""
        return str((self.live or {}).get("metadata", {}).get("resourceVersion", ""))

    @property
    def writes(self) -> bool:
        """Whether carrying out the plan writes this object."""
        return self.action.writes and not self.failed

    @property
    def failed(self) -> bool:
        """Whether the server's dry run refused it."""
        return self.trial is not None and self.trial.outcome is Outcome.FAILED

    @property
    def why_not(self) -> str:
        """Why this object cannot be rolled back, ``""`` where it can."""
        if self.action is Action.REFUSE:
            return self.reason
        return self.trial.message if self.trial is not None and self.failed else ""


class Moment(enum.StrEnum):
    """When a cluster stops matching."""

    END = "end"
    """After the rollback."""
    BETWEEN = "between"
    """Between two steps, although it matches before and after."""
    PASSING = "passing"
    """Between two steps, after it came to match between two others: it matches neither before nor after."""

    def of(self, cluster: ClusterRef) -> str:
        """What happens to the match of a cluster, in words."""
        return _MOMENTS[self].format(cluster)


_MOMENTS = {
    Moment.END: "stops matching {}",
    Moment.BETWEEN: "stops matching {} for a moment, between two steps",
    Moment.PASSING: "matches {} for a moment only, between two steps",
}


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A managed cluster that would stop matching, so that Sveltos removes there what was deployed."""

    profile: ObjectKey
    """The ClusterProfile or Profile; or an EventTrigger, ClusterPromotion or RoleRequest."""
    cluster: ClusterRef
    moment: Moment
    leaves: bool = False
    """Whether Sveltos leaves in place what it deployed (``stopMatchingBehavior: LeavePolicies``)."""
    deployed: tuple[DeployedResource | DeployedRelease, ...] | None = None
    """What is deployed there by the profile, None where that is not known."""

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
        return f"{in_words(self.profile)} {self.moment.of(self.cluster)}: {self._consequence()}"

    def _consequence(self) -> str:
        if self.moment is Moment.PASSING:
            return "what is deployed there meanwhile is withdrawn again"
        if self.leaves:
            return "what it deployed stays (stopMatchingBehavior LeavePolicies)"
        if self.deployed is None or self.profile.kind not in kinds.PROFILE_KINDS:
            return "what it deployed is withdrawn"
        if not self.deployed:
            return "nothing is deployed there"
        releases, resources = self.releases or 0, self.resources or 0
        parts = [_counted(releases, "Helm release")] if releases else []
        parts += [_counted(resources, "resource")] if resources else []
        return f"{' and '.join(parts)} withdrawn"


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollback would do, and whether it may."""

    cluster: ClusterInfo
    sample: str
    """The tag of the sample."""
    options: Options
    steps: tuple[Step, ...] = ()
    """Every selected object, those that are written in the order of writing."""
    withdraws: tuple[Withdraw, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    holds: tuple[Hold, ...] = ()
    stays: tuple[Stay, ...] = ()
    """Live objects of the selected kinds that the sample does not have, and that this plan leaves alone."""
    unread: frozenset[Kind] = frozenset()
    """Kinds that this user may not read, so that it is not known what the steps reach by them."""
    incomplete: tuple[IncompleteKind, ...] = ()
    """Kinds that could not be read when the sample was taken; objects of them are refused."""
    notes: tuple[str, ...] = ()
    controller_labels: frozenset[str] = frozenset()
    """Label keys that classifiers own on clusters."""
    standing: tuple[JsonObject, ...] = field(default=(), repr=False)
    """The live objects that decide which clusters match, to judge the plan anew when a step falls out of it."""
    holdable: frozenset[ObjectKey] = frozenset()
    """Selected profiles that may be paused for the time of the rollback."""

    @property
    def reached(self) -> frozenset[ClusterRef]:
        """The managed clusters on which Sveltos does something after the steps that are written."""
        idle = {Doing.REPORTS, Doing.ONCE, Doing.WAITS}
        found = (one.clusters for step in self.writes for one in step.effects if one.doing not in idle)
        return frozenset(cluster for clusters in found for cluster in clusters)

    @property
    def writes(self) -> tuple[Step, ...]:
        """The steps that write, in order."""
        return tuple(step for step in self.steps if step.writes)

    @property
    def refused(self) -> tuple[Step, ...]:
        """The objects that differ and cannot be rolled back."""
        return tuple(step for step in self.steps if step.why_not)

    @property
    def counts(self) -> Mapping[Action, int]:
        """How many steps of each action."""
        counted = Counter(step.action for step in self.steps)
        return {action: counted[action] for action in Action}

    @property
    def blocked(self) -> tuple[str, ...]:
        """Why the plan must not be carried out as it is; empty when it may."""
        reasons = []
        if self.refused and not self.options.skip_refused:
            reasons.append(
                f"{_counted(len(self.refused), 'object')} cannot be rolled back; --skip-refused leaves them out"
            )
        deletions = self.counts[Action.DELETE]
        if self.options.prune and deletions > self.options.max_delete:
            reasons.append(
                f"{_counted(deletions, 'object')} would be deleted; --max-delete allows {self.options.max_delete}"
            )
        if self.withdraws and not self.options.allow_withdraw:
            reasons.append(
                f"{_counted(len(self.withdraws), 'match')} of a profile and a cluster would be lost;"
                " --allow-withdraw accepts that"
            )
        if self.doubts and not self.options.allow_withdraw:
            reasons.append(
                f"for {_counted(len(self.doubts), 'object')} it cannot be told whether add-ons would be withdrawn;"
                " --allow-withdraw accepts that"
            )
        return tuple(reasons)


def in_words(key: ObjectKey) -> str:
    """``ClusterProfile guestbook``, ``ConfigMap default/database``."""
    return f"{key.kind.name} {key.namespace}/{key.name}" if key.namespace else f"{key.kind.name} {key.name}"


def _counted(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}es" if noun.endswith("ch") else f"{number} {noun}s"
