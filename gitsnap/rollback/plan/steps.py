"""What a plan says: steps with their reasons, and what forbids to carry it out.

Frozen values only. Documents are kept out of every ``repr``, since they may be Secrets.
This module must not decide or do anything.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gitsnap.core.model import ClusterInfo, IncompleteKind, JsonObject, Kind, ObjectKey
from gitsnap.core.text import counted, in_words
from gitsnap.rollback.plan.consequences import Conflict, Doing, Doubt, Effect, Hold, Moment, Stay, Wait, Withdraw
from gitsnap.sveltos.matching import ClusterRef


@dataclass(frozen=True, slots=True)
class Options:
    """What the person allows."""

    allow_withdraw: bool = False
    """Add-ons may be withdrawn from managed clusters, as the plan names them; also where it cannot be told."""
    allow_less: bool = False
    """Add-ons may be withdrawn by a smaller configuration from clusters that go on to match."""
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
    wait: int = 60
    """For how many seconds a step waits for Sveltos to report what the step rests on; 0 to wait for nothing."""


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
    waits: tuple[Wait, ...] = ()
    """What Sveltos must report before this step is written."""
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
    conflicts: tuple[Conflict, ...] = ()
    holds: tuple[Hold, ...] = ()
    stays: tuple[Stay, ...] = ()
    """Live objects of the selected kinds that the sample does not have, and that this plan leaves alone."""
    unread: frozenset[Kind] = frozenset()
    """Kinds that this user may not read, so that it is not known what the steps reach by them."""
    incomplete: tuple[IncompleteKind, ...] = ()
    """Kinds that could not be read when the sample was taken; objects of them are refused."""
    notes: tuple[str, ...] = ()
    """What else somebody should know who decides about it, in words."""
    spared: frozenset[ObjectKey] = frozenset()
    """Profiles that lose clusters by this plan, and clusters that lose add-ons, but would not if they were selected."""
    controller_labels: frozenset[str] = frozenset()
    """Label keys that classifiers own on clusters."""
    standing: tuple[JsonObject, ...] = field(default=(), repr=False)
    """The live objects that decide which clusters match, to judge the plan anew when a step falls out of it."""
    holdable: frozenset[ObjectKey] = frozenset()
    """Selected profiles that may be paused for the time of the rollback."""
    summaries: Mapping[ObjectKey, frozenset[ClusterRef]] = field(default_factory=dict, repr=False)
    """The clusters on which profiles in DryRun have a ClusterSummary."""

    @property
    def ways_out(self) -> tuple[str, ...]:
        """How what is withdrawn need not be, in words, a line for each profile."""
        profiles = sorted({one.profile for one in self.withdraws} & self.spared)
        clusters = sorted({one.cluster.key for one in self.withdraws} & self.spared)
        return (
            *(f"{in_words(key)} loses no cluster if it is rolled back as well" for key in profiles),
            *(f"{in_words(key)} loses no add-ons if it is rolled back as well" for key in clusters),
        )

    @property
    def reached(self) -> frozenset[ClusterRef]:
        """The managed clusters on which Sveltos does something after the steps that are written."""
        idle = {Doing.REPORTS, Doing.ONCE, Doing.WAITS, Doing.STANDS, Doing.MAY_CHANGE}
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
        numbers = Counter(step.action for step in self.steps)
        return {action: numbers[action] for action in Action}

    @property
    def blocked(self) -> tuple[str, ...]:
        """Why the plan must not be carried out as it is; empty when it may."""
        reasons = []
        if self.refused and not self.options.skip_refused:
            which = "it" if len(self.refused) == 1 else "them"
            reasons.append(
                f"{counted(len(self.refused), 'object')} cannot be rolled back; --skip-refused leaves {which} out"
            )
        deletions = self.counts[Action.DELETE]
        if self.options.prune and deletions > self.options.max_delete:
            reasons.append(
                f"{counted(deletions, 'object')} would be deleted; --max-delete allows {self.options.max_delete}"
            )
        return (*reasons, *self._unconsented())

    def _unconsented(self) -> Iterator[str]:
        """What the person has not agreed to: one flag covers all of it."""
        if self.options.allow_withdraw:
            return
        ended = [one for one in self.withdraws if one.takes and one.moment is not Moment.LESS]
        less = {(one.profile, one.cluster) for one in self.withdraws if one.moment is Moment.LESS}
        if ended:
            lost = f"{counted(len(ended), 'match')} between a profile and a cluster"
            yield f"the plan ends {lost}; --allow-withdraw accepts that"
        if less and not self.options.allow_less:
            clusters = {cluster for _, cluster in less}
            where = f"a smaller configuration withdraws add-ons from {counted(len(clusters), 'cluster')}"
            yield f"{where}; --allow-withdraw-resources accepts that"
        if self.doubts:
            yield (
                f"{counted(len(self.doubts), 'object')} may cause Sveltos to withdraw add-ons, see the uncertain lines;"
                " --allow-withdraw accepts that"
            )
        if self.conflicts:
            profiles = {one.profile for one in self.conflicts}
            yield f"{counted(len(profiles), 'profile')} would not be deployed; --allow-withdraw accepts that"
