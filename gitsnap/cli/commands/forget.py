"""``gitsnap forget``: remove single samples.

This module must not decide which samples are protected; ``gitsnap.policy.retention`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.headings import say_heading
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_sample_only, revert_hint, say_changes_stay
from gitsnap.cli.system_user import user_name
from gitsnap.core.model import Sample
from gitsnap.core.text import plural
from gitsnap.format.sample_message import first_line
from gitsnap.render import render_table

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive

_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show which samples would be removed, but remove none.")]


def forget(
    *,
    words: arguments.SeveralSamples,
    archive: ArchiveOptions,
    message: options.Message = None,
    dry_run: _DryRun = False,
    yes: options.Yes = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Remove single samples.

    A sample is a tag: the branch keeps the history of the configuration. The next sample records which samples were
    removed, when, by whom, and the --message. All named samples are removed, or none. These samples cannot be removed:
    the newest sample, samples marked by `gitsnap keep`, samples that an unfinished rollback needs, and the sample after
    a rollback without the sample before it. To remove the samples from the remote as well, run `gitsnap push --prune`.

    Example: gitsnap forget 2023-08-26:05:00:00 2023-08-26:05:20:00 --snapshot hourly --dry-run
    """
    from gitsnap.capture import prune

    names = arguments.parse(words, samples=len(words)).samples
    opened = archive.open_to_write()
    opened.check_samples()
    now = datetime.now(UTC)
    samples = opened.samples()
    chosen = sorted({_choose(opened, name) for name in names}, key=lambda sample: sample.order)
    prune.check_forgettable(samples, chosen, marked=opened.marked())
    if form is terminal.Output.TABLE:  # the user must see the samples before the question
        _show_table(chosen, opened.location)
    terminal.warn(_lost_undos(samples, chosen))
    say_changes_stay(opened)
    if not dry_run:
        question = f"Remove {plural(len(chosen), 'sample')} from {opened.location}?"
        terminal.confirm(question, yes=yes, unchanged="nothing was removed")
        with opened.writer() as writer:
            prune.forget(writer, chosen, time=now, user=user_name(), message=message or "")
        terminal.note_finished(f"{plural(len(chosen), 'sample')} removed from {opened.location}")
    if form is not terminal.Output.TABLE:
        _print_document(opened, chosen, form, message=message or "", dry_run=dry_run)
    if dry_run:
        terminal.say(f"dry run: {plural(len(chosen), 'sample')} would be removed from {opened.location}")
    else:
        terminal.say(f"{plural(len(chosen), 'sample')} removed from {opened.location}")


def _choose(archive: GitArchive, name: str) -> Sample:
    """Return the sample with a name. Raises UsageError for a change."""
    return choose_sample_only(
        archive,
        name,
        reason="cannot be removed: the history of the branch is never rewritten",
        hint=lambda change: revert_hint(archive, change),
    )


def _show_table(chosen: Sequence[Sample], location: str) -> None:
    rows = [
        [sample.moment, str(sample.metadata.trigger), str(sample.metadata.objects), first_line(sample.metadata.message)]
        for sample in chosen
    ]
    header = ["date", "trigger", "objects", "message"]
    say_heading(f"samples of the archive {location} to remove; dates in UTC")
    terminal.print_result(render_table(header, rows, columns=terminal.width()))


def _print_document(
    archive: GitArchive, chosen: Sequence[Sample], form: terminal.Output, *, message: str, dry_run: bool
) -> None:
    document = {"kind": "Forget", "policy": archive.policy, "dryRun": dry_run, "message": message}
    terminal.print_document({**document, "samples": [sample_document(sample) for sample in chosen]}, form)


def _lost_undos(samples: Sequence[Sample], chosen: Sequence[Sample]) -> list[str]:
    """Return a warning for each rollback that cannot be undone without the chosen samples."""
    from gitsnap.rollback import past_rollbacks

    return [
        f"without {rollback.before.tag}, `gitsnap undo` cannot undo the rollback to {rollback.record.goal}"
        for rollback in past_rollbacks(samples)
        if rollback.before in chosen and rollback.changed_something
    ]
