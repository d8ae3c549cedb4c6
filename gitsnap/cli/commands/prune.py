"""``gitsnap prune`` and ``gitsnap keep``: which samples stay.

This module must not decide which; ``gitsnap.policy.retention`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import completion, options, terminal
from gitsnap.cli.commands.list import describe
from gitsnap.cli.resolve import ArchiveChoice, policy_from_file
from gitsnap.core.errors import AbortedError, RefusedError, UsageError
from gitsnap.history import samples
from gitsnap.policy.retention import Decision, Rules
from gitsnap.policy.snapshot import Retention
from gitsnap.render import render_table

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive

_DEFAULT_ZONE = "UTC"


def prune(
    *,
    archive: ArchiveChoice,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Snapshot manifest to take the rules from.")
    ] = None,
    keep_last: Annotated[int, typer.Option("--keep-last", metavar="N", min=0, help="The N newest.")] = 0,
    keep_hourly: Annotated[
        int, typer.Option("--keep-hourly", metavar="N", min=0, help="The newest of each of N hours.")
    ] = 0,
    keep_daily: Annotated[
        int, typer.Option("--keep-daily", metavar="N", min=0, help="The newest of each of N days.")
    ] = 0,
    keep_weekly: Annotated[
        int, typer.Option("--keep-weekly", metavar="N", min=0, help="The newest of each of N weeks.")
    ] = 0,
    keep_monthly: Annotated[
        int, typer.Option("--keep-monthly", metavar="N", min=0, help="The newest of each of N months.")
    ] = 0,
    keep_within: Annotated[
        str,
        typer.Option("--keep-within", metavar="TIME", help="All that are less than 7d, 1y6m … older than the newest."),
    ] = "",
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="Whose hours and days count. Default: UTC.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Remove scheduled samples that no rule keeps.

    Without any rule, none. Only samples (tags) go: the history of the configuration stays in the branch. The newest
    sample, those that were not taken on schedule, those marked by `gitsnap keep` and those an unfinished rollback needs
    are never removed.

    Example: gitsnap prune --snapshot hourly --keep-hourly 24 --keep-daily 30 --dry-run
    """
    from gitsnap.capture import prune
    from gitsnap.policy import retention

    given = Retention(keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_within)
    opened = archive.open_to_write()
    opened.check_samples()
    rules = _rules(opened.policy, file, given, time_zone)
    now = datetime.now(UTC)
    decisions = prune.plan(opened, rules, now=now)
    terminal.warn(filter(None, [retention.doubt(opened.samples(), rules, now=now)]))
    going = [one for one in decisions if not one.keep]
    seen_first = form is options.Output.TABLE or dry_run or not going  # what is asked about must be seen
    if seen_first:
        _show(opened, decisions, form, dry_run=dry_run)
    if going and not dry_run:
        _confirm(opened, going, yes=yes)
        decisions, removed = _remove(opened, rules, going, now)
        if not seen_first:
            _show(opened, decisions, form, dry_run=dry_run)
        terminal.say(removed)
    if not going:
        terminal.say("nothing to remove" if rules else "nothing to remove: no rule was given, so every sample is kept")


def _remove(
    archive: GitArchive, rules: Rules, going: Sequence[Decision], now: datetime
) -> tuple[tuple[Decision, ...], str]:
    """Remove samples; the decisions that were carried out, and what was done in words."""
    from gitsnap.capture import prune

    with archive.writer() as writer:
        decisions = prune.prune(writer, rules, only={decision.sample.tag for decision in going}, now=now)
    removed = f"{_samples(sum(not decision.keep for decision in decisions))} removed from {archive.location}"
    terminal.done(removed)
    return decisions, removed


def keep(
    *,
    sample: Annotated[
        str,
        typer.Argument(
            metavar="SAMPLE", help="As --sample of the other commands takes it.", autocompletion=completion.samples
        ),
    ],
    archive: ArchiveChoice,
    remove: Annotated[bool, typer.Option("--remove", help="Take the mark away again.")] = False,
) -> None:
    """Mark a sample, so that retention never removes it.

    Example: gitsnap keep 2023-08-26:05:00:00 --snapshot hourly
    """
    opened = archive.open_to_write()
    chosen = samples.find_sample(opened.samples(), sample)
    with opened.writer() as writer:
        if remove:
            writer.unmark(chosen)
        else:
            writer.mark(chosen)
    terminal.done(f"the mark of {chosen.tag} was {'removed' if remove else 'set'}")
    terminal.result(f"{chosen.tag}: {'left to retention' if remove else 'kept, whatever retention says'}")


def _rules(policy: str, file: Path | None, given: Retention, zone: str) -> Rules:
    if file is None:
        return Rules(given, zone or _DEFAULT_ZONE)
    if given != Retention() or zone:
        raise UsageError("--file gives the rules already: leave it out, or the --keep options and --time-zone")
    return Rules.of(policy_from_file(policy, file))


def _confirm(archive: GitArchive, going: Sequence[Decision], *, yes: bool) -> None:
    """Ask the person at the terminal. Raises RefusedError where there is none, AbortedError for a no."""
    if yes:
        return
    if not terminal.can_ask():
        raise RefusedError(
            "nothing was removed: there is no terminal to confirm at", hint="Give --yes to remove the samples."
        )
    if not terminal.confirmed(f"Remove {_samples(len(going))} from {archive.location}?"):
        raise AbortedError("nothing was removed")


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"


def _show(archive: GitArchive, decisions: Sequence[Decision], form: options.Output, *, dry_run: bool) -> None:
    if form is not options.Output.TABLE:
        document = {"kind": "Prune", "policy": archive.policy, "dryRun": dry_run}
        terminal.structured({**document, "samples": [_document(one) for one in decisions]}, form)
        return
    rows = [[one.sample.moment, _action(one), ", ".join(one.reasons)] for one in decisions]
    least = {"date": terminal.DATE_COLUMNS}
    terminal.result(render_table(["date", "action", "reasons"], rows, columns=terminal.columns(), least=least))


def _document(decision: Decision) -> dict[str, object]:
    return {"action": _action(decision), "reasons": list(decision.reasons), "sample": describe(decision.sample)}


def _action(decision: Decision) -> str:
    return "keep" if decision.keep else "remove"
