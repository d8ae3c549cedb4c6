"""Carries out a plan: a sample before, the steps in their order, a sample after; it stops at the first failure.

What was and was not written is said exactly, and what the rollback held is released where that loses no match.
This module must not decide what is written; the plan has done so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from gitsnap.core.errors import (
    BusyError,
    ClusterUnreachableError,
    GitsnapError,
    NotFoundError,
    RefusedError,
    RollbackFailedError,
    TakenBackError,
)
from gitsnap.core.model import ObjectKey, Sample, Trigger
from gitsnap.core.ports import Cluster
from gitsnap.core.text import in_words
from gitsnap.format import Result, RollbackRecord
from gitsnap.rollback.plan import Action, Plan, Step, releasable_after
from gitsnap.rollback.planner import check_identity
from gitsnap.rollback.readiness import Settling
from gitsnap.rollback.records import Asked, Past, record_after, record_before, record_end
from gitsnap.rollback.revert import RevertResult, revert_steps
from gitsnap.rollback.rollout import RolloutStatus
from gitsnap.rollback.sender import AppliedStep, RecreationError, Sender
from gitsnap.sveltos import pausing

TakeSample = Callable[[Trigger, RollbackRecord, Collection[ObjectKey]], Sample | None]
"""Takes a sample of everything that the archive's policy captures and of these objects; its tag gets the record."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a rollback did."""

    applied: tuple[Step, ...] = ()
    failed: Step | None = None
    failure: str = ""
    """Why, in words."""
    unknown: bool = False
    """Whether the failed step may have been written all the same: the connection ended before the answer came."""
    not_tried: tuple[Step, ...] = ()
    left_out: tuple[Step, ...] = ()
    """Objects that differ and could not be rolled back (``--skip-refused``)."""
    held: tuple[ObjectKey, ...] = ()
    """Profiles that are still paused, since they would lose matches in the state that the failure left."""
    revert_result: RevertResult | None = None
    """What ``--atomic`` did after a failure."""
    before: Sample | None = None
    after: Sample | None = None
    arrivals: tuple[RolloutStatus, ...] = ()
    """What Sveltos reports afterwards, by cluster; empty where nobody waited for it."""
    after_problem: str = ""
    """Why no sample could be taken afterwards; what was written stands all the same."""


class StoppedError(RollbackFailedError):
    """A rollback stopped half-way."""

    def __init__(self, report: Report) -> None:
        super().__init__(_stopped_in_words(report))
        self.report = report


class UndoneError(TakenBackError):
    """A rollback failed half-way and was taken back."""

    def __init__(self, report: Report) -> None:
        where = in_words(report.failed.key) if report.failed else "the start"
        super().__init__(
            f"the rollback failed at {where}: {report.failure}. All that it had written was taken back",
            hint="The cluster is as it was before.",
        )
        self.report = report


def _stopped_in_words(report: Report) -> str:
    where = in_words(report.failed.key) if report.failed else "the start"
    certain = "; whether that one was written is not known" if report.unknown else ""
    done, left = len(report.applied), len(report.not_tried)
    text = f"the rollback stopped at {where}: {report.failure}{certain}. {done} written, {left} not tried"
    if report.revert_result is not None:
        text += f". Taking it back failed too, at {report.revert_result.where}: {report.revert_result.problem}"
    if report.held:
        names = ", ".join(in_words(key) for key in report.held)
        text += f". Still paused, since it would lose matches now: {names}"
    return text


def apply(
    cluster: Cluster,
    plan: Plan,
    *,
    take_sample: TakeSample | None = None,
    asked: Asked | None = None,
    atomic: bool = False,
    unfinished: Past | None = None,
    settling: Settling | None = None,
) -> Report:
    """Carry out a plan.

    ``take_sample`` is called before the first write and after the last; when the first call fails, nothing is changed.
    ``asked`` is what the samples say of who asked for what. With ``atomic``, a failure takes back what was written.
    ``unfinished`` is the newest rollback of the archive, if it never came to its end: where this plan finds nothing
    left to write of it, or to take back, a sample records that it has ended. ``settling`` waits for what Sveltos must
    report before a step; None where nobody is to wait, as for a folder of YAML.
    Raises RefusedError for a plan that is blocked, WrongClusterError, the cluster's own error when the very first
    write was refused (nothing is changed then), StoppedError with the report when it stopped half-way, and UndoneError
    when it then was taken back.
    """
    if plan.blocked:
        raise RefusedError(f"the plan is not carried out: {'; '.join(plan.blocked)}", hint="Nothing was changed.")
    check_identity(cluster.info(), plan.cluster.uid)
    if not plan.writes:
        record = record_end(plan, asked or Asked(), unfinished) if unfinished is not None else None
        after = take_sample(Trigger.AFTER_ROLLBACK, record, frozenset()) if record and take_sample else None
        return Report(left_out=plan.refused, after=after)
    return _Run(cluster, plan, take_sample, asked or Asked(), settling, atomic=atomic).run()


@dataclass(slots=True)
class _Run:
    """One rollback while it is carried out."""

    cluster: Cluster
    plan: Plan
    take_sample: TakeSample | None
    asked: Asked
    settling: Settling | None
    atomic: bool
    written: list[AppliedStep] = field(default_factory=list)
    before: Sample | None = None

    def run(self) -> Report:
        """Take the sample before, send each step, take the sample after. Raises as ``apply`` says."""
        if self.take_sample is not None:
            record = record_before(self.plan, self.asked)
            self.before = self.take_sample(Trigger.BEFORE_ROLLBACK, record, self._touched)
        sender = Sender(self.cluster, self.plan)
        steps = self.plan.writes
        try:
            for step in steps:
                self._settle(step)
                self._send(sender, step)
        except KeyboardInterrupt:
            self._failed(sender, steps, "interrupted", unknown=True)
        except GitsnapError as error:
            unknown = isinstance(error, ClusterUnreachableError) and not isinstance(error, BusyError)
            if not self._wrote_something(error, unknown=unknown) and self._release(sender):
                self._sample_after(self._report(), Result.NOTHING)
                raise
            self._failed(sender, steps, error.message, unknown=unknown)
        return self._sample_after(self._report(), Result.DONE)

    def _settle(self, step: Step) -> None:
        """Wait for what a step rests on. Raises UnsettledError."""
        if self.settling is None:
            return
        if step.action is not Action.HOLD and self.written and self.written[-1].step.action is Action.HOLD:
            self.settling.until_paused(self._held())
        self.settling.until(step.waits)

    def _send(self, sender: Sender, step: Step) -> None:
        """Send a step, once Sveltos has seen what the match of its object rests on."""
        labels = self.plan.controller_labels
        if self.settling is not None:
            self.settling.until_seen(step, labels)
        self.written.append(sender.send(step))
        if self.settling is not None:
            self.settling.wrote(step, labels)

    @property
    def _touched(self) -> frozenset[ObjectKey]:
        return frozenset(step.key for step in self.plan.writes)

    def _wrote_something(self, error: GitsnapError, *, unknown: bool) -> bool:
        """Whether a failure may have left content in the cluster, rather than nothing or only held profiles."""
        content = any(one.step.action is not Action.HOLD for one in self.written)
        return unknown or content or isinstance(error, RecreationError)

    # Failures -------------------------------------------------------------------------------------------------

    def _failed(self, sender: Sender, steps: Sequence[Step], failure: str, *, unknown: bool) -> NoReturn:
        """Raises StoppedError or UndoneError, after what can still be done was done."""
        position = len(self.written)
        step = steps[position] if position < len(steps) else None
        report = replace(
            self._report(), failed=step, failure=failure, unknown=unknown, not_tried=tuple(steps[position + 1 :])
        )
        if self.atomic:
            revert_result = revert_steps(sender, self.written, step if unknown else None, self.settling)
            report = replace(report, revert_result=revert_result)
            if not revert_result.problem:
                raise UndoneError(self._sample_after(report, Result.TAKEN_BACK))
        else:
            self._release(sender, in_doubt=step if unknown else None)
        candidates = self._held(step if unknown else None)
        raise StoppedError(replace(report, held=tuple(key for key in candidates if self._is_held(key))))

    def _release(self, sender: Sender, *, in_doubt: Step | None = None) -> bool:
        """Release the held profiles that lose no match by it as things are; whether none is left."""
        done = [one.step for one in self.written]
        safe = releasable_after(self.plan, done)
        matching_objects = {step.key: step.live for step in self.plan.writes if step.action is Action.HOLD}
        if in_doubt is not None:
            if self.settling is not None:
                self.settling.wrote(in_doubt, self.plan.controller_labels)
            safe &= releasable_after(self.plan, [*done, in_doubt])
        for key in self._held(in_doubt):
            if key in safe:
                try:
                    self._send(sender, Step(Action.RELEASE, key, live=matching_objects.get(key)))
                except GitsnapError:
                    return False
        return not self._held()

    def _held(self, in_doubt: Step | None = None) -> tuple[ObjectKey, ...]:
        """The profiles that were paused, or may have been, and that no later step let go."""
        held: dict[ObjectKey, None] = {}
        for step in (*(one.step for one in self.written), *([in_doubt] if in_doubt is not None else [])):
            if step.action is Action.HOLD:
                held[step.key] = None
            elif step is not in_doubt:
                held.pop(step.key, None)
        return tuple(held)

    def _is_held(self, key: ObjectKey) -> bool:
        """Whether a profile is held, as far as the server still answers."""
        try:
            return pausing.held(self.cluster.get(key))
        except NotFoundError:
            return False
        except GitsnapError:
            return True

    # The end --------------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        applied = tuple(one.step for one in self.written)
        return Report(applied=applied, left_out=self.plan.refused, before=self.before)

    def _sample_after(self, report: Report, result: Result) -> Report:
        if self.take_sample is None:
            return report
        try:
            record = record_after(self.plan, self.asked, self.before, result)
            return replace(report, after=self.take_sample(Trigger.AFTER_ROLLBACK, record, self._touched))
        except GitsnapError as error:
            return replace(report, after_problem=error.message)
