"""What the samples around a rollback say of it, and what they tell later: the last rollback, and whether it finished.

This module must not take samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import Sample, Trigger
from gitsnap.format import Result, RollbackRecord, parse_record
from gitsnap.rollback.plan import Action, Plan, plan_hash


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for a rollback, and in which words."""

    command: str = ""
    """``rollback --sample … --clusterprofile guestbook``."""
    user: str = ""
    """The user of the operating system."""
    origin: str = ""
    """Uid of the cluster that the sample is of, where that is another one."""
    undoes: str = ""
    """Tag of the sample before the rollback that this one undoes."""


def record_before(plan: Plan, asked: Asked) -> RollbackRecord:
    """What the sample before says."""
    return RollbackRecord(
        plan=plan_hash(plan),
        target=plan.sample,
        objects=tuple((str(step.action), step.key) for step in plan.writes if step.action is not Action.RELEASE),
        command=asked.command,
        undoes=asked.undoes,
        origin=asked.origin,
        user=asked.user,
        cluster_user=plan.cluster.user,
    )


def record_after(plan: Plan, asked: Asked, before: Sample | None, result: Result) -> RollbackRecord:
    """What the sample after says."""
    return RollbackRecord(
        plan=plan_hash(plan),
        target=plan.sample,
        undoes=asked.undoes,
        user=asked.user,
        cluster_user=plan.cluster.user,
        before=before.tag if before else "",
        result=result,
    )


def record_end(plan: Plan, asked: Asked, past: Past) -> RollbackRecord | None:
    """What a sample says that ends a rollback which was killed, when a plan has found nothing to write any more.

    None where the plan does not tell: it is about other objects, goes elsewhere, or was refused some of them.
    """
    undone = asked.undoes == past.before.tag
    same_goal = not asked.undoes and (plan.sample, asked.origin) == (past.record.target, past.record.origin)
    looked_at = {step.key for step in plan.steps} | {one.key for one in plan.stays}
    whole = looked_at >= {key for action, key in past.record.objects if action != Action.HOLD}
    if plan.refused or not (undone or (same_goal and whole)):
        return None
    return RollbackRecord(
        plan=past.record.plan,
        target=past.record.target,
        undoes=past.record.undoes,
        user=asked.user,
        cluster_user=plan.cluster.user,
        before=past.before.tag,
        result=Result.TAKEN_BACK if undone else Result.DONE,
    )


@dataclass(frozen=True, slots=True)
class Past:
    """A rollback of the past, as the archive tells it."""

    before: Sample
    record: RollbackRecord
    """What the sample before says."""
    result: str = ""
    """A Result; ``""`` for a rollback that stopped half-way or was killed."""

    @property
    def finished(self) -> bool:
        """Whether it came to an end that is no failure half-way."""
        return bool(self.result)

    @property
    def changed_something(self) -> bool:
        """Whether anything of it is left in the cluster."""
        return self.result not in (Result.NOTHING, Result.TAKEN_BACK)


def past_rollbacks(samples: Sequence[Sample]) -> list[Past]:
    """All rollbacks whose sample before is still there, oldest first."""
    results: dict[str, str] = {}
    begun: list[tuple[Sample, RollbackRecord]] = []
    for sample in samples:
        record = parse_record(sample.metadata.extra)
        if record is not None and sample.metadata.trigger is Trigger.BEFORE_ROLLBACK and record.objects:
            begun.append((sample, record))
        elif record is not None and record.before:
            results[record.before] = record.result or Result.DONE
    return [Past(sample, record, results.get(sample.tag, "")) for sample, record in begun]


def unfinished(samples: Sequence[Sample]) -> Past | None:
    """The newest rollback, if it stopped half-way or was killed."""
    past = past_rollbacks(samples)
    return past[-1] if past and not past[-1].finished else None


def sample_made(samples: Sequence[Sample], past: Past) -> Sample | None:
    """The sample that has what a rollback created: its target or, where that is gone or elsewhere, the one after it.

    None where there is neither.
    """
    cluster = past.record.origin or past.before.metadata.cluster
    for sample in samples:
        if sample.tag == past.record.target and sample.metadata.cluster == cluster:
            return sample
    for sample in samples:
        record = parse_record(sample.metadata.extra)
        if record is not None and record.before == past.before.tag and record.result == Result.DONE:
            return sample
    return None


def rollback_to_undo(samples: Sequence[Sample], of: str = "") -> Past:
    """The newest rollback that changed something; ``of`` names another one by the tag of its sample before.

    Raises NotFoundError when there is none.
    """
    past = past_rollbacks(samples)
    if of:
        named = [one for one in past if of in (one.before.tag, one.before.moment, one.before.tag.rpartition("/")[2])]
        if not named:
            known = ", ".join(one.before.tag for one in past[-3:]) or "none"
            raise NotFoundError(
                f"{of} is no sample that was taken before a rollback", hint=f"The newest of these samples: {known}."
            )
        return named[-1]
    changed = [one for one in past if one.changed_something]
    if not changed:
        raise NotFoundError(
            "there is no rollback to undo in this archive",
            hint="`gitsnap list --wide` shows the samples; `gitsnap rollback --sample SAMPLE` goes back to one.",
        )
    return changed[-1]
