"""``gitsnap prune``: remove the samples that retention does not keep.

This module must not decide which samples are kept; ``gitsnap.policy.retention`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.headings import say_heading
from gitsnap.cli.policies import policy_from_file
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import say_changes_stay
from gitsnap.core.errors import UsageError
from gitsnap.core.text import plural
from gitsnap.policy.retention import Decision, Rules
from gitsnap.policy.snapshot import Retention
from gitsnap.render import render_table

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive

_DEFAULT_ZONE = "UTC"


def _keep_newest(name: str, unit: str) -> Any:
    """Declare an option that keeps the newest sample of each of N units of time."""
    return typer.Option(
        name,
        metavar="N",
        parser=options.whole_number(0),
        show_default=False,
        help=f"Keep the newest sample of each of the last N {unit} that have a sample.",
    )


_File = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="Snapshot manifest that has the rules.")
]
_KeepWithin = Annotated[
    str,
    typer.Option(
        "--keep-within",
        metavar="TIME",
        help="Keep the samples taken within this time before the newest sample, such as 7d or 1y6m.",
    ),
]
_TimeZone = Annotated[
    str,
    typer.Option("--time-zone", metavar="ZONE", help="Time zone for hours, days, weeks and months. Default: UTC."),
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show which samples would be removed, but remove none.")]


def prune(
    *,
    archive: ArchiveOptions,
    file: _File = None,
    keep_last: Annotated[
        int,
        typer.Option(
            "--keep-last",
            metavar="N",
            parser=options.whole_number(0),
            show_default=False,
            help="Keep the newest N samples.",
        ),
    ] = 0,
    keep_hourly: Annotated[int, _keep_newest("--keep-hourly", "hours")] = 0,
    keep_daily: Annotated[int, _keep_newest("--keep-daily", "days")] = 0,
    keep_weekly: Annotated[int, _keep_newest("--keep-weekly", "weeks")] = 0,
    keep_monthly: Annotated[int, _keep_newest("--keep-monthly", "months")] = 0,
    keep_within: _KeepWithin = "",
    time_zone: _TimeZone = "",
    dry_run: _DryRun = False,
    yes: options.Yes = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Remove scheduled samples that no rule keeps.

    Only samples of the archive are removed. To delete objects of a cluster, see `gitsnap rollback --prune`. The
    controller removes samples in the same way, by the rules of the Snapshot.

    Without a rule no sample is removed. A sample is a tag: the branch keeps the history of the configuration, with all
    changes between samples. Four kinds of samples are never removed: the newest sample, samples that were not taken on
    schedule, samples marked by `gitsnap keep`, and samples that an unfinished rollback needs.

    Example: gitsnap prune --snapshot hourly --keep-hourly 24 --keep-daily 30 --dry-run
    """
    from gitsnap.capture import prune
    from gitsnap.policy import retention

    retention_options = Retention(keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_within)
    opened = archive.open_to_write()
    opened.check_samples()
    rules = _rules(opened.policy, file, retention_options, time_zone)
    now = datetime.now(UTC)
    decisions = prune.plan(opened, rules, now=now)
    terminal.warn(filter(None, [retention.clock_problem(opened.samples(), rules, now=now)]))
    removals = [decision for decision in decisions if not decision.keep]
    shown_first = (
        form is terminal.Output.TABLE or dry_run or not removals
    )  # the user must see the samples before the question
    if shown_first:
        _show(opened, decisions, form, dry_run=dry_run)
    if removals:
        say_changes_stay(opened)
    if removals and not dry_run:
        question = f"Remove {plural(len(removals), 'sample')} from {opened.location}?"
        terminal.confirm(question, yes=yes, unchanged="nothing was removed")
        decisions, summary = _remove(opened, rules, removals, now)
        if not shown_first:
            _show(opened, decisions, form, dry_run=dry_run)
        terminal.say(summary)
    if not removals:
        terminal.say("nothing to remove" if rules else "nothing to remove: no rule was given, so every sample is kept")


def _remove(
    archive: GitArchive, rules: Rules, removals: Sequence[Decision], now: datetime
) -> tuple[tuple[Decision, ...], str]:
    """Remove samples, and return the decisions that were applied and a summary.

    Only samples in ``removals`` are removed, even if the rules decide differently by now.
    """
    from gitsnap.capture import prune

    with archive.writer() as writer:
        decisions = prune.prune(writer, rules, only={decision.sample.tag for decision in removals}, now=now)
    summary = f"{plural(sum(not decision.keep for decision in decisions), 'sample')} removed from {archive.location}"
    terminal.note_finished(summary)
    return decisions, summary


def _rules(policy: str, file: Path | None, retention_options: Retention, zone: str) -> Rules:
    if file is None:
        return Rules(retention_options, zone or _DEFAULT_ZONE)
    if retention_options != Retention() or zone:
        raise UsageError("--file has the rules already: omit --file, or omit the --keep options and --time-zone")
    return Rules.of(policy_from_file(policy, file))


def _show(archive: GitArchive, decisions: Sequence[Decision], form: terminal.Output, *, dry_run: bool) -> None:
    if form is not terminal.Output.TABLE:
        document = {"kind": "Prune", "policy": archive.policy, "dryRun": dry_run}
        terminal.print_document({**document, "samples": [_document(decision) for decision in decisions]}, form)
        return
    rows = [[decision.sample.moment, _action(decision), ", ".join(decision.reasons)] for decision in decisions]
    say_heading(f"decisions about the samples of the archive {archive.location}; dates in UTC")
    terminal.print_result(render_table(["date", "action", "reasons"], rows, columns=terminal.width()))


def _document(decision: Decision) -> dict[str, object]:
    return {"action": _action(decision), "reasons": list(decision.reasons), "sample": sample_document(decision.sample)}


def _action(decision: Decision) -> str:
    return "keep" if decision.keep else "remove"
