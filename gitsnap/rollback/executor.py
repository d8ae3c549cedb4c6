"""Applies a plan: takes a sample, writes the steps in order, takes another sample, and stops at the first failure.

The report names what was and was not written. After a failure, the held profiles that lose no match are released.
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
    RollbackRevertedError,
    WrongClusterError,
)
from gitsnap.core.model import ObjectKey, Sample, Trigger
from gitsnap.core.ports import Cluster
from gitsnap.core.text import describe
from gitsnap.format import Result, RollbackRecord
from gitsnap.rollback.plan import Action, Plan, Step, releasable_after
from gitsnap.rollback.readiness import ReadinessWaiter
from gitsnap.rollback.records import PastRollback, RecordedRequest, record_after, record_before, record_end
from gitsnap.rollback.revert import RevertResult, revert_steps
from gitsnap.rollback.rollout import RolloutStatus
from gitsnap.rollback.sender import AppliedStep, RecreationError, Sender
from gitsnap.sveltos import pausing

TakeSample = Callable[[Trigger, RollbackRecord, Collection[ObjectKey]], Sample | None]
"""Takes a sample of the objects that the policy captures and of the objects passed. Its tag contains the record."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a rollback wrote, and what it did not write."""

    applied: tuple[Step, ...] = ()
    failed: Step | None = None
    failure: str = ""
    """Why ``failed`` failed."""
    unknown: bool = False
    """Whether ``failed`` may have been written: the connection was lost before the response."""
    not_tried: tuple[Step, ...] = ()
    left_out: tuple[Step, ...] = ()
    """Steps of objects that could not be rolled back (``--skip-refused``)."""
    held: tuple[ObjectKey, ...] = ()
    """Profiles that are still paused, because they would lose matches in the state after the failure."""
    revert_result: RevertResult | None = None
    """The revert after a failure (``--atomic``)."""
    before: Sample | None = None
    after: Sample | None = None
    rollout: tuple[RolloutStatus, ...] = ()
    """What Sveltos reports after the rollback, by cluster; empty if the rollback did not wait."""
    after_problem: str = ""
    """Why the sample after the rollback could not be taken. The rollback itself is complete."""


class StoppedError(RollbackFailedError):
    """A rollback stopped half-way."""

    def __init__(self, report: Report) -> None:
        super().__init__(_stop_message(report))
        self.report = report


class RevertedError(RollbackRevertedError):
    """A rollback failed half-way and was reverted."""

    def __init__(self, report: Report) -> None:
        where = describe(report.failed.key) if report.failed else "the start"
        super().__init__(
            f"the rollback failed at {where}: {report.failure}. Everything that it had written was reverted",
            hint="The cluster is as it was before.",
        )
        self.report = report


def _stop_message(report: Report) -> str:
    where = describe(report.failed.key) if report.failed else "the start"
    unknown = "; it is unknown whether this object was written" if report.unknown else ""
    written, not_tried = len(report.applied), len(report.not_tried)
    text = f"the rollback stopped at {where}: {report.failure}{unknown}. {written} written, {not_tried} not tried"
    if report.revert_result is not None:
        text += f". The revert failed too, at {report.revert_result.failed_at}: {report.revert_result.problem}"
    if report.held:
        names = ", ".join(describe(key) for key in report.held)
        text += f". Still paused, to keep matches that a release would end: {names}"
    return text


def apply(
    cluster: Cluster,
    plan: Plan,
    *,
    take_sample: TakeSample | None = None,
    request: RecordedRequest | None = None,
    atomic: bool = False,
    unfinished: PastRollback | None = None,
    waiter: ReadinessWaiter | None = None,
) -> Report:
    """Apply a plan.

    ``take_sample`` is called before the first write and after the last one. If the first call fails, nothing is
    changed. ``request`` goes into the records of these samples. With ``atomic``, a failure reverts what was written.
    ``unfinished`` is the newest rollback of the archive if it did not finish. If the plan has nothing left to write or
    undo, a sample records the end of that rollback. ``waiter`` waits for the reports of Sveltos on which a step
    depends; None disables waiting, as for a folder of YAML.
    Raises RefusedError for a blocked plan; WrongClusterError; the cluster's own error if the first write failed and
    nothing is changed; StoppedError if the rollback stopped half-way; and RevertedError if it was then reverted. The
    last two have the report.
    """
    if plan.blocked:
        raise RefusedError(f"the plan is not applied: {'; '.join(plan.blocked)}", hint="Nothing was changed.")
    if (info := cluster.info()).uid != plan.cluster.uid:
        raise WrongClusterError(
            f"{info.description} is the cluster {info.uid}, not {plan.cluster.uid}",
            hint="Choose the right --context. Nothing was changed.",
        )
    if not plan.writes:
        record = record_end(plan, request or RecordedRequest(), unfinished) if unfinished is not None else None
        after = take_sample(Trigger.AFTER_ROLLBACK, record, frozenset()) if record and take_sample else None
        return Report(left_out=plan.refused, after=after)
    return _Application(cluster, plan, take_sample, request or RecordedRequest(), waiter, atomic=atomic).run()


@dataclass(slots=True)
class _Application:
    """The application of one plan."""

    cluster: Cluster
    plan: Plan
    take_sample: TakeSample | None
    request: RecordedRequest
    waiter: ReadinessWaiter | None
    atomic: bool
    applied: list[AppliedStep] = field(default_factory=list)
    before: Sample | None = None

    def run(self) -> Report:
        """Take the sample before, send each step, take the sample after. Raises the errors of ``apply``."""
        if self.take_sample is not None:
            record = record_before(self.plan, self.request)
            self.before = self.take_sample(Trigger.BEFORE_ROLLBACK, record, self._touched)
        sender = Sender(self.cluster, self.plan)
        steps = self.plan.writes
        try:
            for step in steps:
                self._settle(step)
                self._send(sender, step)
        except KeyboardInterrupt:
            self._fail(sender, steps, "interrupted", unknown=True)
        except GitsnapError as error:
            unknown = isinstance(error, ClusterUnreachableError) and not isinstance(error, BusyError)
            if not self._wrote_something(error, unknown=unknown) and self._release(sender):
                self._sample_after(self._report(), Result.NOTHING)
                raise
            self._fail(sender, steps, error.message, unknown=unknown)
        return self._sample_after(self._report(), Result.DONE)

    def _settle(self, step: Step) -> None:
        """Wait until Sveltos reports what a step depends on. Raises NotReconciledError."""
        if self.waiter is None:
            return
        if step.action is not Action.HOLD and self.applied and self.applied[-1].step.action is Action.HOLD:
            self.waiter.wait_for_pauses(self._held())
        self.waiter.wait_for(step.waits)

    def _send(self, sender: Sender, step: Step) -> None:
        """Send a step after Sveltos has seen the earlier writes that affect the same match."""
        labels = self.plan.controller_labels
        if self.waiter is not None:
            self.waiter.wait_for_caches(step, labels)
        self.applied.append(sender.send(step))
        if self.waiter is not None:
            self.waiter.record_write(step, labels)

    @property
    def _touched(self) -> frozenset[ObjectKey]:
        return frozenset(step.key for step in self.plan.writes)

    def _wrote_something(self, error: GitsnapError, *, unknown: bool) -> bool:
        """Whether a failed rollback may have written anything but holds."""
        content = any(entry.step.action is not Action.HOLD for entry in self.applied)
        return unknown or content or isinstance(error, RecreationError)

    # Failures -------------------------------------------------------------------------------------------------

    def _fail(self, sender: Sender, steps: Sequence[Step], failure: str, *, unknown: bool) -> NoReturn:
        """Revert the steps or release the held profiles, as far as possible. Raises StoppedError or RevertedError."""
        position = len(self.applied)
        step = steps[position] if position < len(steps) else None
        report = replace(
            self._report(), failed=step, failure=failure, unknown=unknown, not_tried=tuple(steps[position + 1 :])
        )
        if self.atomic:
            result = revert_steps(sender, self.applied, step if unknown else None, self.waiter)
            report = replace(report, revert_result=result)
            if not result.problem:
                raise RevertedError(self._sample_after(report, Result.REVERTED))
        else:
            self._release(sender, in_doubt=step if unknown else None)
        candidates = self._held(step if unknown else None)
        raise StoppedError(replace(report, held=tuple(key for key in candidates if self._is_held(key))))

    def _release(self, sender: Sender, *, in_doubt: Step | None = None) -> bool:
        """Release the held profiles that lose no match in the current state. Returns whether none is held any more."""
        written = [entry.step for entry in self.applied]
        safe = releasable_after(self.plan, written)
        live = {step.key: step.live for step in self.plan.writes if step.action is Action.HOLD}
        if in_doubt is not None:
            if self.waiter is not None:
                self.waiter.record_write(in_doubt, self.plan.controller_labels)
            safe &= releasable_after(self.plan, [*written, in_doubt])
        for key in self._held(in_doubt):
            if key in safe:
                try:
                    self._send(sender, Step(Action.RELEASE, key, live=live.get(key)))
                except GitsnapError:
                    return False
        return not self._held()

    def _held(self, in_doubt: Step | None = None) -> tuple[ObjectKey, ...]:
        """The profiles that were paused, or may have been, and that no later step released."""
        held: dict[ObjectKey, None] = {}
        for step in (*(entry.step for entry in self.applied), *([in_doubt] if in_doubt is not None else [])):
            if step.action is Action.HOLD:
                held[step.key] = None
            elif step is not in_doubt:
                held.pop(step.key, None)
        return tuple(held)

    def _is_held(self, key: ObjectKey) -> bool:
        """Whether a profile is held. True if the server does not respond."""
        try:
            return pausing.is_held(self.cluster.get(key))
        except NotFoundError:
            return False
        except GitsnapError:
            return True

    # The end --------------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        applied = tuple(entry.step for entry in self.applied)
        return Report(applied=applied, left_out=self.plan.refused, before=self.before)

    def _sample_after(self, report: Report, result: Result) -> Report:
        if self.take_sample is None:
            return report
        try:
            record = record_after(self.plan, self.request, self.before, result)
            return replace(report, after=self.take_sample(Trigger.AFTER_ROLLBACK, record, self._touched))
        except GitsnapError as error:
            return replace(report, after_problem=error.message)
