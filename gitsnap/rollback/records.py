"""The rollback records in sample tags: the records of a new rollback, and the rollbacks that an archive records.

A rollback writes one record in the sample before it and one in the sample after it. A rollback without the second
record stopped half-way or was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import Sample, Trigger
from gitsnap.core.states import State, cluster_of
from gitsnap.format import Result, RollbackRecord, parse_record
from gitsnap.rollback.plan import Action, Plan, plan_hash


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """Who requested a rollback, and with which command."""

    command: str = ""
    """The command without ``gitsnap``, archive and kubeconfig: ``rollback --sample … --clusterprofile guestbook``."""
    user: str = ""
    """The user of the operating system."""
    origin: str = ""
    """The uid of the sample's cluster, if the rollback writes to another cluster."""
    undoes: str = ""
    """For an undo: the tag of the sample before the undone rollback."""


def record_before(plan: Plan, request: RecordedRequest) -> RollbackRecord:
    """The record in the sample before the rollback."""
    return RollbackRecord(
        plan=plan_hash(plan),
        target=plan.sample,
        objects=tuple((str(step.action), step.key) for step in plan.writes if step.action is not Action.RELEASE),
        command=request.command,
        undoes=request.undoes,
        origin=request.origin,
        user=request.user,
        cluster_user=plan.cluster.user,
    )


def record_after(plan: Plan, request: RecordedRequest, before: Sample | None, result: Result) -> RollbackRecord:
    """The record in the sample after the rollback."""
    return RollbackRecord(
        plan=plan_hash(plan),
        target=plan.sample,
        undoes=request.undoes,
        user=request.user,
        cluster_user=plan.cluster.user,
        before=before.tag if before else "",
        result=result,
    )


def record_end(plan: Plan, request: RecordedRequest, past: PastRollback) -> RollbackRecord | None:
    """The record that ends an unfinished rollback, for a plan that has nothing left to write.

    None if the plan does not prove that the rollback is complete: the plan has other objects or another sample, or it
    refuses some objects.
    """
    undone = request.undoes == past.before.tag
    same_goal = not request.undoes and (plan.sample, request.origin) == (past.record.target, past.record.origin)
    planned = {step.key for step in plan.steps} | {retained.key for retained in plan.retained}
    complete = planned >= {key for action, key in past.record.objects if action != Action.HOLD}
    if plan.refused or not (undone or (same_goal and complete)):
        return None
    return RollbackRecord(
        plan=past.record.plan,
        target=past.record.target,
        undoes=past.record.undoes,
        user=request.user,
        cluster_user=plan.cluster.user,
        before=past.before.tag,
        result=Result.REVERTED if undone else Result.DONE,
    )


@dataclass(frozen=True, slots=True)
class PastRollback:
    """A past rollback that the archive records."""

    before: Sample
    record: RollbackRecord
    """The record in the sample before the rollback."""
    result: str = ""
    """A ``Result``; ``""`` for a rollback that stopped half-way or was killed."""
    after: Sample | None = None
    """The sample with the result; None if there is none."""

    @property
    def finished(self) -> bool:
        """Whether the rollback has a record of its end."""
        return bool(self.result)

    @property
    def changed_something(self) -> bool:
        """Whether the rollback left changes in the cluster."""
        return self.result not in (Result.NOTHING, Result.REVERTED)

    @property
    def last_former_state(self) -> Sample:
        """The newest sample of the state before the rollback: the sample after it if the rollback changed nothing."""
        return self.before if self.changed_something or self.after is None else self.after


def past_rollbacks(samples: Sequence[Sample]) -> list[PastRollback]:
    """The rollbacks whose sample before still exists, oldest first. ``samples`` are sorted, oldest first."""
    ends: dict[str, tuple[str, Sample]] = {}
    started: list[tuple[Sample, RollbackRecord]] = []
    for sample in samples:
        record = parse_record(sample.metadata.extra)
        if record is not None and sample.metadata.trigger is Trigger.BEFORE_ROLLBACK and record.objects:
            started.append((sample, record))
        elif record is not None and record.before:
            ends[record.before] = (record.result or Result.DONE, sample)
    return [PastRollback(sample, record, *ends.get(sample.tag, ("", None))) for sample, record in started]


def unfinished(samples: Sequence[Sample]) -> PastRollback | None:
    """The newest rollback if it stopped half-way or was killed, else None."""
    past = past_rollbacks(samples)
    return past[-1] if past and not past[-1].finished else None


@dataclass(frozen=True, slots=True)
class SampleOrigin:
    """A sample and the rollback that it was taken for. A change was made for none."""

    sample: State
    rollback: PastRollback | None = None
    """The rollback that the sample was taken before or after; None for any other sample."""
    undo_returns: bool = False
    """Whether `gitsnap undo`, without options, goes back to this sample."""

    @property
    def before(self) -> bool:
        """Whether the sample is the state before the rollback, rather than after it."""
        return self.rollback is not None and self.rollback.before == self.sample


def origin_of(sample: State, samples: Sequence[Sample]) -> SampleOrigin:
    """The rollback that a sample was taken for. ``samples``: the samples of the same cluster, oldest first."""
    if not isinstance(sample, Sample):
        return SampleOrigin(sample)
    past = past_rollbacks(samples)
    record = parse_record(sample.metadata.extra)
    before = record.before if record is not None else ""
    rollback = next((entry for entry in past if entry.before == sample or entry.before.tag == before), None)
    changed = [entry for entry in past if entry.changed_something]
    return SampleOrigin(sample, rollback, undo_returns=bool(changed) and changed[-1].before == sample)


def sample_with_created(
    samples: Sequence[Sample], past: PastRollback, find_state: Callable[[str], State | None]
) -> State | None:
    """The state with the objects that a rollback created: its target, else the sample after the rollback, else None.

    ``find_state`` returns the sample with a tag or the change with a commit id, None if there is none.
    """
    target = find_state(past.record.target)
    if target is not None and cluster_of(target) == (past.record.origin or past.before.metadata.cluster):
        return target
    for sample in samples:
        record = parse_record(sample.metadata.extra)
        if record is not None and record.before == past.before.tag and record.result == Result.DONE:
            return sample
    return None


def rollback_to_undo(samples: Sequence[Sample], of: str = "") -> PastRollback:
    """The newest rollback that changed something, or the rollback after the sample ``of``.

    ``of`` is the tag of the sample before the rollback, with or without the policy, or its time.
    Raises NotFoundError if there is no such rollback.
    """
    rollbacks = past_rollbacks(samples)
    if not of:
        changed = [rollback for rollback in rollbacks if rollback.changed_something]
        if not changed:
            raise NotFoundError(
                "there is no rollback to undo in this archive",
                hint="`gitsnap list --wide` shows the samples; `gitsnap rollback SAMPLE` rolls back to one.",
            )
        return changed[-1]
    named = [rollback for rollback in rollbacks if of in _names(rollback.before)]
    if not named:
        newest = ", ".join(rollback.before.tag for rollback in rollbacks[-3:]) or "none"
        raise NotFoundError(
            f"{of} is not a sample that was taken before a rollback", hint=f"The newest of these samples: {newest}."
        )
    return named[-1]


def _names(sample: Sample) -> tuple[str, str, str]:
    """The names that ``--of`` accepts for a sample."""
    return sample.tag, sample.moment, sample.tag.rpartition("/")[2]
