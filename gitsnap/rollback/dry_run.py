"""Tries a plan with the server's dry run, which checks admission, schema, immutability and RBAC before any change.

Every step is tried, so that the plan shows all problems at once.
"""

from __future__ import annotations

from dataclasses import replace

from gitsnap.core.errors import AccessDeniedError, ConflictError, GitsnapError, NotFoundError, RejectedError
from gitsnap.core.model import ObjectKey
from gitsnap.core.ports import Cluster
from gitsnap.core.text import describe
from gitsnap.rollback.deployed_state import add_withdrawals
from gitsnap.rollback.plan import Action, DryRunResult, Outcome, Plan, Step, has_no_effect, order_plan
from gitsnap.rollback.sender import Sender

_NO_DRY_RUN = "does not support dry run"
"""Part of the API server's message about an admission webhook with side effects."""

_BROKEN_WEBHOOK = "failed calling webhook"
"""Part of the API server's message, with a status 5xx, about an admission webhook that does not respond."""


def try_on_server(cluster: Cluster, plan: Plan) -> Plan:
    """The plan with a dry run result for each step that writes.

    An update that changes nothing, because the server fills in the differing defaults, becomes ``unchanged``.
    Raises ClusterUnreachableError if the server does not respond.
    """
    failed: set[ObjectKey] = set()
    while any(step.writes and step.dry_run is None for step in plan.steps):
        before = [(step.action, step.key) for step in plan.writes]
        steps: list[Step] = []
        for step in plan.steps:
            tried = _try_step(cluster, plan, step, failed) if step.writes and step.dry_run is None else step
            if tried.failed:
                failed.add(step.key)
            steps.append(tried)
        plan = replace(plan, steps=tuple(steps), pausable=plan.pausable - _unholdable(steps))
        if [(step.action, step.key) for step in plan.writes] != before:
            # Steps dropped out, so other profiles may lose matches or need a hold. New steps are tried next.
            plan = add_withdrawals(cluster, order_plan(plan))
    return plan


def _unholdable(steps: list[Step]) -> frozenset[ObjectKey]:
    return frozenset(step.key for step in steps if step.action is Action.HOLD and step.failed)


def _try_step(cluster: Cluster, plan: Plan, step: Step, failed: set[ObjectKey]) -> Step:
    """The step with its dry run result. ``failed`` are the objects whose steps failed before."""
    if step.action is Action.RELEASE:
        return replace(step, dry_run=DryRunResult(Outcome.NOT_TRIED, "it reverts an earlier step"))
    if step.needs:
        needed = ", ".join(describe(key) for key in step.needs)
        if not failed.isdisjoint(step.needs):
            return replace(step, dry_run=DryRunResult(Outcome.FAILED, f"it needs {needed}, which cannot be created"))
        return replace(step, dry_run=DryRunResult(Outcome.NOT_TRIED, f"an earlier step creates {needed}"))
    try:
        live, result = Sender(cluster, plan).request(step, dry_run=True)
    except GitsnapError as error:
        return replace(step, dry_run=_dry_run_failure(error))
    if step.action is Action.RECREATE:
        reason = "the object still exists; its deletion was tried"
        return replace(step, dry_run=DryRunResult(Outcome.NOT_TRIED, reason))
    updated = live is not None and result is not None and step.action is Action.UPDATE
    if updated and has_no_effect(live or {}, result or {}, controller_labels=plan.controller_labels):
        reason = "only defaults that the server fills in differ"
        return replace(step, action=Action.UNCHANGED, reason=reason, changed=())
    return replace(step, dry_run=DryRunResult(Outcome.OK))


def _dry_run_failure(error: GitsnapError) -> DryRunResult:
    """The dry run result for an error of the server. Raises the error if it does not concern the step."""
    if isinstance(error, RejectedError) and _NO_DRY_RUN in error.message:
        return DryRunResult(Outcome.NOT_TRIED, "an admission webhook does not support dry run")
    about_the_step = isinstance(error, RejectedError | AccessDeniedError | NotFoundError | ConflictError)
    if about_the_step or _BROKEN_WEBHOOK in error.message:
        return DryRunResult(Outcome.FAILED, error.message)
    raise error
