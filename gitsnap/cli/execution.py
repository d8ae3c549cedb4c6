"""The execution of a plan, for ``rollback`` and ``undo``: show the plan, ask, apply, and report the result.

This module must not decide what is restored; ``gitsnap.rollback.plan`` does.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.rollback_samples import RollbackSampler
from gitsnap.cli.rollback_target import RollbackTarget
from gitsnap.cli.system_user import user_name
from gitsnap.core.errors import (
    EXIT_LEFT_OUT,
    AccessDeniedError,
    ConflictError,
    NotDeployedError,
    NotFoundError,
    RefusedError,
    RollbackFailedError,
    UsageError,
)
from gitsnap.core.states import State
from gitsnap.core.text import plural
from gitsnap.render.plan import nothing_text, plan_text, question, report_text, unselected_lines
from gitsnap.render.plan_changes import ChangeView
from gitsnap.render.plan_document import plan_document
from gitsnap.render.plan_heading import heading_lines

if TYPE_CHECKING:
    from gitsnap.rollback import PastRollback, RecordedRequest, Report, WaitOptions
    from gitsnap.rollback.plan import Options, Plan


def say_unfinished(target: RollbackTarget) -> None:
    """Print a warning if the last rollback did not finish, with the commands that continue or revert it."""
    from gitsnap.rollback import unfinished

    past = unfinished(target.samples_of_cluster)
    if past is None:
        return
    subject = f"an undo of {past.record.undoes}" if past.record.undoes else f"a rollback to {past.record.goal}"
    by = f" by {past.record.user}" if past.record.user else ""
    terminal.say(
        f"warning: {subject}, begun after the sample {past.before.tag}{by}, was not finished: "
        f"some of its {len(past.record.objects)} writes may be missing.\n"
        f"to go on:   {_continuing_command(target, past)}\n"
        f"to go back: {target.command('undo --of ' + past.before.tag)}"
    )


def _continuing_command(target: RollbackTarget, past: PastRollback) -> str:
    """Return the command that continues an unfinished rollback.

    If the sample is in the archive of another cluster, the user has to name that archive.
    """
    if target.find_state(past.record.target) is not None or not past.record.origin or target.record is None:
        return target.command(past.record.command)
    record = shlex.quote(target.record.location)
    return f"gitsnap {past.record.command} --record {record} --archive (that of the cluster {past.record.origin})"


@contextmanager
def role_explained() -> Iterator[None]:
    """Add a hint to AccessDeniedError: the role of the controller has too few permissions for a rollback."""
    try:
        yield
    except AccessDeniedError as error:
        hint = f"{error.hint} In the pod of the controller, manifests/overlays/rollback has the role for a rollback."
        raise AccessDeniedError(error.message, hint=hint) from error


def try_plan(target: RollbackTarget, plan: Plan) -> Plan:
    """Return the plan with the results of a dry run on the server."""
    from gitsnap.rollback import try_on_server

    return try_on_server(target.cluster, plan)


@dataclass(frozen=True, slots=True)
class ExecutionOptions:
    """The options that say how a plan is executed."""

    dry_run: options.DryRun = False
    yes: options.Yes = False
    atomic: options.Atomic = False
    without_undo: options.WithoutUndo = False
    accept_secrets_change: options.AcceptSecretsChange = False
    wait: options.Wait = None
    message: options.Message = None
    full: options.Full = False
    names_only: options.NamesOnly = False
    decrypt: options.DecryptPlan = False

    def __post_init__(self) -> None:
        """Raise UsageError for options that contradict each other."""
        if self.names_only and (self.full or self.decrypt):
            raise UsageError("--names-only shows no lines: omit --full and --decrypt")

    @property
    def change_view(self) -> ChangeView | None:
        """How the plan shows the lines that change; None if it shows none."""
        return None if self.names_only else ChangeView(self.full, self.decrypt, colour=terminal.has_colour())

    def with_wait(self, plan_options: Options) -> Options:
        """Return the options of a plan with the time of --wait, in seconds."""
        return plan_options if self.wait is None else replace(plan_options, wait=self.wait)

    @property
    def waits_for_clusters(self) -> bool:
        """Whether the command waits at its end until the managed clusters have the configuration."""
        return self.wait > 0 if self.wait is not None else terminal.is_interactive()


def execute(
    target: RollbackTarget,
    plan: Plan,
    request: RecordedRequest,
    execution: ExecutionOptions,
    form: terminal.Output,
    *,
    plan_again: Callable[[], Plan],
) -> None:
    """Print a tried plan, ask the user, apply the plan and print a report.

    ``plan_again`` makes the plan again, because the cluster may change while the user reads the plan.
    Raises typer.Exit with EXIT_LEFT_OUT if objects were left out, RefusedError, AbortedError, ConflictError,
    NotDeployedError, and the errors of a rollback that failed.
    """
    is_text = form is terminal.Output.TABLE
    asks = (
        not execution.yes
        and not execution.dry_run
        and not plan.blocked
        and bool(plan.writes)
        and terminal.is_interactive()
    )
    plan = replace(plan, sensitive_fields=tuple(sorted({*plan.sensitive_fields, *target.hidden_fields}, key=str)))
    view, state = execution.change_view, _state(target, plan)
    if is_text or asks:
        heading = _heading(target, plan, state, undo=bool(request.undoes))
        if is_text:
            text = plan_text(plan, columns=terminal.width(), heading=heading, changes=view)
            terminal.print_result(text, safe=True)
        else:
            without_colour = view and replace(view, colour=False)
            terminal.say(plan_text(plan, columns=0, heading=heading, changes=without_colour), is_laid_out=True)
    try:
        _confirm(plan, request, execution, is_text=is_text)
        if asks:
            _check_still_holds(plan, state, plan_again)
        report = None if execution.dry_run else _apply(target, plan, request, execution, is_text=is_text)
    except Exception as error:  # whatever the error, a script gets the document that says which steps were written
        if not is_text:
            terminal.print_document(_document(target, plan, execution, getattr(error, "report", None)), form)
        raise
    if not is_text:
        terminal.print_document(_document(target, plan, execution, report), form)
    if report is not None:
        _check_arrival(report)
    if report is not None and plan.refused:
        raise typer.Exit(EXIT_LEFT_OUT)


def _state(target: RollbackTarget, plan: Plan) -> State:
    """Return the sample or the change of a plan. Raises NotFoundError if it was removed meanwhile."""
    state = target.find_state(plan.sample)
    if state is None:
        raise NotFoundError(
            f"the archive {target.archive.location} no longer has {plan.sample}", hint="Nothing was changed."
        )
    return state


def _heading(target: RollbackTarget, plan: Plan, state: State, *, undo: bool) -> list[str]:
    from gitsnap.rollback import origin_of

    origin = origin_of(state, target.samples_of_cluster)
    return heading_lines(plan.cluster, origin, now=datetime.now(UTC), user=user_name(), undo=undo)


def _document(
    target: RollbackTarget, plan: Plan, execution: ExecutionOptions, report: Report | None
) -> dict[str, object]:
    return plan_document(
        plan,
        report=report,
        message=execution.message or "",
        state=_state(target, plan),
        changes=execution.change_view,
    )


def _confirm(plan: Plan, request: RecordedRequest, execution: ExecutionOptions, *, is_text: bool) -> None:
    """Ask the user to confirm the plan. Raises RefusedError for a refused plan, AbortedError if the answer is no."""
    if plan.blocked:
        raise RefusedError("this plan is refused, and nothing was changed:\n  " + "\n  ".join(plan.blocked))
    if execution.dry_run:
        return
    if plan.writes:
        terminal.confirm(question(plan), yes=execution.yes, unchanged="nothing was changed")
    else:
        unselected = [] if is_text else unselected_lines(plan)
        terminal.say("\n".join([nothing_text(plan, undo=bool(request.undoes)), *unselected]))


def _check_still_holds(plan: Plan, state: State, plan_again: Callable[[], Plan]) -> None:
    """Compare the approved plan with a plan of the present state. Raises ConflictError if they differ.

    The user may read the plan for minutes. A cluster that starts to match in this time is not approved.
    """
    from gitsnap.rollback.plan import changes_since_approval

    with terminal.ProgressLine("comparing the plan with the cluster"):
        changes = changes_since_approval(plan, state, plan_again())
    if changes:
        raise ConflictError(
            "the cluster has changed since the plan was shown:\n  " + "\n  ".join(changes),
            hint="Nothing was changed. Give the command again, and review the new plan.",
        )


def _apply(
    target: RollbackTarget, plan: Plan, request: RecordedRequest, execution: ExecutionOptions, *, is_text: bool
) -> Report:
    from gitsnap import rollback

    request = replace(request, user=user_name())
    is_live = target.cluster_options.from_dir is None  # no controller acts on a folder
    awaits = is_live and execution.waits_for_clusters and bool(plan.writes)
    before = rollback.read_rollout_state(target.cluster, plan) if awaits else {}
    sampler = RollbackSampler(
        target,
        plan,
        without_undo=execution.without_undo,
        accept_record=execution.accept_secrets_change,
        message=execution.message or "",
    )
    try:
        with terminal.ProgressLine(describe=lambda text, _: text) as progress:
            wait_options = _wait_options(plan.options.wait, progress)
            report = rollback.apply(
                target.cluster,
                plan,
                take_sample=sampler,
                request=request,
                atomic=execution.atomic,
                unfinished=rollback.unfinished(target.samples_of_cluster),
                waiter=rollback.ReadinessWaiter(target.cluster, wait_options) if is_live else None,
            )
            if awaits:
                arrivals = rollback.wait_for_rollout(target.cluster, plan, before, wait_options)
                report = replace(report, rollout=tuple(arrivals))
    except rollback.StoppedError as error:
        if is_text:
            terminal.print_result(report_text(error.report, columns=terminal.width()))
        raise HalfWayError(error, _next_commands(target, request, error.report)) from error
    except rollback.RevertedError as error:
        if is_text:
            terminal.print_result(report_text(error.report, columns=terminal.width()))
        raise
    if report.applied:
        terminal.note_finished(f"{plural(len(report.applied), 'object')} applied")
    if is_text and (plan.writes or report.after is not None):
        terminal.print_result(report_text(report, columns=terminal.width()))
    return report


def _wait_options(seconds: int, progress: terminal.ProgressLine) -> WaitOptions:
    from gitsnap.rollback import WaitOptions

    return WaitOptions(seconds, time.monotonic, time.sleep, lambda text: progress(text, 0))


def _check_arrival(report: Report) -> None:
    """Raise NotDeployedError if a managed cluster does not have the configuration."""
    failed = sum(arrival.outcome == "failed" for arrival in report.rollout)
    late = sum(arrival.outcome == "not yet" for arrival in report.rollout)
    if not failed and not late:
        return
    counts = [f"{failed} failed"] if failed else []
    counts += [f"{late} not reported in time"] if late else []
    raise NotDeployedError(
        f"the configuration is restored, but not all clusters have it: {', '.join(counts)}",
        hint="`kubectl get clustersummaries -A` shows the state of each deployment; --wait SECONDS waits longer.",
    )


class HalfWayError(RollbackFailedError):
    """A rollback that stopped half-way. The hint has the commands that continue or revert it."""

    def __init__(self, error: RollbackFailedError, hint: str) -> None:
        super().__init__(error.message, hint=hint)
        self.report: Report | None = getattr(error, "report", None)


def _next_commands(target: RollbackTarget, request: RecordedRequest, report: Report) -> str:
    """Return the command that continues a stopped rollback and, on a second line, the command that reverts it."""
    lines = [f"to go on:   {target.command(request.command)}"]
    if report.before is not None:
        lines.append(f"to go back: {target.command('undo --of ' + report.before.tag)}")
    return "\n".join(lines)
