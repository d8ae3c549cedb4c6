"""``gitsnap log``: the change log of everything, of one object, or of one managed cluster.

This module must not open a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gitsnap.cli import completion, options, terminal
from gitsnap.cli.resolve import ArchiveChoice
from gitsnap.core.errors import EXIT_INCOMPLETE, UsageError
from gitsnap.core.model import Sample
from gitsnap.diff.rows import Comparison
from gitsnap.history import changelog
from gitsnap.history import samples as history
from gitsnap.render import render_table
from gitsnap.sveltos.filters import Filters

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.ports import Tree
    from gitsnap.diff.changes import Change
    from gitsnap.diff.rows import ObjectActions

_Found = TypeVar("_Found")

_HEADER = ["date", "resource type", "namespace", "name", "action", "fields", "by"]
_CLUSTER_HEADER = ["date", "cluster", "resource type", "namespace", "name", "action", "message"]
_MOMENT = "2023-08-26, 2023-08-26:05:20:00 or RFC 3339; UTC unless it says otherwise."


def log(
    *,
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="[KIND[/NAMESPACE]/NAME]",
            help="Only this kind or object. Default: everything.",
            autocompletion=completion.objects,
        ),
    ] = "",
    archive: ArchiveChoice,
    since: Annotated[str, typer.Option("--since", metavar="MOMENT", help=f"Not before: {_MOMENT}")] = "",
    until: Annotated[str, typer.Option("--until", metavar="MOMENT", help="Not after.")] = "",
    clusters: options.Clusters = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many changes; 0 for all.")] = 0,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Show when objects changed, in which fields, and who did it.

    Newest first, deleted objects too.

    With --cluster: what changed for that managed cluster.

    Example: gitsnap log ClusterProfile/guestbook --since 2023-08-01
    """
    opened = archive.open()
    bounds = {
        "since": history.parse_moment(since, end=False) if since else None,
        "until": history.parse_moment(until, end=True) if until else None,
    }
    if clusters:
        if wanted:
            raise UsageError("--cluster shows what changed for a cluster: leave out the object, or --cluster")
        _show_clusters(opened, Filters(clusters=tuple(clusters)), bounds, limit, form)
        return
    chosen = changelog.ObjectPattern.parse(wanted)
    found = _gathered(islice(changelog.read_entries(opened, chosen, _find_actions, **bounds), limit or None))
    if not found and (samples := opened.samples()):
        newest = opened.tree(samples[-1])
        changelog.check_kind(opened, chosen, newest)
        changelog.check_existed(opened, chosen, (one.key for one in history.list_objects(newest, kind=chosen.kind)))
    _show_objects(found, form)
    _check_whole(opened, found)


def _find_actions(before: Tree, after: Tree, changes: Sequence[Change]) -> ObjectActions:
    """Return what happened to the objects that one of two trees lacks."""
    from gitsnap.diff.object_actions import object_actions_between  # most logs show modifications only

    return object_actions_between(before, after, changes)


def _check_whole(archive: GitArchive, found: Sequence[object]) -> None:
    """Exit with 13 where nothing was found in a history that is not whole."""
    if not found and archive.lacks():
        raise typer.Exit(EXIT_INCOMPLETE)


def _gathered(found: Iterable[_Found]) -> list[_Found]:
    """All of them, with progress on a terminal."""
    gathered = []
    with terminal.ProgressLine("reading the history", says=lambda what, count: f"reading: {count} {what}") as progress:
        for one in found:
            gathered.append(one)
            progress("changes", len(gathered))
    return gathered


def _show_objects(found: list[changelog.LogEntry], form: options.Output) -> None:
    if form is options.Output.TABLE:
        rows = [
            [
                _date(one) or "(by hand)",
                f"{one.key.kind.group}/{one.key.kind.name}",
                one.key.namespace,
                one.key.name,
                one.action,
                one.fields,
                one.manager,
            ]
            for one in found
        ]
        terminal.result(_table(_HEADER, rows) if rows else "no changes found")
        return
    changes = [
        {
            "date": _date(one),
            "sample": one.sample.tag if one.sample else None,
            "kind": str(one.key.kind),
            "namespace": one.key.namespace,
            "name": one.key.name,
            "action": one.action,
            "fields": one.fields,
            "manager": one.manager,
        }
        for one in found
    ]
    terminal.structured({"kind": "ChangeLog", "changes": changes}, form)


def _date(entry: changelog.LogEntry) -> str | None:
    """As ``list`` prints it; of a change whose sample is not there, the moment when it was taken."""
    if entry.sample is not None:
        return entry.sample.moment
    return entry.time.strftime("%Y-%m-%d:%H:%M:%S") if entry.time is not None else None


def _table(header: list[str], rows: list[list[str]]) -> str:
    return render_table(header, rows, columns=terminal.columns(), least={"date": terminal.DAY_COLUMNS})


def _show_clusters(
    archive: GitArchive,
    filters: Filters,
    bounds: dict[str, datetime | None],
    limit: int,
    form: options.Output,
) -> None:
    from gitsnap.history import filter_check  # which the log of objects has no use for
    from gitsnap.history.cluster_changelog import cluster_changes

    samples = archive.samples()
    newest = history.find_sample(samples, "latest")
    known = chain(filter_check.clusters_of(archive.tree(newest)), filter_check.clusters_ever(archive, filters.clusters))
    filter_check.check_clusters(filters.clusters, known, where="the history of the archive")
    history.sample_before(samples, newest)  # with one sample there is nothing to compare
    found = islice(cluster_changes(samples, archive.tree, filters, **bounds), limit or None)
    rows = [row for sample, comparison in _gathered(found) for row in _cluster_rows(sample, comparison)]
    if form is options.Output.TABLE:
        terminal.result(_table(_CLUSTER_HEADER, rows) if rows else "no changes found")
    else:
        names = ["date", "cluster", "resourceType", "namespace", "name", "action", "message"]
        terminal.structured(
            {"kind": "ClusterChangeLog", "changes": [dict(zip(names, row, strict=True)) for row in rows]}, form
        )
    _check_whole(archive, rows)


def _cluster_rows(sample: Sample, comparison: Comparison) -> list[list[str]]:
    return [
        [sample.moment, row.cluster, row.resource_type, row.namespace, row.name, str(row.action), row.message]
        for row in comparison.rows
    ]
