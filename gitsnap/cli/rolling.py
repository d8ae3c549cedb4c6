"""What ``rollback`` and ``undo`` have in common: show the plan, ask, apply, report, and say how to go on and back.

This module must not decide what is restored; ``gitsnap.plan`` does.
"""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gitsnap.cli import options, output
from gitsnap.cli.plan_output import plan_document, plan_text, report_text
from gitsnap.cli.wiring import ArchiveChoice, ClusterChoice, find_policy
from gitsnap.errors import (
    EXIT_LEFT_OUT,
    AbortedError,
    AccessDeniedError,
    IncompleteError,
    RefusedError,
    RollbackFailedError,
)
from gitsnap.model import ObjectKey, Sample, SecretsMode, TagId, Trigger

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.format import RollbackRecord
    from gitsnap.plan import Plan
    from gitsnap.ports import Cluster
    from gitsnap.rollback import Asked, Report


@dataclass(frozen=True, slots=True)
class Place:
    """The archive and the cluster of one command, and how they were named."""

    archive_choice: ArchiveChoice
    cluster_choice: ClusterChoice
    archive: GitArchive
    cluster: Cluster
    identities: tuple[Path, ...] = ()

    @classmethod
    def open(cls, archive: ArchiveChoice, cluster: ClusterChoice, identities: Collection[Path]) -> Place:
        """Open both. Raises WrongClusterError when the archive belongs to another cluster."""
        from gitsnap.capture import check_cluster

        opened = archive.open_to_write()
        connected = cluster.open()
        check_cluster(opened, connected.info())
        return cls(archive, cluster, opened, connected, tuple(identities))

    def command(self, words: str) -> str:
        """A command that works from here: ``gitsnap undo --snapshot hourly --storage …``, with the places as typed."""
        archive, cluster = self.archive_choice, self.cluster_choice
        places = (
            ("--storage", archive.storage),
            ("--archive", archive.path),
            ("--kubeconfig", cluster.kubeconfig),
            ("--context", cluster.context),
            ("--from-dir", cluster.directory),
        )
        typed = [word for flag, value in places if value for word in (flag, str(value))]
        for identity in self.identities:
            typed += ["--identity", str(identity)]
        policy = [] if archive.path else ["--snapshot", self.archive.policy]
        command, _, rest = words.partition(" ")
        return " ".join(part for part in ("gitsnap", command, shlex.join([*policy, *typed]), rest) if part)


def say_unfinished(place: Place) -> None:
    """Say that the last rollback never came to its end, and how to finish it or go back."""
    from gitsnap.rollback import unfinished

    past = unfinished(place.archive.samples())
    if past is None:
        return
    what = f"an undo of {past.record.undoes}" if past.record.undoes else f"a rollback to {past.record.target}"
    by = f" by {past.record.user}" if past.record.user else ""
    output.say(
        f"warning: {what}, begun after the sample {past.before.tag}{by}, was not finished: "
        f"of {len(past.record.objects)} writes some may be missing.\n"
        f"  to go on:   {place.command(past.record.command)}\n"
        f"  to go back: {place.command('undo --of ' + past.before.tag)}"
    )


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

    dry_run: bool = False
    yes: bool = False
    atomic: bool = False
    form: options.Output = options.Output.TABLE


def carry_out(place: Place, plan: Plan, asked: Asked, manner: Manner) -> None:
    """Show a tried plan, and carry it out if it may and the person agrees. Exits with 16 if objects were left out."""
    text = manner.form is options.Output.TABLE
    asking = not manner.yes and not manner.dry_run and not plan.blocked and bool(plan.writes) and output.can_ask()
    if text:
        output.result(plan_text(plan, columns=output.columns()))
    elif asking:
        output.say(plan_text(plan, columns=0))
    try:
        report = _carried_out(place, plan, asked, manner)
    except Exception as error:
        if not text:
            output.structured(plan_document(plan, report=getattr(error, "report", None)), manner.form)
        raise
    if not text:
        output.structured(plan_document(plan, report=report), manner.form)
    if report is not None and plan.refused:
        raise typer.Exit(EXIT_LEFT_OUT)


def _carried_out(place: Place, plan: Plan, asked: Asked, manner: Manner) -> Report | None:
    if plan.blocked:
        raise RefusedError("this plan must not be carried out as it is:\n  " + "\n  ".join(plan.blocked))
    if manner.dry_run:
        return None
    if not plan.writes:
        output.say("nothing to do: the cluster already has what was selected")
        return _nothing(plan)
    _confirm(plan, yes=manner.yes)
    return _apply(place, plan, asked, manner)


def _nothing(plan: Plan) -> Report:
    from gitsnap.rollback import Report

    return Report(left_out=plan.refused)


def _confirm(plan: Plan, *, yes: bool) -> None:
    """Ask the person at the terminal. Raises RefusedError where there is none, AbortedError for a no."""
    if yes:
        return
    if not output.can_ask():
        raise RefusedError("nothing was changed: there is no terminal to ask at", hint="Give --yes to apply the plan.")
    if not typer.confirm(f"{_question(plan)} {plan.cluster.context} ({plan.cluster.server})?", err=True):
        raise AbortedError("nothing was changed")


def _question(plan: Plan) -> str:
    """What a yes means, the worst of it included."""
    from gitsnap.plan import Action

    deleted, clusters = plan.counts[Action.DELETE], len({one.cluster for one in plan.withdraws})
    parts = [f"Write {_counted(len(plan.writes) - deleted, 'object')}"]
    if deleted:
        parts.append(f"delete {_counted(deleted, 'object')}")
    if clusters:
        parts.append(f"take add-ons from {_counted(clusters, 'managed cluster')}")
    return f"{', '.join(parts)}: in"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _apply(place: Place, plan: Plan, asked: Asked, manner: Manner) -> Report:
    from gitsnap import rollback as rolling

    text = manner.form is options.Output.TABLE
    asked = replace(asked, user=_user())
    try:
        report = rolling.apply(
            place.cluster, plan, take_sample=_Sampler(place, _at_risk(plan)), asked=asked, atomic=manner.atomic
        )
    except rolling.StoppedError as error:
        if text:
            output.result(report_text(error.report))
        raise HalfWayError(error, _ways(place, asked, error.report)) from error
    except rolling.UndoneError as error:
        if text:
            output.result(report_text(error.report))
        raise
    if text:
        output.result(report_text(report))
    return report


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


@dataclass(frozen=True, slots=True)
class _Sampler:
    """Takes the samples before and after, under the archive's own policy."""

    place: Place
    at_risk: tuple[ObjectKey, ...]
    """Secrets whose values the sample before must hold."""

    def _check(self, mode: SecretsMode) -> None:
        """Raises RefusedError when the sample before would not hold the values of a Secret that is about to go."""
        if self.at_risk and mode not in (SecretsMode.ENCRYPT, SecretsMode.PLAINTEXT):
            listed = ", ".join(str(key) for key in self.at_risk)
            raise RefusedError(
                f"nothing was changed: samples are taken in the secrets mode {mode}, so that the present values of "
                f"{listed} could not be brought back",
                hint="Capture once with --secrets-mode encrypt, or leave these Secrets out with --except.",
            )

    def __call__(self, trigger: Trigger, record: RollbackRecord, also: Collection[ObjectKey]) -> Sample | None:
        from gitsnap import capture as sampling
        from gitsnap import keys
        from gitsnap.format import record_lines

        place = self.place
        policy = find_policy(place.archive.policy, None, place.cluster)
        policy, keeper = keys.for_capture(place.archive, policy, identities=place.identities)
        self._check(policy.secrets_mode)
        request = sampling.Request(
            sampling.tree_info(policy, branch=place.archive.branch, keeper=keeper),
            keeper,
            datetime.now(UTC),
            trigger,
            target=self._target(record) if trigger is Trigger.BEFORE_ROLLBACK else None,
            also=frozenset(also),
            extra=record_lines(record),
        )
        taken = sampling.capture(place.cluster, place.archive, request)
        sample = taken.recorded.sample
        if sample.metadata.incomplete and trigger is Trigger.BEFORE_ROLLBACK:
            listed = ", ".join(str(one.kind) for one in sample.metadata.incomplete)
            raise IncompleteError(
                f"nothing was changed: the sample before the rollback lacks {listed}",
                hint="Without it the rollback could not be taken back. Mend what keeps these kinds from being read.",
            )
        return sample

    def _target(self, record: RollbackRecord) -> TagId | None:
        """The tag of the sample that is rolled back to: retention keeps it while the rollback is unfinished."""
        samples = self.place.archive.samples()
        return next((one.tag_id for one in samples if one.tag == record.target), None)


def _at_risk(plan: Plan) -> tuple[ObjectKey, ...]:
    """The Secrets whose present values go: an undo needs them."""
    from gitsnap.plan import Action

    secrets = [step for step in plan.writes if step.key.kind.name == "Secret" and step.action is not Action.CREATE]
    return tuple(
        step.key
        for step in secrets
        if step.action is not Action.UPDATE or any(field.startswith("data") for field in step.changed)
    )
