"""What ``rollback`` and ``undo`` have in common: show the plan, ask, apply, report, and say how to go on and back.

This module must not decide what is restored; ``gitsnap.rollback.plan`` does.
"""

from __future__ import annotations

import getpass
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.rollback_samples import Sampler
from gitsnap.cli.rollback_target import Place
from gitsnap.core.errors import (
    EXIT_LEFT_OUT,
    AbortedError,
    AccessDeniedError,
    NotArrivedError,
    RefusedError,
    RollbackFailedError,
)
from gitsnap.render.plan import plan_text, question, report_text
from gitsnap.render.plan_document import plan_document
from gitsnap.rollback.plan import counted

if TYPE_CHECKING:
    from gitsnap.rollback import Asked, Past, Patience, Report
    from gitsnap.rollback.plan import Options, Plan


def say_unfinished(place: Place) -> None:
    """Say that the last rollback never came to its end, and how to finish it or go back."""
    from gitsnap.rollback import unfinished

    past = unfinished(place.rollbacks)
    if past is None:
        return
    what = f"an undo of {past.record.undoes}" if past.record.undoes else f"a rollback to {past.record.target}"
    by = f" by {past.record.user}" if past.record.user else ""
    terminal.say(
        f"warning: {what}, begun after the sample {past.before.tag}{by}, was not finished: "
        f"of {len(past.record.objects)} writes some may be missing.\n"
        f"to go on:   {_going_on(place, past)}\n"
        f"to go back: {place.command('undo --of ' + past.before.tag)}"
    )


def _going_on(place: Place, past: Past) -> str:
    """The command that goes on; without the archive that it read, where this place does not know which that was."""
    here = any(sample.tag == past.record.target for sample in place.archive.samples())
    if here or not past.record.origin or place.record is None:
        return place.command(past.record.command)
    record = shlex.quote(place.record.location)
    return f"gitsnap {past.record.command} --record {record} --archive (that of the cluster {past.record.origin})"


@contextmanager
def role_explained() -> Iterator[None]:
    """The controller's own role reads lists only: who rolls back in its pod needs another one."""
    try:
        yield
    except AccessDeniedError as error:
        hint = f"{error.hint} In the controller's pod, manifests/overlays/rollback gives the role for a rollback."
        raise AccessDeniedError(error.message, hint=hint) from error


@dataclass(frozen=True, slots=True)
class Manner:
    """How a plan is to be carried out."""

    dry_run: options.DryRun = False
    yes: options.Yes = False
    atomic: options.Atomic = False
    without_undo: options.WithoutUndo = False
    accept_secrets_change: options.AcceptSecretsChange = False
    wait: options.Wait = None

    def limited(self, allowed: Options) -> Options:
        """What is allowed, with the time that somebody waits."""
        return allowed if self.wait is None else replace(allowed, wait=self.wait)

    @property
    def awaiting(self) -> bool:
        """Whether the command ends only once the clusters have what was written."""
        return self.wait > 0 if self.wait is not None else terminal.can_ask()


def carry_out(place: Place, plan: Plan, asked: Asked, manner: Manner, form: options.Output) -> None:
    """Show a tried plan, and carry it out if it may and the person agrees. Exits with 16 if objects were left out."""
    text = form is options.Output.TABLE
    asking = not manner.yes and not manner.dry_run and not plan.blocked and bool(plan.writes) and terminal.can_ask()
    if text:
        terminal.result(plan_text(plan, columns=terminal.columns()))
    elif asking:
        terminal.say(plan_text(plan, columns=0))
    try:
        report = _carried_out(place, plan, asked, manner, text=text)
    except Exception as error:
        if not text:
            terminal.structured(plan_document(plan, report=getattr(error, "report", None)), form)
        raise
    if not text:
        terminal.structured(plan_document(plan, report=report), form)
    if report is not None:
        _check_arrival(report)
    if report is not None and plan.refused:
        raise typer.Exit(EXIT_LEFT_OUT)


def _carried_out(place: Place, plan: Plan, asked: Asked, manner: Manner, *, text: bool) -> Report | None:
    if plan.blocked:
        raise RefusedError("this plan is refused, and nothing was changed:\n  " + "\n  ".join(plan.blocked))
    if manner.dry_run:
        return None
    if plan.writes:
        _confirm(plan, yes=manner.yes)
    else:
        terminal.say("nothing to do: the cluster already has what was selected")
    return _apply(place, plan, asked, manner, text=text)


def _confirm(plan: Plan, *, yes: bool) -> None:
    """Ask the person at the terminal. Raises RefusedError where there is none, AbortedError for a no."""
    if yes:
        return
    if not terminal.can_ask():
        raise RefusedError(
            "nothing was changed: there is no terminal to confirm the plan at", hint="Give --yes to apply the plan."
        )
    if not terminal.confirmed(question(plan)):
        raise AbortedError("nothing was changed")


def _apply(place: Place, plan: Plan, asked: Asked, manner: Manner, *, text: bool) -> Report:
    from gitsnap import rollback as rolling

    asked = replace(asked, user=_user())
    watched = place.cluster_choice.from_dir is None  # nobody acts on a folder, so there is nobody to wait for
    arriving = watched and manner.awaiting and bool(plan.writes)
    before = rolling.states(place.cluster, plan) if arriving else {}
    try:
        with terminal.ProgressLine(says=lambda what, _: what) as progress:
            patience = _patience(plan.options.wait, progress)
            report = rolling.apply(
                place.cluster,
                plan,
                take_sample=Sampler(
                    place, plan, without_undo=manner.without_undo, accept_record=manner.accept_secrets_change
                ),
                asked=asked,
                atomic=manner.atomic,
                unfinished=rolling.unfinished(place.rollbacks),
                settling=rolling.Settling(place.cluster, patience) if watched else None,
            )
            if arriving:
                report = replace(report, arrivals=tuple(rolling.await_arrival(place.cluster, plan, before, patience)))
    except rolling.StoppedError as error:
        if text:
            terminal.result(report_text(error.report, columns=terminal.columns()))
        raise HalfWayError(error, _ways(place, asked, error.report)) from error
    except rolling.UndoneError as error:
        if text:
            terminal.result(report_text(error.report, columns=terminal.columns()))
        raise
    if report.applied:
        terminal.done(f"{counted(len(report.applied), 'object')} applied")
    if text and (plan.writes or report.after is not None):
        terminal.result(report_text(report, columns=terminal.columns()))
    return report


def _patience(seconds: int, progress: terminal.ProgressLine) -> Patience:
    from gitsnap.rollback import Patience

    return Patience(seconds, time.monotonic, time.sleep, lambda text: progress(text, 0))


def _check_arrival(report: Report) -> None:
    """Raises NotArrivedError for clusters that do not have what was written."""
    failed = [one for one in report.arrivals if one.outcome == "failed"]
    late = [one for one in report.arrivals if one.outcome == "not yet"]
    if not failed and not late:
        return
    counts = [f"{len(failed)} failed"] if failed else []
    counts += [f"{len(late)} not reported in time"] if late else []
    raise NotArrivedError(
        f"the configuration is back, but not all clusters have it: {', '.join(counts)}",
        hint="`kubectl get clustersummaries -A` shows what Sveltos does; --wait SECONDS waits longer.",
    )


class HalfWayError(RollbackFailedError):
    """A rollback that stopped half-way, with the commands that go on and back."""

    def __init__(self, error: RollbackFailedError, hint: str) -> None:
        super().__init__(error.message, hint=hint)
        self.report: Report | None = getattr(error, "report", None)


def _ways(place: Place, asked: Asked, report: Report) -> str:
    lines = [f"to go on:   {place.command(asked.command)}"]
    if report.before is not None:
        lines.append(f"to go back: {place.command('undo --of ' + report.before.tag)}")
    return "\n".join(lines)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a random uid without a passwd entry
        return ""
