"""``gitsnap log``: the change log of all objects, of one object, or of one managed cluster.

This module must not open a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.field_texts import origin_author
from gitsnap.cli.headings import say_heading
from gitsnap.cli.history_documents import (
    cluster_log_document,
    log_document,
    origin_date,
    origin_reason,
    state_date,
    state_reason,
)
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_period, say_period
from gitsnap.core.errors import EXIT_INCOMPLETE, NotFoundError, UsageError
from gitsnap.core.states import SHORT_ID, ChangeState, State, author_text
from gitsnap.format.sample_message import first_line
from gitsnap.history import changelog
from gitsnap.history import samples as history
from gitsnap.history.change_finder import Changes
from gitsnap.render import render_table
from gitsnap.sveltos.filters import Filters

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.ports import Tree
    from gitsnap.diff.object_changes import ObjectChange
    from gitsnap.diff.rows import DiffRow, ObjectActions

_Entry = TypeVar("_Entry")

_HEADER = ["date", "resource type", "namespace", "name", "action", "fields", "by"]
_CLUSTER_HEADER = ["date", "cluster", "resource type", "namespace", "name", "action", "message"]
_CHANGE_COLUMN = "change"


_Limit = Annotated[
    int,
    typer.Option(
        "--limit",
        metavar="N",
        parser=options.whole_number(0),
        show_default=False,
        help="Maximum number of changes. Default: 0, for all changes.",
    ),
]


def log(
    *,
    words: arguments.Objects = None,
    archive: ArchiveOptions,
    since: options.Since = "",
    until: options.Until = "",
    clusters: options.Clusters = None,
    limit: _Limit = 0,
    form: options.NameOutput = terminal.Output.TABLE,
) -> None:
    """Show when objects changed, in which fields, and by whom.

    The newest changes come first. Deleted objects are included.

    A change that follow mode recorded between two samples has its own time, its author with the source of the name, and
    in the column `change` the name for `gitsnap show`, `diff` and `rollback`. All other changes have the time of the
    sample that first contains them, and the field manager.

    With --cluster: show what changed in that managed cluster.

    Exit status 13: a change cannot be read; a warning names it.

    Example: gitsnap log cm/default/database ClusterProfile/guestbook --since 2023-08-01
    """
    period = choose_period(since, until)
    opened = archive.open()
    say_period(opened.samples(), period)
    bounds = {"since": period.since, "until": period.until}
    if clusters:
        if words:
            raise UsageError("--cluster shows what changed in a cluster: omit the object, or --cluster")
        if form is terminal.Output.NAME:
            raise UsageError("--output name lists objects of the management cluster: omit it, or --cluster")
        _show_clusters(opened, Filters(clusters=tuple(clusters)), bounds, limit, form)
        return
    patterns = _parse_patterns(opened, words or [])
    entries = _collect(islice(changelog.read_entries(opened, patterns, _find_actions, **bounds), limit or None))
    _check_existed(opened, patterns, entries)
    if form is terminal.Output.TABLE:
        say_heading(f"changes in the archive {opened.source}, newest first; dates in UTC")
    _show_entries(entries, form)
    _check_complete(opened, entries)
    _check_readable({entry.origin: None for entry in entries if entry.origin.problem})


def _parse_patterns(archive: GitArchive, words: list[str]) -> list[changelog.ObjectPattern]:
    """Parse the patterns for kinds and objects. The newest sample explains the kinds. Raises UsageError."""
    if not words:
        return []
    names = changelog.newest_kinds(archive)
    return [changelog.ObjectPattern.parse(word, names) for word in arguments.parse_patterns(words)]


def _check_existed(
    archive: GitArchive, patterns: Sequence[changelog.ObjectPattern], entries: Sequence[changelog.LogEntry]
) -> None:
    """Raise NotFoundError if the archive never had an object that matches one of the patterns.

    Raises UsageError if a pattern is the name of an object, and the pattern before it is the kind.
    """
    samples = archive.samples() if patterns else ()
    for position, pattern in enumerate(patterns):
        if not samples or any(pattern.matches(entry.key) for entry in entries):
            continue
        newest = archive.tree(samples[-1])
        before = patterns[position - 1] if position else None
        try:
            changelog.check_existed(archive, pattern, newest)
        except NotFoundError:
            if pattern.name or before is None or before.name or before.meaning is None:
                raise
            written = arguments.joined(before.kind, pattern.kind)
            raise UsageError(f"{pattern.kind} is not a kind", hint=f"An object is one word: {written}.") from None


def _check_complete(archive: GitArchive, entries: Sequence[object]) -> None:
    """Raise typer.Exit with EXIT_INCOMPLETE if no change was found, and the archive lacks a part of the history.

    If the archive has no sample at all, a note says so.
    """
    if not entries and archive.missing_parts():
        raise typer.Exit(EXIT_INCOMPLETE)
    if not entries and not archive.samples():
        terminal.say("note: the archive has no sample; `gitsnap capture` takes one")


def _check_readable(origins: Iterable[changelog.CommitOrigin]) -> None:
    """Print a warning for each change that cannot be read. Raises typer.Exit with EXIT_INCOMPLETE if there is one."""
    problems = [origin.problem for origin in origins]
    for problem in problems:
        terminal.say(f"warning: {problem}; its author is not known")
    if problems:
        raise typer.Exit(EXIT_INCOMPLETE)


def _collect(entries: Iterable[_Entry]) -> list[_Entry]:
    """Return all entries, and show progress on a terminal while they are read."""
    collected = []
    with terminal.ProgressLine(
        "reading the history", describe=lambda noun, count: f"reading: {count} {noun}"
    ) as progress:
        for entry in entries:
            collected.append(entry)
            progress("changes", len(collected))
    return collected


def _show_entries(entries: list[changelog.LogEntry], form: terminal.Output) -> None:
    if form is terminal.Output.NAME:
        terminal.print_names(dict.fromkeys(entry.key.path for entry in entries))
        if not entries:
            terminal.say("no changes found")
        return
    if form is terminal.Output.TABLE:
        rows = [
            [
                origin_date(entry.origin) or "(by hand)",
                entry.key.kind.resource_type,
                entry.key.namespace,
                entry.key.name,
                entry.action,
                entry.fields,
                origin_author(entry.origin, entry.manager),
            ]
            for entry in entries
        ]
        header, rows = _with_column(_HEADER, rows, _CHANGE_COLUMN, [_short(entry.origin.commit) for entry in entries])
        header, rows = _with_reasons(header, rows, [origin_reason(entry.origin) for entry in entries])
        terminal.print_result(_table(header, rows) if rows else "no changes found")
        return
    terminal.print_document(log_document(entries), form)


def _short(commit: str | None) -> str:
    return commit[:SHORT_ID] if commit else ""


def _with_reasons(
    header: list[str], rows: list[list[str]], reasons: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Add a column with the messages of the samples, if a sample has a message."""
    return _with_column(header, rows, "reason", [first_line(reason) for reason in reasons])


def _with_column(
    header: list[str], rows: list[list[str]], name: str, values: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Add a column, if one of its values is not empty."""
    if not any(values):
        return header, rows
    return [*header, name], [[*row, value] for row, value in zip(rows, values, strict=True)]


def _table(header: list[str], rows: list[list[str]]) -> str:
    return render_table(header, rows, columns=terminal.width())


def _show_clusters(
    archive: GitArchive,
    filters: Filters,
    bounds: dict[str, datetime | None],
    limit: int,
    form: terminal.Output,
) -> None:
    from gitsnap.history import filter_check  # the log of objects does not need it
    from gitsnap.history.cluster_changelog import cluster_changes

    samples = archive.samples()
    newest = history.find_sample(samples, "latest")
    known = chain(filter_check.clusters_of(archive.tree(newest)), filter_check.clusters_ever(archive, filters.clusters))
    filter_check.check_clusters(filters.clusters, known, where="the history of the archive")
    history_changes = Changes(archive)
    states = history_changes.newest_first(samples)
    if len(samples) == 1 and len(first := list(islice(states, 2))) > 1:
        states = chain(first, states)
    else:
        history.sample_before(samples, newest)  # raises an error if there is only one sample
    changes = islice(cluster_changes(states, archive.tree, filters, **bounds), limit or None)
    by_row = [(row, state) for state, comparison in _collect(changes) for row in comparison.rows]
    rows = [_cluster_row(row, state) for row, state in by_row]
    if form is terminal.Output.TABLE:
        named = ", ".join(filters.clusters)
        say_heading(f"changes on {named} in the archive {archive.source}, newest first; dates in UTC")
        made = [state if isinstance(state, ChangeState) else None for _, state in by_row]
        header, rows = _with_column(_CLUSTER_HEADER, rows, "by", [_author(state) for state in made])
        header, rows = _with_column(header, rows, _CHANGE_COLUMN, [state.moment if state else "" for state in made])
        header, rows = _with_reasons(header, rows, [state_reason(state) for _, state in by_row])
        terminal.print_result(_table(header, rows) if rows else "no changes found")
    else:
        terminal.print_document(cluster_log_document(by_row), form)
    _check_complete(archive, rows)
    for change in history_changes.unreadable:
        terminal.say(f"warning: {change}; the next sample or change shows what it changed")
    if history_changes.unreadable:
        raise typer.Exit(EXIT_INCOMPLETE)


def _author(state: ChangeState | None) -> str:
    return author_text(state.author, late=state.change.late) if state else ""


def _cluster_row(row: DiffRow, state: State) -> list[str]:
    return [
        state_date(state),
        row.cluster,
        row.resource_type,
        row.namespace,
        row.name,
        str(row.action),
        row.note,
    ]


def _find_actions(before: Tree, after: Tree, changes: Sequence[ObjectChange]) -> ObjectActions:
    """Return the actions on objects that one of two trees lacks."""
    from gitsnap.diff.object_actions import object_actions_between  # most logs show modifications only

    return object_actions_between(before, after, changes)
