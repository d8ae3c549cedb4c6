"""Tries a plan on the server, and carries it out: step by step, never over what somebody else changed.

Every write carries the live uid and resource version. Where only status moved since the plan (Sveltos writes it all the
time), the step is built anew; where the object itself moved, it is a conflict. It stops at the first failure and says
what was and what was not written. This module must not decide what is written; the plan has done so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gitsnap.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ClusterUnreachableError,
    ConflictError,
    GitsnapError,
    NotFoundError,
    RefusedError,
    RejectedError,
    RollbackFailedError,
)
from gitsnap.model import JsonObject, ObjectKey, Sample, Trigger
from gitsnap.plan import (
    Action,
    Create,
    MergePatch,
    Outcome,
    Plan,
    Replace,
    Step,
    Trial,
    arranged,
    has_no_effect,
    moved,
    request_of,
)
from gitsnap.plan.values import in_words
from gitsnap.ports import Cluster
from gitsnap.rollback.preparing import check_identity, say_what_goes

TakeSample = Callable[[Trigger], Sample | None]
"""Takes a sample of everything that the archive's policy captures."""

_ATTEMPTS = 5
"""How often a step is built anew after a controller wrote status in between."""

_NO_DRY_RUN = "does not support dry run"
"""In the answer of an API server about an admission webhook with side effects."""


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
    before: Sample | None = None
    after: Sample | None = None
    after_problem: str = ""
    """Why no sample could be taken afterwards; what was written stands all the same."""


class StoppedError(RollbackFailedError):
    """A rollback stopped half-way."""

    def __init__(self, report: Report) -> None:
        done, left = len(report.applied), len(report.not_tried)
        where = in_words(report.failed.key) if report.failed else "the start"
        certain = "; whether that one was written is not known" if report.unknown else ""
        super().__init__(
            f"the rollback stopped at {where}: {report.failure}{certain}. {done} written, {left} not tried",
            hint=_way_out(report),
        )
        self.report = report


def _way_out(report: Report) -> str:
    back = f" Rolling back to {report.before.tag} undoes what was written." if report.before else ""
    return f"The same rollback again goes on from here.{back}"


# Trying ---------------------------------------------------------------------------------------------------------------


def try_on_server(cluster: Cluster, plan: Plan) -> Plan:
    """The plan with the server's opinion of each step that writes: admission, schema, immutability, RBAC.

    An update that would change nothing, because the server fills in what differs, becomes ``unchanged``.
    Raises ClusterUnreachableError when the server does not answer.
    """
    steps: list[Step] = []
    hopeless: set[ObjectKey] = set()
    for step in plan.steps:
        tried = _tried(cluster, plan, step, hopeless) if step.writes else step
        if tried.failed:
            hopeless.add(step.key)
        steps.append(tried)
    tried_plan = replace(plan, steps=tuple(steps))
    if len(tried_plan.writes) == len(plan.writes):
        return tried_plan
    return say_what_goes(cluster, arranged(tried_plan))


def _tried(cluster: Cluster, plan: Plan, step: Step, hopeless: set[ObjectKey]) -> Step:
    if step.needs:
        needed = ", ".join(in_words(key) for key in step.needs)
        if not hopeless.isdisjoint(step.needs):
            return replace(step, trial=Trial(Outcome.FAILED, f"it needs {needed}, which cannot be created"))
        return replace(step, trial=Trial(Outcome.NOT_TRIED, f"an earlier step creates {needed}"))
    try:
        live, result = _send(cluster, plan, step, dry_run=True)
    except RejectedError as error:
        if _NO_DRY_RUN in error.message:
            return replace(step, trial=Trial(Outcome.NOT_TRIED, "an admission webhook does not support dry run"))
        return replace(step, trial=Trial(Outcome.FAILED, error.message))
    except (AccessDeniedError, NotFoundError, ConflictError) as error:
        return replace(step, trial=Trial(Outcome.FAILED, error.message))
    if live is not None and has_no_effect(live, result, controller_labels=plan.controller_labels):
        return replace(
            step, action=Action.UNCHANGED, reason="only defaults that the server fills in differ", changed=()
        )
    return replace(step, trial=Trial(Outcome.OK))


# Carrying out ---------------------------------------------------------------------------------------------------------


def apply(cluster: Cluster, plan: Plan, *, take_sample: TakeSample | None = None) -> Report:
    """Carry out a plan.

    ``take_sample`` is called before the first write and after the last; when the first call fails, nothing is changed.
    Raises RefusedError for a plan that is blocked, WrongClusterError, the cluster's own error when the very first
    write was refused (nothing is changed then), and StoppedError with the report when it stopped half-way.
    """
    if plan.blocked:
        raise RefusedError(f"the plan is not carried out: {'; '.join(plan.blocked)}", hint="Nothing was changed.")
    check_identity(cluster.info(), plan.cluster.uid)
    if not plan.writes:
        return Report(left_out=plan.refused)
    before = take_sample(Trigger.BEFORE_ROLLBACK) if take_sample else None
    applied = _write_all(cluster, plan, Report(left_out=plan.refused, before=before))
    report = Report(applied=tuple(applied), left_out=plan.refused, before=before)
    return _with_after(report, take_sample) if take_sample else report


def _write_all(cluster: Cluster, plan: Plan, report: Report) -> list[Step]:
    steps = plan.writes
    applied: list[Step] = []
    for position, step in enumerate(steps):
        rest = steps[position + 1 :]
        try:
            _send(cluster, plan, step, dry_run=False)
        except KeyboardInterrupt:
            raise StoppedError(_stopped(report, applied, step, rest, failure="interrupted", unknown=True)) from None
        except GitsnapError as error:
            unknown = isinstance(error, ClusterUnreachableError)
            if not applied and not unknown:
                raise
            raise StoppedError(_stopped(report, applied, step, rest, failure=error.message, unknown=unknown)) from error
        applied.append(step)
    return applied


def _stopped(
    report: Report, applied: Sequence[Step], step: Step, rest: Sequence[Step], *, failure: str, unknown: bool
) -> Report:
    return replace(report, applied=tuple(applied), failed=step, failure=failure, unknown=unknown, not_tried=tuple(rest))


def _with_after(report: Report, take_sample: TakeSample) -> Report:
    try:
        return replace(report, after=take_sample(Trigger.AFTER_ROLLBACK))
    except GitsnapError as error:
        return replace(report, after_problem=error.message)


def _send(cluster: Cluster, plan: Plan, step: Step, *, dry_run: bool) -> tuple[JsonObject | None, JsonObject]:
    """Send one step; gives the live object that it was built on, and the server's answer.

    Raises ConflictError when the object's own content moved since the plan was made.
    """
    live = step.live
    for _ in range(_ATTEMPTS):
        request = request_of(step, live, controller_labels=plan.controller_labels)
        try:
            return live, _sent(cluster, request, dry_run=dry_run)
        except AlreadyExistsError:
            raise
        except ConflictError as error:
            conflict = error
        live = _unmoved(cluster, plan, step)
    raise conflict


def _sent(cluster: Cluster, request: Create | Replace | MergePatch, *, dry_run: bool) -> JsonObject:
    match request:
        case Create(document):
            return cluster.create(document, dry_run=dry_run)
        case Replace(document):
            return cluster.update(document, dry_run=dry_run)
        case MergePatch(key, patch):
            return cluster.patch(key, patch, dry_run=dry_run)


def _unmoved(cluster: Cluster, plan: Plan, step: Step) -> JsonObject:
    """The object as it is now, if what the plan was made for still holds."""
    again = "Make the plan again, to see what it would do now."
    try:
        fresh = cluster.get(step.key)
    except NotFoundError:
        raise ConflictError(f"{in_words(step.key)} was deleted since the plan was made", hint=again) from None
    if moved(step, fresh, controller_labels=plan.controller_labels):
        raise ConflictError(f"{in_words(step.key)} was changed since the plan was made", hint=again)
    return fresh
