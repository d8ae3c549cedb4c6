"""``gitsnap list``: the samples, and the changes, of one archive or of all archives in the storage.

This module must not open a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.documents import change_document, changes_text, sample_document
from gitsnap.cli.headings import say_heading
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_period, say_period
from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import EXIT_INCOMPLETE, ArchiveError
from gitsnap.core.model import Consistency, IncompleteKind, Sample, SampleMetadata
from gitsnap.core.states import SHORT_ID, ChangeState, State, author_text, incomplete_of
from gitsnap.core.text import plural
from gitsnap.format.sample_message import first_line
from gitsnap.history.change_finder import Changes
from gitsnap.history.moments import Period
from gitsnap.render import render_table

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.completeness import MissingPart

_WIDE_COLUMNS = (
    ("changes", False),
    ("objects", False),
    ("complete", False),
    ("commit", False),
    ("trigger", False),
    ("by", True),
    ("reason", True),
    ("kept", False),
)
"""The additional columns of --wide. The second value says whether a column without values is left out."""

_CHANGE_COLUMNS = frozenset({"changes", "commit", "trigger", "by"})
"""The additional columns of --changes, without --wide."""

_Wide = Annotated[
    bool,
    typer.Option(
        "--wide",
        "-w",
        help="Also show changes, objects, completeness, commit, trigger, user and marks. Same as -o wide.",
    ),
]
_Last = Annotated[
    int,
    typer.Option(
        "--last",
        metavar="N",
        parser=options.whole_number(0),
        show_default=False,
        help="Only the newest N samples of each archive. Default: all samples.",
    ),
]
_Changes = Annotated[
    bool,
    typer.Option(
        "--changes", help="Also list the changes between samples that follow mode recorded. --last counts both."
    ),
]
_Reverse = Annotated[bool, typer.Option("--reverse", help="List the newest sample first.")]


def list_(
    *,
    archive: ArchiveOptions,
    last: _Last = 0,
    since: options.Since = "",
    until: options.Until = "",
    changes: _Changes = False,
    reverse: _Reverse = False,
    wide: _Wide = False,
    form: options.WideOrNameOutput = terminal.Output.TABLE,
) -> None:
    """List samples, oldest first. Dates are in UTC.

    Without --snapshot, the samples of all archives in the storage are listed.

    With --changes: the changes that follow mode recorded between the samples are listed too. The trigger of a change is
    `change`, and its commit is its name for `gitsnap show`, `diff` and `rollback`. Exit status 13: a change cannot be
    read; a warning names it.

    Example: gitsnap list --snapshot hourly --last 10 --wide

    Example: gitsnap list --changes --since 2h

    Example: gitsnap list --since yesterday --reverse
    """
    period = choose_period(since, until)
    damaged: list[ArchiveError] = []
    archives = archive.find_all(damaged)
    listings = [(opened.policy, *opened.listing()) for opened in archives]
    for policy, listed, _ in listings:
        say_period(listed, period, policy if len(listings) > 1 else "")
    histories = [Changes(opened) for opened in archives]
    states = [
        (opened.policy, state)
        for opened, history, (_, listed, _) in zip(archives, histories, listings, strict=True)
        for state in _selected(listed, period, last, history if changes else None, reverse=reverse)
    ]
    kept = {tag for opened in archives for tag in opened.marked()}
    parts = [part for opened in archives for part in _warn_of_missing_parts(opened)]
    for policy, _, problems in listings:
        for problem in problems:
            terminal.say(f"warning: {policy}: the tag {problem.tag} cannot be read: {problem.reason}")
    if form is terminal.Output.NAME:
        terminal.print_names(state.tag for _, state in states)
    elif not form.is_document:
        noun = "samples and changes" if changes else "samples"
        say_heading(f"{noun} of {_describe_archives(archives, archive.folder)}; dates in UTC")
        _print_table(states, kept, wide=wide or form is terminal.Output.WIDE, changes=changes)
        if not archives and not damaged:
            _say_empty(archive.folder)
    else:
        terminal.print_document(_document([state for _, state in states], kept, changes=changes), form)
    unreadable = [_warn_of_unreadable_changes(*pair, period) for pair in zip(archives, histories, strict=True)]
    for error in damaged:  # the samples of the other archives were listed
        terminal.say(f"error: {error}")
    hidden = parts or any(problem.damaged for _, _, problems in listings for problem in problems)
    if damaged or any(part.category == "refs" for part in parts) or (hidden and not states):
        raise typer.Exit(exit_code_of(ArchiveError))
    if any(unreadable):
        raise typer.Exit(EXIT_INCOMPLETE)


def _describe_archives(archives: list[GitArchive], folder: Path) -> str:
    if len(archives) == 1:
        return f"the archive {archives[0].source}"
    return f"{plural(len(archives), 'archive')} in {folder.resolve()}"


def _selected(
    samples: Sequence[Sample], period: Period, last: int, changes: Changes | None, *, reverse: bool
) -> Sequence[State]:
    """Return the samples of a period, with ``changes`` also its changes, oldest first; newest first with ``reverse``.

    ``last``: only so many of the newest; 0 for all.
    """
    newest_first: Iterator[State] = changes.newest_first(samples) if changes else reversed(samples)
    within = (state for state in newest_first if state.time in period) if period else newest_first
    selected = list(islice(within, last or None))
    return selected if reverse else selected[::-1]


def _document(states: Sequence[State], kept: set[str], *, changes: bool) -> dict[str, object]:
    samples = [state for state in states if isinstance(state, Sample)]
    listed = [{**sample_document(sample), "kept": sample.tag in kept} for sample in samples]
    document: dict[str, object] = {"kind": "SampleList", "samples": listed}
    if changes:
        document["changes"] = [change_document(state) for state in states if isinstance(state, ChangeState)]
    return document


def _print_table(states: list[tuple[str, State]], kept: set[str], *, wide: bool, changes: bool) -> None:
    header = ["snapshot policy", "date"]
    rows = [[policy, state.moment if isinstance(state, Sample) else state.date] for policy, state in states]
    if wide or changes:
        cells = [[*_wide_cells(state), "yes" if state.tag in kept else ""] for _, state in states]
        columns = [
            number
            for number, (name, is_optional) in enumerate(_WIDE_COLUMNS)
            if (wide or name in _CHANGE_COLUMNS) and (not is_optional or any(row[number] for row in cells))
        ]
        header += [_WIDE_COLUMNS[number][0] for number in columns]
        rows = [[*row, *(values[number] for number in columns)] for row, values in zip(rows, cells, strict=True)]
    terminal.print_result(render_table(header, rows, columns=terminal.width(), group=header[0]))


def _warn_of_missing_parts(archive: GitArchive) -> list[MissingPart]:
    """Print a warning for each part that this copy of an archive lacks, and return the parts."""
    parts = archive.missing_parts()
    terminal.warn_missing(archive.policy, parts)
    return parts


def _warn_of_unreadable_changes(archive: GitArchive, changes: Changes, period: Period) -> bool:
    """Print a warning for each change of a period that cannot be read; return whether there is one."""
    unreadable = [change for change in changes.unreadable if change.time is None or change.time in period]
    for change in unreadable:
        terminal.say(f"warning: {archive.policy}: {change}; the list is not complete")
    return bool(unreadable)


def _say_empty(folder: Path) -> None:
    terminal.say(f"there is no archive in {folder.resolve()}")
    terminal.say("Name the folder with --storage or GITSNAP_STORAGE. `gitsnap capture` creates an archive.")
    if (folder / "snapshot").is_dir():
        terminal.say(f"`gitsnap import --from {folder}` imports the samples of the old Sveltos Snapshot feature")


def _wide_cells(state: State) -> list[str]:
    """Return the cells of ``_WIDE_COLUMNS`` without the last one."""
    incomplete = (f"{_describe_incomplete(kind)} {kind.substitute}" for kind in incomplete_of(state))
    complete = ", ".join(incomplete) or "yes"
    if isinstance(state, ChangeState):
        changed = state.change.subject.partition(": ")[2]
        by = author_text(state.author, late=state.change.late)
        return [changed, "", complete, state.moment, "change", by, ""]
    metadata = state.metadata
    if metadata.consistency is Consistency.PER_KIND:
        complete += ", not at one instant"
    if metadata.unresolved:
        complete += f", {metadata.unresolved} unresolved"
    trigger = f"{metadata.trigger}, imported" if metadata.imported else str(metadata.trigger)
    changed, reason = changes_text(metadata.changes), first_line(metadata.message)
    return [changed, str(metadata.objects), complete, state.commit[:SHORT_ID], trigger, _user(metadata), reason]


def _user(metadata: SampleMetadata) -> str:
    """Return the user of a rollback; ``""`` for other samples."""
    from gitsnap.format import parse_record

    record = parse_record(metadata.extra)
    return record.person if record else ""


def _describe_incomplete(incomplete: IncompleteKind) -> str:
    """Return ``ClusterProfile`` for a kind, ``Cluster default/deep`` for a single object."""
    name = "/".join(filter(None, (incomplete.namespace, incomplete.name)))
    return f"{incomplete.kind.name} {name}" if name else incomplete.kind.name
