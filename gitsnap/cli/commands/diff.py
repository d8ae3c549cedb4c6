"""``gitsnap diff``: the changes between two samples, or between a sample and the live cluster.

This module must not compare objects; ``gitsnap.diff`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import arguments, completion, options, terminal
from gitsnap.cli.compared_sides import LiveOptions, Side, open_archives, open_sides
from gitsnap.cli.diff_documents import diff_document
from gitsnap.cli.diff_tables import comparison_tables
from gitsnap.cli.expected_differences import (
    Expect,
    check_options,
    compare_expecting,
    expectation_documents,
    say_expected,
)
from gitsnap.cli.headings import say_heading
from gitsnap.cli.resolve import ClusterOptions
from gitsnap.cli.sample_choice import say_newer_changes
from gitsnap.cli.secret_values import comparable_trees, decrypted_diffs, with_values_compared, without_fingerprints
from gitsnap.core.errors import EXIT_DIFFERENCES, EXIT_INCOMPLETE, UsageError
from gitsnap.core.model import Sample
from gitsnap.core.text import plural
from gitsnap.diff.comparison import compare
from gitsnap.diff.raw_diff import RawDiff
from gitsnap.diff.rows import Comparison
from gitsnap.history import filter_check
from gitsnap.render import paint_diff, visible
from gitsnap.sveltos.filters import Filters

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree
    from gitsnap.history.expectations import Expectation, ExpectedDifferences


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
        help="Older sample, or `live` for the live cluster. Default: the sample before --to-sample.",
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
    expect: Expect = None,
    exit_code: options.ExitCode = False,
    sveltos_cli: options.SveltosCli = False,
    cluster: ClusterOptions,
    identity: options.Identity = None,
    form: options.NameOutput = terminal.Output.TABLE,
) -> None:
    """Show what changed between two samples, or between two changes.

    The result has the changes in each managed cluster and the changes in the management cluster.

    Two archives have different keys. With --identity, and the keys of both archives, Secrets are compared by their
    values, which are never shown.

    Example: gitsnap diff latest~1 latest

    Example: gitsnap diff --snapshot hourly --from-sample 2023-08-26:05:00:00 --to-sample 2023-08-26:05:20:00

    Example: gitsnap diff --archive staging/hourly --archive production/hourly

    Example: gitsnap diff --archive staging/hourly --archive production/hourly --expect allowed.yaml --exit-code
    """
    expectations = check_options(decrypt=decrypt, expect=expect)
    from_sample, to_sample = arguments.parse_range(words or (), from_sample, to_sample)
    if decrypt and not raw_diff:
        raise UsageError("--decrypt needs --raw-diff")
    opened, other = open_archives(storage, snapshot, archive or [])
    live = LiveOptions(cluster, identity or [], decrypt=decrypt, shows_lines=raw_diff)
    before, after = open_sides(opened, other, from_sample, to_sample, live)
    filters = _check_filters(before, after, Filters(tuple(namespace or ()), tuple(clusters or ())))
    common, note = None, ""
    if other is not opened and not decrypt:
        common, note = comparable_trees(before, after, identity or [])
    trees = common or (before.tree, after.tree)
    comparison, expected = _compare(trees, filters, expectations, raw_diff=raw_diff, decrypt=decrypt)
    values = decrypted_diffs(before, after, filters, identity or []) if decrypt else {}
    say_heading(f"comparing {before.description} with {after.description}")
    if other is opened:
        _say_notes(before, after, is_newest=not to_sample)
    output = _Output(form, raw_diff, sveltos_cli, values, expected, hides_fingerprints=common is not None)
    _print(comparison, before, after, output)
    if note:
        terminal.say(note)
    if expected is not None and expect is not None:
        say_expected(expected, expect)
    if exit_code and (comparison or values or (expected and expected.unmatched)):
        raise typer.Exit(EXIT_DIFFERENCES)
    if comparison.not_comparable:
        raise typer.Exit(EXIT_INCOMPLETE)


def _compare(
    trees: tuple[Tree, Tree],
    filters: Filters,
    expectations: Sequence[Expectation] | None,
    *,
    raw_diff: bool,
    decrypt: bool,
) -> tuple[Comparison, ExpectedDifferences | None]:
    """Return the comparison, and for --expect the differences that it leaves out."""
    if expectations is not None:
        expected = compare_expecting(*trees, filters, expectations, texts=raw_diff)
        return expected.unexpected, expected
    comparison = compare(*trees, filters=filters, texts=raw_diff, shows_manifests=decrypt)
    return with_values_compared(comparison) if decrypt else comparison, None


def _check_filters(before: Side, after: Side, filters: Filters) -> Filters:
    """Return the filters, with a warning for each name that neither side has."""
    names = dict.fromkeys([before.name, after.name])
    terminal.warn(filter_check.check_filters(filters, [before.tree, after.tree], where=" or ".join(names)))
    return filters


def _say_notes(before: Side, after: Side, *, is_newest: bool) -> None:
    """Print that both sides are the same, or which changes the newest sample lacks.

    ``is_newest``: the newer side is the newest sample, because the user named no sample.
    """
    if before.sample is not None and before.name == after.name:
        terminal.warn(["both sides are the same; `gitsnap diff FROM live` compares with the cluster"])
    if is_newest and isinstance(after.sample, Sample):
        say_newer_changes(after.archive, ["diff", "latest"])


@dataclass(frozen=True, slots=True)
class _Output:
    """The form of the result, and its parts besides the rows."""

    form: terminal.Output
    raw_diff: bool
    sveltos_cli: bool
    values: Mapping[str, RawDiff]
    """The raw diffs with decrypted values, by their titles."""
    expected: ExpectedDifferences | None
    """The differences that --expect leaves out."""
    hides_fingerprints: bool = False
    """Whether raw diffs have marks in place of fingerprints."""


def _print(comparison: Comparison, before: Side, after: Side, output: _Output) -> None:
    form, expected = output.form, output.expected
    nothing = _nothing(comparison, expected)
    diffs = tuple(_raw_diffs(comparison, (before.label, after.label), output)) if output.raw_diff else ()
    if form is terminal.Output.NAME:
        _print_names(comparison, nothing=nothing)
    elif form.is_document:
        document = diff_document(comparison, before.document, after.document, diffs if output.raw_diff else None)
        terminal.print_document({**document, **(expectation_documents(expected) if expected else {})}, form)
    elif output.raw_diff:
        _print_raw(diffs, nothing="no document changed; see diff without --raw-diff" if comparison else nothing)
    elif not comparison:
        terminal.print_result(nothing)
    else:
        tables = comparison_tables(comparison, columns=terminal.width(), sveltos_cli=output.sveltos_cli)
        terminal.print_result(tables)
    for skipped in comparison.not_comparable:
        terminal.say(f"{skipped.reason}: {skipped.subject}{f' ({skipped.detail})' if skipped.detail else ''}")


def _raw_diffs(comparison: Comparison, labels: tuple[str, str], output: _Output) -> Iterator[RawDiff]:
    """Yield the raw diffs of the comparison. Decrypted diffs replace those with the same title, and come last."""
    diffs = (raw for raw in comparison.raw_diffs(*labels) if raw.title not in output.values)
    yield from without_fingerprints(diffs) if output.hides_fingerprints else diffs
    yield from output.values.values()


def _nothing(comparison: Comparison, expected: ExpectedDifferences | None) -> str:
    if comparison.not_comparable and expected is not None:
        return "no unexpected changes detected in what could be compared"
    if comparison.not_comparable:
        return "no changes detected in what could be compared"
    return "no changes detected" if expected is None else "no unexpected changes detected"


def _print_names(comparison: Comparison, *, nothing: str) -> None:
    """Print the changed objects of the management cluster. A message counts the rows for managed clusters."""
    terminal.print_names(row.key.path for row in comparison.management)
    if comparison.rows:
        terminal.say(
            f"{plural(len(comparison.rows), 'change')} in managed clusters cannot be listed as names: --output table"
        )
    elif not comparison:
        terminal.say(nothing)


def _print_raw(diffs: Iterable[RawDiff], *, nothing: str) -> None:
    texts = [visible(raw.text) for raw in diffs]
    if not texts:
        terminal.print_result(nothing)
        return
    text = "\n".join(texts)
    terminal.print_result(paint_diff(text) if terminal.has_colour() else text, safe=True)
