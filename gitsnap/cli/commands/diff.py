"""``gitsnap diff``: the changes between two samples, or between a sample and the live cluster.

This module must not compare objects; ``gitsnap.diff`` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import arguments, completion, options, terminal
from gitsnap.cli.arguments import LIVE
from gitsnap.cli.diff_tables import comparison_tables
from gitsnap.cli.documents import sample_document
from gitsnap.cli.headings import describe_cluster, describe_sample, say_heading
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.cli.sample_choice import choose_sample
from gitsnap.core.errors import EXIT_DIFFERENCES, EXIT_INCOMPLETE, UsageError
from gitsnap.core.model import Sample, SecretsMode
from gitsnap.core.text import plural
from gitsnap.diff.comparison import compare
from gitsnap.diff.raw_diff import RawDiff
from gitsnap.diff.rows import Comparison
from gitsnap.history import filter_check
from gitsnap.history import samples as history
from gitsnap.render import paint_diff, visible
from gitsnap.sveltos.filters import Filters

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.ports import SecretsKeeper, Tree
    from gitsnap.history.decryption import KeyedTree


_Archive = Annotated[
    list[str] | None,
    typer.Option(
        "--archive",
        metavar="DIR|URL",
        help="Folder or git URL of one archive. Give it twice to compare samples of two archives.",
    ),
]
_FromSample = Annotated[
    str,
    typer.Option(
        "--from-sample",
        metavar="SAMPLE",
        help="Older sample. Default: the sample before --to-sample.",
        autocompletion=completion.complete_sample,
    ),
]
_ToSample = Annotated[
    str,
    typer.Option(
        "--to-sample",
        metavar="SAMPLE",
        help="Newer sample, or `live` for the live cluster. Default: latest.",
        autocompletion=completion.complete_sample,
    ),
]


def diff(
    *,
    words: arguments.Range = None,
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    archive: _Archive = None,
    from_sample: _FromSample = "",
    to_sample: _ToSample = "",
    raw_diff: options.RawDiff = False,
    decrypt: options.Decrypt = False,
    namespace: options.Namespaces = None,
    clusters: options.Clusters = None,
    exit_code: options.ExitCode = False,
    sveltos_cli: options.SveltosCli = False,
    cluster: ClusterOptions,
    identity: options.Identity = None,
    form: options.NameOutput = terminal.Output.TABLE,
) -> None:
    """Show what changed between two samples.

    The result has the changes in each managed cluster and the changes in the management cluster.

    Example: gitsnap diff latest~1 latest

    Example: gitsnap diff --snapshot hourly --from-sample 2023-08-26:05:00:00 --to-sample 2023-08-26:05:20:00

    Example: gitsnap diff --archive staging/hourly --archive production/hourly
    """
    from_sample, to_sample = arguments.parse_range(words or (), from_sample, to_sample)
    to_sample = to_sample or "latest"
    if decrypt and not raw_diff:
        raise UsageError("--decrypt needs --raw-diff")
    opened, other = _open_archives(storage, snapshot, archive or [])
    samples = opened.samples()
    if to_sample == LIVE:
        if other is not opened:
            raise UsageError("--to-sample live compares with a cluster: give --archive once")
        before = choose_sample(samples, from_sample or "latest", end=False)
        after_tree, server, live_keeper = _live_tree(opened, before, cluster, identity or [], decrypt=decrypt)
        after: Sample | None = None
    else:
        after = choose_sample(samples if other is opened else other.samples(), to_sample)
        if other is not opened:
            from_sample = from_sample or "latest"
        if from_sample:
            before = choose_sample(samples, from_sample, end=False)
        else:
            before = history.sample_before(samples, after)
        after_tree = other.tree(after)
    filters = Filters(tuple(namespace or ()), tuple(clusters or ()))
    before_tree = opened.tree(before)
    tags = dict.fromkeys([before.tag, after.tag if after else "the management cluster now"])
    terminal.warn(filter_check.check_filters(filters, [before_tree, after_tree], where=" or ".join(tags)))
    comparison = compare(before_tree, after_tree, filters=filters, texts=raw_diff)
    values: Mapping[str, RawDiff] = {}
    if decrypt:
        labels = (before.tag, after.tag if after is not None else LIVE)
        new = _keyed_tree(other, after, identity or []) if after is not None else (after_tree, live_keeper)
        values = _decrypted_diffs(_keyed_tree(opened, before, identity or []), new, labels, filters)
        comparison = _with_values_compared(comparison)
    location = "" if other is opened else f" of {other.location}"
    _say_compared(before, opened.location, f"{describe_sample(after)}{location}" if after else f"{server} now")
    if other is opened and after is not None and after.tag == before.tag:
        terminal.warn(["both sides are the same sample; `gitsnap diff FROM live` compares with the cluster"])
    _print(comparison, before, after, raw_diff=raw_diff, values=values, form=form, sveltos_cli=sveltos_cli)
    if exit_code and (comparison or values):
        raise typer.Exit(EXIT_DIFFERENCES)
    if comparison.not_comparable:
        raise typer.Exit(EXIT_INCOMPLETE)


def _say_compared(before: Sample, location: str, compared_with: str) -> None:
    """Print the two sides of the comparison to stderr."""
    heading = f"comparing {describe_sample(before)} of {location} with {compared_with}"
    say_heading(heading)


def _open_archives(storage: Path | None, snapshot: str, paths: list[str]) -> tuple[GitArchive, GitArchive]:
    """Open the archives of the older and the newer sample: one archive, unless the user named two.

    Raises UsageError for more than two archives.
    """
    if len(paths) > 2:
        raise UsageError("--archive: two archives can be compared, not more")
    opened = [ArchiveOptions(snapshot, storage, path).open() for path in paths or [""]]
    return opened[0], opened[-1]


def _print(
    comparison: Comparison,
    before: Sample,
    after: Sample | None,
    *,
    raw_diff: bool,
    values: Mapping[str, RawDiff],
    form: terminal.Output,
    sveltos_cli: bool,
) -> None:
    labels = (before.tag, after.tag if after else LIVE)
    if form is terminal.Output.NAME:
        _print_names(comparison)
    elif form.is_document:
        to = sample_document(after) if after else LIVE
        result = _document(comparison, labels, sample_document(before), to, raw_diff=raw_diff, values=values)
        terminal.print_document(result, form)
    elif raw_diff:
        _print_raw(comparison, labels, values)
    else:
        _print_tables(comparison, sveltos_cli=sveltos_cli)
    for skipped in comparison.not_comparable:
        terminal.say(f"{skipped.reason}: {skipped.subject}{f' ({skipped.detail})' if skipped.detail else ''}")


def _keyed_tree(archive: GitArchive, sample: Sample, identities: list[Path]) -> KeyedTree:
    from gitsnap.secrets import archive_keys

    return archive.tree(sample), archive_keys.for_reading(archive, sample, identities=identities)


def _decrypted_diffs(
    old: KeyedTree, new: KeyedTree, labels: tuple[str, str], filters: Filters
) -> Mapping[str, RawDiff]:
    """Return the raw diffs of objects with hidden values, with these values, by their titles."""
    from gitsnap.diff.raw_diff import object_texts, raw_diffs
    from gitsnap.diff.rows import object_title
    from gitsnap.history.decryption import revealed_changes

    pairs = (object_texts(object_title(key), *versions) for key, *versions in revealed_changes(old, new, filters))
    return {diff.title: diff for diff in raw_diffs(pairs, *labels)}


def _with_values_compared(comparison: Comparison) -> Comparison:
    """Return the comparison without the kinds whose hidden values could not be compared: decrypted values were."""
    from gitsnap.diff.comparability import CANNOT_TELL

    remaining = tuple(entry for entry in comparison.not_comparable if entry.reason != CANNOT_TELL)
    return replace(comparison, not_comparable=remaining)


def _raw_diffs(comparison: Comparison, labels: tuple[str, str], values: Mapping[str, RawDiff]) -> Iterator[RawDiff]:
    """Yield the raw diffs of the comparison. Diffs in ``values`` replace those with the same title, and come last."""
    yield from (raw for raw in comparison.raw_diffs(*labels) if raw.title not in values)
    yield from values.values()


def _live_tree(
    archive: GitArchive, sample: Sample, choice: ClusterOptions, identities: list[Path], *, decrypt: bool
) -> tuple[Tree, str, SecretsKeeper | None]:
    """Return the configuration of the live cluster, the name of the cluster for messages, and the keys of the tree.

    With ``decrypt`` the tree also has the values of Secrets. The scope and the secrets mode are those of the sample
    that the cluster is compared with. Raises WrongClusterError.
    """
    from gitsnap.capture import check_cluster, live_tree
    from gitsnap.capture.live_tree import MemoryKeeper
    from gitsnap.secrets import archive_keys

    cluster = choice.open()
    info = cluster.info()
    check_cluster(archive, info)
    keeper: SecretsKeeper | None = archive_keys.for_reading(archive, sample, identities=identities)
    if decrypt and keeper is not None and archive.tree(sample).info.secrets.mode is SecretsMode.ENCRYPT:
        keeper = MemoryKeeper(keeper.fingerprint_key)
    progress = terminal.ProgressLine()
    try:
        tree = live_tree(cluster, archive.tree(sample).info, keeper=keeper, progress=progress)
        return tree, describe_cluster(info), keeper
    finally:
        progress.clear()


def _nothing(comparison: Comparison) -> str:
    if comparison.not_comparable:
        return "no changes detected in what could be compared"
    return "no changes detected"


def _print_tables(comparison: Comparison, *, sveltos_cli: bool) -> None:
    if not comparison:
        terminal.print_result(_nothing(comparison))
        return
    terminal.print_result(comparison_tables(comparison, columns=terminal.width(), sveltos_cli=sveltos_cli))


def _print_names(comparison: Comparison) -> None:
    """Print the changed objects of the management cluster. A message counts the rows for managed clusters."""
    terminal.print_names(row.key.path for row in comparison.management)
    if comparison.rows:
        terminal.say(
            f"{plural(len(comparison.rows), 'change')} in managed clusters cannot be listed as names: --output table"
        )
    elif not comparison:
        terminal.say("no changes detected")


def _print_raw(comparison: Comparison, labels: tuple[str, str], values: Mapping[str, RawDiff]) -> None:
    texts = [visible(raw.text) for raw in _raw_diffs(comparison, labels, values)]
    if not texts:
        terminal.print_result(
            _nothing(comparison) if not comparison else "no document changed; see diff without --raw-diff"
        )
        return
    text = "\n".join(texts)
    terminal.print_result(paint_diff(text) if terminal.has_colour() else text, safe=True)


def _document(
    comparison: Comparison,
    labels: tuple[str, str],
    before: object,
    after: object,
    *,
    raw_diff: bool,
    values: Mapping[str, RawDiff] = MappingProxyType({}),
) -> dict[str, object]:
    """Return the JSON form of the result (docs/SCRIPTING.md)."""
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
                "kind": str(skipped.kind),
                "reason": skipped.reason,
                "detail": skipped.detail,
                **({"namespace": skipped.namespace, "name": skipped.name} if skipped.name else {}),
            }
            for skipped in comparison.not_comparable
        ],
    }
    if raw_diff:
        result["rawDiff"] = [{"title": raw.title, "text": raw.text} for raw in _raw_diffs(comparison, labels, values)]
    return result
