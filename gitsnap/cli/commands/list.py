"""``gitsnap list``: the samples of one archive or of all archives in the storage.

This module must not open a cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.headings import say_heading
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Consistency, IncompleteKind, Sample
from gitsnap.core.text import plural
from gitsnap.render import render_table

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.completeness import MissingPart


_Wide = Annotated[
    bool,
    typer.Option("--wide", "-w", help="Also show changes, objects, completeness, commit, trigger and marks."),
]


def list_(
    *,
    archive: ArchiveOptions,
    wide: _Wide = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """List samples, oldest first. Dates are in UTC.

    Without --snapshot, the samples of all archives in the storage are listed.

    Example: gitsnap list --snapshot hourly --wide
    """
    damaged: list[ArchiveError] = []
    archives = archive.find_all(damaged)
    listings = [(opened.policy, *opened.listing()) for opened in archives]
    samples = [(policy, sample) for policy, listed, _ in listings for sample in listed]
    kept = {tag for opened in archives for tag in opened.marked()}
    parts = [part for opened in archives for part in _warn_of_missing_parts(opened)]
    for policy, _, problems in listings:
        for problem in problems:
            terminal.say(f"warning: {policy}: the tag {problem.tag} cannot be read: {problem.reason}")
    if form is terminal.Output.TABLE:
        say_heading(f"samples of {_describe_archives(archives, archive.folder)}; dates in UTC")
        _print_table(samples, kept, wide=wide)
        if not archives and not damaged:
            _say_empty(archive.folder)
    else:
        documents = [{**sample_document(sample), "kept": sample.tag in kept} for _, sample in samples]
        terminal.print_document({"kind": "SampleList", "samples": documents}, form)
    for error in damaged:  # the samples of the other archives were listed
        terminal.say(f"error: {error}")
    hidden = parts or any(problem.damaged for _, _, problems in listings for problem in problems)
    if damaged or any(part.category == "refs" for part in parts) or (hidden and not samples):
        raise typer.Exit(exit_code_of(ArchiveError))


def _describe_archives(archives: list[GitArchive], folder: Path) -> str:
    if len(archives) == 1:
        return f"the archive {archives[0].location}"
    return f"{plural(len(archives), 'archive')} in {folder.resolve()}"


def _print_table(samples: list[tuple[str, Sample]], kept: set[str], *, wide: bool) -> None:
    header = ["snapshot policy", "date"]
    if wide:
        header += ["changes", "objects", "complete", "commit", "trigger", "kept"]
    rows = [
        [policy, sample.moment, *(_wide_cells(sample, kept=sample.tag in kept) if wide else ())]
        for policy, sample in samples
    ]
    terminal.print_result(render_table(header, rows, columns=terminal.width(), group=header[0]))


def _warn_of_missing_parts(archive: GitArchive) -> list[MissingPart]:
    """Print a warning for each part that this copy of an archive lacks, and return the parts."""
    parts = archive.missing_parts()
    terminal.warn_missing(archive.policy, parts)
    return parts


def _say_empty(folder: Path) -> None:
    terminal.say(f"there is no archive in {folder.resolve()} yet: `gitsnap capture` creates one")
    if (folder / "snapshot").is_dir():
        terminal.say(f"`gitsnap import --from {folder}` imports the samples of the old Sveltos Snapshot feature")


def _wide_cells(sample: Sample, *, kept: bool) -> list[str]:
    metadata = sample.metadata
    changes = metadata.changes
    signs = ((changes.added, "+"), (changes.modified, "~"), (changes.deleted, "-"))
    changed = " ".join(f"{sign}{count}" for count, sign in signs if count) or "none"
    incomplete = (f"{_describe_incomplete(kind)} {kind.substitute}" for kind in metadata.incomplete)
    complete = ", ".join(incomplete) or "yes"
    if metadata.consistency is Consistency.PER_KIND:
        complete += ", not at one instant"
    if metadata.unresolved:
        complete += f", {metadata.unresolved} unresolved"
    trigger = f"{metadata.trigger}, imported" if metadata.imported else str(metadata.trigger)
    return [changed, str(metadata.objects), complete, sample.commit[:12], trigger, "yes" if kept else ""]


def _describe_incomplete(incomplete: IncompleteKind) -> str:
    """Return ``ClusterProfile`` for a kind, ``Cluster default/deep`` for a single object."""
    name = "/".join(filter(None, (incomplete.namespace, incomplete.name)))
    return f"{incomplete.kind.name} {name}" if name else incomplete.kind.name
