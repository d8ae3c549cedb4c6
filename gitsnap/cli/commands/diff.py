"""``gitsnap diff``: what changed between two samples, or between a sample and the cluster now.

This module must not work out differences; ``gitsnap.diff`` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.commands.list import describe
from gitsnap.cli.resolve import ArchiveChoice, ClusterChoice
from gitsnap.core.errors import EXIT_DIFFERENCES, UsageError
from gitsnap.core.model import Sample
from gitsnap.diff.comparison import compare
from gitsnap.diff.raw_diff import RawDiff
from gitsnap.diff.rows import Comparison
from gitsnap.history import filter_check
from gitsnap.history import samples as history
from gitsnap.render import paint_diff, render_table, visible, wrapped
from gitsnap.sveltos.filters import Filters

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.ports import Tree

LIVE = "live"
_CLUSTER_HEADER = ["cluster", "resource type", "namespace", "name", "action", "message"]
_OBJECT_HEADER = ["resource type", "namespace", "name", "action", "message"]


def diff(
    *,
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    archive: Annotated[
        list[str] | None,
        typer.Option("--archive", metavar="DIR|URL", help="The archive's own folder, or a git URL; two are compared."),
    ] = None,
    from_sample: options.FromSample = "",
    to_sample: options.ToSample = "latest",
    raw_diff: options.RawDiff = False,
    decrypt: Annotated[
        bool, typer.Option("--decrypt", help="With --raw-diff: show values of Secrets and other hidden values.")
    ] = False,
    namespace: options.Namespaces = None,
    clusters: options.Clusters = None,
    exit_code: options.ExitCode = False,
    cluster: ClusterChoice,
    identity: options.Identity = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Show what changed between two samples.

    Per managed cluster, and in the management cluster.

    Example: gitsnap diff --snapshot hourly --from-sample 2023-08-26:05:00:00 --to-sample 2023-08-26:05:20:00

    Example: gitsnap diff --archive staging/hourly --archive production/hourly
    """
    if decrypt and (not raw_diff or to_sample == LIVE):
        raise UsageError("--decrypt shows values in the --raw-diff of two samples")
    opened, other = _archives(storage, snapshot, archive or [])
    samples = opened.samples()
    if to_sample == LIVE:
        if other is not opened:
            raise UsageError("--to-sample live compares with a cluster: give one --archive")
        before = history.find_sample(samples, from_sample or "latest")
        after_tree, server = _live(opened, before, cluster, identity or [])
        after: Sample | None = None
    else:
        after = history.find_sample(samples if other is opened else other.samples(), to_sample)
        if other is not opened:
            from_sample = from_sample or "latest"
        before = history.find_sample(samples, from_sample) if from_sample else history.sample_before(samples, after)
        after_tree = other.tree(after)
    filters = Filters(tuple(namespace or ()), tuple(clusters or ()))
    before_tree = opened.tree(before)
    tags = dict.fromkeys([before.tag, after.tag if after else "the management cluster now"])
    terminal.warn(filter_check.check_filters(filters, [before_tree, after_tree], where=" or ".join(tags)))
    comparison = compare(before_tree, after_tree, filters=filters, texts=raw_diff)
    values: Mapping[str, RawDiff] = {}
    if decrypt and after is not None:
        values = _values((opened, before), (other, after), filters, identity or [])
    of_other = "" if other is opened else f" of {other.location}"
    _say_compared(before, opened.location, f"{_named(after)}{of_other}" if after else f"{server} now")
    if other is opened and after is not None and after.tag == before.tag:
        terminal.warn(["both sides are the same sample"])
    _print(comparison, before, after, raw_diff=raw_diff, values=values, form=form)
    if exit_code and comparison:
        raise typer.Exit(EXIT_DIFFERENCES)


def _say_compared(before: Sample, location: str, compared_with: str) -> None:
    """Say on stderr what an answer is about."""
    heading = f"comparing {_named(before)} of {location} with {compared_with}"
    terminal.say(wrapped(heading, terminal.columns()))


def drift(
    *,
    archive: ArchiveChoice,
    sample: options.SampleToBeLike = "latest",
    raw_diff: options.RawDiff = False,
    namespace: options.Namespaces = None,
    clusters: options.Clusters = None,
    exit_code: options.ExitCode = False,
    cluster: ClusterChoice,
    identity: options.Identity = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Show how the cluster now differs from a sample.

    That is `diff --to-sample live`, for cron and CI.

    Example: gitsnap drift --snapshot hourly --sample latest --exit-code
    """
    diff(
        snapshot=archive.snapshot,
        storage=archive.storage,
        archive=[archive.archive] if archive.archive else None,
        from_sample=sample,
        to_sample=LIVE,
        raw_diff=raw_diff,
        namespace=namespace,
        clusters=clusters,
        exit_code=exit_code,
        cluster=cluster,
        identity=identity,
        form=form,
    )


def _named(sample: Sample) -> str:
    """``hourly/2023-08-26T05-00-00Z (schedule)``."""
    return f"{sample.tag} ({sample.metadata.trigger})"


def _archives(storage: Path | None, snapshot: str, paths: list[str]) -> tuple[GitArchive, GitArchive]:
    """The archives of both sides: one and the same, unless two were named."""
    if len(paths) > 2:
        raise UsageError("--archive: two archives can be compared, not more")
    opened = [ArchiveChoice(snapshot, storage, path).open() for path in paths or [""]]
    return opened[0], opened[-1]


def _print(
    comparison: Comparison,
    before: Sample,
    after: Sample | None,
    *,
    raw_diff: bool,
    values: Mapping[str, RawDiff],
    form: options.Output,
) -> None:
    labels = (before.tag, after.tag if after else LIVE)
    if form is not options.Output.TABLE:
        to = describe(after) if after else LIVE
        terminal.structured(document(comparison, labels, describe(before), to, raw_diff=raw_diff, values=values), form)
    elif raw_diff:
        _print_raw(comparison, labels, values)
    else:
        _print_tables(comparison)
    for one in comparison.not_comparable:
        terminal.say(f"{one.reason}: {one.subject}{f' ({one.detail})' if one.detail else ''}")


def _values(
    before: tuple[GitArchive, Sample], after: tuple[GitArchive, Sample], filters: Filters, identities: list[Path]
) -> Mapping[str, RawDiff]:
    """The raw diffs that show hidden values."""
    from gitsnap.diff.raw_diff import object_texts, raw_diffs
    from gitsnap.diff.rows import object_title
    from gitsnap.history.decryption import revealed_changes
    from gitsnap.secrets import archive_keys

    old, new = (
        (opened.tree(sample), archive_keys.for_reading(opened, sample, identities=identities))
        for opened, sample in (before, after)
    )
    pairs = (object_texts(object_title(key), *versions) for key, *versions in revealed_changes(old, new, filters))
    return {diff.title: diff for diff in raw_diffs(pairs, before[1].tag, after[1].tag)}


def _raw_diffs(comparison: Comparison, labels: tuple[str, str], values: Mapping[str, RawDiff]) -> Iterator[RawDiff]:
    """Those of the comparison, without the ones that are shown with values, and these."""
    yield from (raw for raw in comparison.raw_diffs(*labels) if raw.title not in values)
    yield from values.values()


def _live(archive: GitArchive, sample: Sample, choice: ClusterChoice, identities: list[Path]) -> tuple[Tree, str]:
    """The cluster now, in the scope and mode of the sample it is compared with, and how messages name the cluster."""
    from gitsnap.capture import check_cluster, live_tree
    from gitsnap.secrets import archive_keys

    cluster = choice.open()
    info = cluster.info()
    check_cluster(archive, info)
    keeper = archive_keys.for_reading(archive, sample, identities=identities)
    progress = terminal.ProgressLine()
    try:
        tree = live_tree(cluster, archive.tree(sample).info, keeper=keeper, progress=progress)
        return tree, f"the cluster {info.server} (context {info.context})"
    finally:
        progress.clear()


def _print_tables(comparison: Comparison) -> None:
    if not comparison:
        terminal.result("no changes detected")
        return
    if comparison.rows:
        rows = [
            [row.cluster, row.resource_type, row.namespace, row.name, str(row.action), row.message]
            for row in comparison.rows
        ]
        terminal.result(render_table(_CLUSTER_HEADER, rows, columns=terminal.columns()))
    if comparison.management:
        rows = [
            [row.resource_type, row.namespace, row.name, str(row.action), row.message] for row in comparison.management
        ]
        title = "\nmanagement cluster:\n" if comparison.rows else "management cluster:\n"
        terminal.result(title + render_table(_OBJECT_HEADER, rows, columns=terminal.columns()))


def _print_raw(comparison: Comparison, labels: tuple[str, str], values: Mapping[str, RawDiff]) -> None:
    texts = [visible(raw.text) for raw in _raw_diffs(comparison, labels, values)]
    if not texts:
        terminal.result("no changes detected" if not comparison else "no document changed; see diff without --raw-diff")
        return
    text = "\n".join(texts)
    terminal.result(paint_diff(text) if terminal.colour() else text, safe=True)


def document(
    comparison: Comparison,
    labels: tuple[str, str],
    before: object,
    after: object,
    *,
    raw_diff: bool,
    values: Mapping[str, RawDiff] = MappingProxyType({}),
) -> dict[str, object]:
    """The result in JSON (docs/SCRIPTING.md)."""
    result: dict[str, object] = {
        "kind": "Diff",
        "from": before,
        "to": after,
        "clusters": [
            {
                "cluster": row.cluster,
                "resourceType": row.resource_type,
                "namespace": row.namespace,
                "name": row.name,
                "action": str(row.action),
                "message": row.message,
            }
            for row in comparison.rows
        ],
        "management": [
            {
                "resourceType": row.resource_type,
                "namespace": row.namespace,
                "name": row.name,
                "action": str(row.action),
                "message": row.message,
            }
            for row in comparison.management
        ],
        "notComparable": [
            {
                "kind": str(one.kind),
                "reason": one.reason,
                "detail": one.detail,
                **({"namespace": one.namespace, "name": one.name} if one.name else {}),
            }
            for one in comparison.not_comparable
        ],
    }
    if raw_diff:
        result["rawDiff"] = [{"title": raw.title, "text": raw.text} for raw in _raw_diffs(comparison, labels, values)]
    return result
