"""A plan: its steps with their reasons, its consequences, and what blocks it.

These are frozen values. No ``repr`` contains a document, because a document may be a Secret.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gitsnap.core.model import IncompleteKind, JsonObject, Kind, ObjectKey, SensitiveField
from gitsnap.core.ports import ClusterInfo
from gitsnap.core.text import describe, plural
from gitsnap.rollback.plan.cluster_effects import (
    Conflict,
    Effect,
    EffectType,
    Hold,
    Retained,
    Uncertainty,
    Wait,
    Withdrawal,
    WithdrawalCause,
)
from gitsnap.rollback.plan.unselected import Unselected
from gitsnap.sveltos.matching import ClusterRef


@dataclass(frozen=True, slots=True)
class Options:
    """The options that permit steps. The field names are part of the plan file."""

    allow_withdraw: bool = False
    """Add-ons may be withdrawn from managed clusters: those that the plan names, and those that it cannot determine."""
    allow_less: bool = False
    """A smaller configuration may withdraw add-ons from clusters that still match."""
    force_owned: bool = False
    """Objects may be written although Argo CD, Flux, Helm or another controller owns them and may overwrite them."""
    skip_refused: bool = False
    """Objects that cannot be rolled back are left out. Otherwise a single such object blocks the whole rollback."""
    recreate: bool = False
    """Objects whose changes the API server forbids (immutable data, the type of a Secret) may be recreated."""
    create_namespaces: bool = False
    """Missing namespaces of selected objects may be created."""
    prune: bool = False
    """Selected objects that are not in the sample may be deleted."""
    max_delete: int = 10
    """The maximum number of objects that ``prune`` may delete."""
    wait: int = 60
    """How many seconds a step waits until Sveltos reports what the step depends on; 0 disables waiting."""


class Action(enum.StrEnum):
    """What a rollback does to an object."""

    CREATE = "create"
    UPDATE = "update"
    RECREATE = "recreate"
    """Deleted and created again, because the API server does not allow the update."""
    DELETE = "delete"
    HOLD = "hold"
    """Pause a profile during the rollback, so that it loses no match between two steps."""
    RELEASE = "release"
    UNCHANGED = "unchanged"
    REFUSE = "refuse"

    @property
    def writes(self) -> bool:
        """Whether the action writes to the cluster."""
        return self not in {Action.UNCHANGED, Action.REFUSE}


class Outcome(enum.StrEnum):
    """The outcome of a step's dry run on the API server."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """The dry run of one step on the API server."""

    outcome: Outcome
    message: str = ""
    """Why the step failed or was not tried."""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.message}" if self.message else str(self.outcome)


@dataclass(frozen=True, slots=True)
class Step:
    """One object of a plan, and the action for it."""

    action: Action
    key: ObjectKey
    reason: str = ""
    """Why the plan takes or refuses the action. Never contains a value of the object."""
    changed: tuple[str, ...] = ()
    """Paths of the fields that differ, sorted."""
    needs: tuple[ObjectKey, ...] = ()
    """Objects that earlier steps write and that this step requires."""
    dry_run: DryRunResult | None = None
    """None before the dry run, and for a step that does not write."""
    waits: tuple[Wait, ...] = ()
    """What Sveltos must report before this step is written."""
    effects: tuple[Effect, ...] = ()
    """What Sveltos does after the step, sorted."""
    archived: JsonObject | None = field(default=None, repr=False)
    """The object as the sample contains it, normalized, with real values."""
    live: JsonObject | None = field(default=None, repr=False)
    """The live object when the plan was made, as the API server returned it; None if it does not exist."""
    api_version: str = ""
    """For an object to create: the API version that the server serves."""

    @property
    def uid(self) -> str:
        """The uid that the object must still have when the step is written; ``""`` for an object to create."""
        return str((self.live or {}).get("metadata", {}).get("uid", ""))

    @property
    def resource_version(self) -> str:
        """The resource version of the live object; ``""`` for an object to create."""
        return str((self.live or {}).get("metadata", {}).get("resourceVersion", ""))

    @property
    def writes(self) -> bool:
        """Whether applying the plan writes this object."""
        return self.action.writes and not self.failed

    @property
    def failed(self) -> bool:
        """Whether the server's dry run rejected the step."""
        return self.dry_run is not None and self.dry_run.outcome is Outcome.FAILED

    @property
    def refusal(self) -> str:
        """Why this object cannot be rolled back; ``""`` if it can."""
        if self.action is Action.REFUSE:
            return self.reason
        return self.dry_run.message if self.dry_run is not None and self.failed else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a rollback, and their consequences for managed clusters."""

    cluster: ClusterInfo
    sample: str
    """The tag of the sample."""
    options: Options
    steps: tuple[Step, ...] = ()
    """A step for each selected object, and the steps that hold profiles; steps that write are in writing order."""
    withdrawals: tuple[Withdrawal, ...] = ()
    uncertainties: tuple[Uncertainty, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    holds: tuple[Hold, ...] = ()
    retained: tuple[Retained, ...] = ()
    """Live objects of the selected kinds that are not in the sample and that the plan leaves alone."""
    unread: frozenset[Kind] = frozenset()
    """Kinds that this user may not read. The effects of the steps through these kinds are unknown."""
    incomplete: tuple[IncompleteKind, ...] = ()
    """Kinds that could not be read when the sample was taken. Their objects are refused."""
    notes: tuple[str, ...] = ()
    """Further facts for the user who reviews the plan."""
    is_partial: bool = False
    """Whether the selection leaves out objects of the sample. An undo leaves no object out."""
    unselected: tuple[Unselected, ...] = ()
    """Objects that differ from the sample and that the selection leaves out."""
    avoidable: frozenset[ObjectKey] = frozenset()
    """Profiles that lose clusters, and clusters that lose add-ons, only because they are not selected."""
    sensitive_fields: tuple[SensitiveField, ...] = ()
    """The fields of other kinds than Secret whose values the plan does not show."""
    controller_labels: frozenset[str] = frozenset()
    """Label keys that classifiers own on clusters."""
    matching_objects: tuple[JsonObject, ...] = field(default=(), repr=False)
    """The live objects of MATCHING_KINDS, to order the steps again when a step drops out of the plan."""
    pausable: frozenset[ObjectKey] = frozenset()
    """Selected profiles that may be paused during the rollback."""
    summary_clusters: Mapping[ObjectKey, frozenset[ClusterRef]] = field(default_factory=dict, repr=False)
    """For each profile in DryRun: the clusters that have a ClusterSummary of the profile."""

    @property
    def suggestions(self) -> tuple[str, ...]:
        """A line for each profile or cluster that would avoid a withdrawal if it were selected as well, sorted."""
        profiles = sorted({withdrawal.profile for withdrawal in self.withdrawals} & self.avoidable)
        clusters = sorted({withdrawal.cluster.key for withdrawal in self.withdrawals} & self.avoidable)
        return (
            *(f"{describe(key)} loses no cluster if it is rolled back as well" for key in profiles),
            *(f"{describe(key)} loses no add-ons if it is rolled back as well" for key in clusters),
        )

    @property
    def reached(self) -> frozenset[ClusterRef]:
        """The managed clusters on which the steps make Sveltos deploy or withdraw something."""
        idle = {EffectType.REPORTS, EffectType.ONCE, EffectType.WAITS, EffectType.STANDS, EffectType.MAY_CHANGE}
        effects = (effect for step in self.writes for effect in step.effects if effect.type not in idle)
        return frozenset(cluster for effect in effects for cluster in effect.clusters)

    @property
    def writes(self) -> tuple[Step, ...]:
        """The steps that write, in writing order."""
        return tuple(step for step in self.steps if step.writes)

    @property
    def refused(self) -> tuple[Step, ...]:
        """The steps of objects that differ from the sample and cannot be rolled back."""
        return tuple(step for step in self.steps if step.refusal)

    @property
    def counts(self) -> Mapping[Action, int]:
        """The number of steps for each action."""
        numbers = Counter(step.action for step in self.steps)
        return {action: numbers[action] for action in Action}

    @property
    def blocked(self) -> tuple[str, ...]:
        """The reasons against applying the plan, each with the option that overrides it; empty if there are none."""
        reasons = []
        if self.refused and not self.options.skip_refused:
            which = "it" if len(self.refused) == 1 else "them"
            reasons.append(
                f"{plural(len(self.refused), 'object')} cannot be rolled back; --skip-refused leaves {which} out"
            )
        deletions = self.counts[Action.DELETE]
        if self.options.prune and deletions > self.options.max_delete:
            reasons.append(
                f"{plural(deletions, 'object')} would be deleted; --max-delete allows {self.options.max_delete}"
            )
        return (*reasons, *self._unaccepted_consequences())

    def _unaccepted_consequences(self) -> Iterator[str]:
        """The consequences that need --allow-withdraw, which accepts all of them."""
        if self.options.allow_withdraw:
            return
        reduced = [entry for entry in self.withdrawals if entry.cause is WithdrawalCause.REDUCED]
        ended = [
            entry for entry in self.withdrawals if entry.needs_consent and entry.cause is not WithdrawalCause.REDUCED
        ]
        if ended:
            lost = f"{plural(len(ended), 'match')} between a profile and a cluster"
            yield f"the plan ends {lost}; --allow-withdraw accepts that"
        if reduced and not self.options.allow_less:
            clusters = {entry.cluster for entry in reduced}
            where = f"a smaller configuration withdraws add-ons from {plural(len(clusters), 'cluster')}"
            yield f"{where}; --allow-withdraw-resources accepts that"
        if self.uncertainties:
            yield (
                f"{plural(len(self.uncertainties), 'object')} may cause Sveltos to withdraw add-ons, see the uncertain"
                " lines; --allow-withdraw accepts that"
            )
        if self.conflicts:
            profiles = {conflict.profile for conflict in self.conflicts}
            yield f"{plural(len(profiles), 'profile')} would not be deployed; --allow-withdraw accepts that"
