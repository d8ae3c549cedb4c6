"""``gitsnap diff``: the changes between two samples, or between a sample and the live cluster.

This module must not compare objects; ``gitsnap.diff`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import arguments, completion, options, terminal
from gitsnap.cli.arguments import LIVE
from gitsnap.cli.diff_documents import diff_document
from gitsnap.cli.diff_tables import comparison_tables
from gitsnap.cli.documents import change_document, sample_document
from gitsnap.cli.expected_differences import (
    Expect,
    check_options,
    compare_expecting,
    expectation_documents,
    say_expected,
)
from gitsnap.cli.headings import describe_cluster, describe_sample, say_heading
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.cli.sample_choice import choose_state, say_newer_changes
from gitsnap.cli.secret_values import comparable_trees, decrypted_diffs, with_values_compared, without_fingerprints
from gitsnap.core.errors import EXIT_DIFFERENCES, EXIT_INCOMPLETE, NotFoundError, UsageError
from gitsnap.core.model import Sample, SecretsMode, TreeInfo
from gitsnap.core.states import SHORT_ID, ChangeState, State
from gitsnap.core.text import plural
from gitsnap.diff.comparison import compare
from gitsnap.diff.raw_diff import RawDiff
from gitsnap.diff.rows import Comparison
from gitsnap.history import filter_check
from gitsnap.history import samples as history
from gitsnap.history.change_finder import Changes
from gitsnap.history.hidden_fields import hidden_fields
from gitsnap.render import paint_diff, visible
from gitsnap.sveltos.filters import Filters

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.ports import SecretsKeeper, Tree
    from gitsnap.history.decryption import KeyedTree
    from gitsnap.history.expectations import ExpectedDifferences


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
    opened, other = _open_archives(storage, snapshot, archive or [])
    live = _LiveOptions(cluster, identity or [], decrypt=decrypt, shows_lines=raw_diff)
    before, after = _open_sides(opened, other, from_sample, to_sample, live)
    filters = _check_filters(before, after, Filters(tuple(namespace or ()), tuple(clusters or ())))
    common, note = None, ""
    if other is not opened and not decrypt:
        common, note = comparable_trees(before, after, identity or [])
    trees = common or (before.tree, after.tree)
    expected = None
    if expectations is not None:
        expected = compare_expecting(*trees, filters, expectations, texts=raw_diff)
        comparison = expected.unexpected
    else:
        comparison = compare(*trees, filters=filters, texts=raw_diff, shows_manifests=decrypt)
    values = decrypted_diffs(before, after, filters, identity or []) if decrypt else {}
    if decrypt:
        comparison = with_values_compared(comparison)
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


def _check_filters(before: _Side, after: _Side, filters: Filters) -> Filters:
    """Return the filters, with a warning for each name that neither side has."""
    names = dict.fromkeys([before.name, after.name])
    terminal.warn(filter_check.check_filters(filters, [before.tree, after.tree], where=" or ".join(names)))
    return filters


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of the comparison: a sample, or the live cluster."""

    tree: Tree
    description: str
    """The side in the heading: sample, trigger and archive, or the cluster."""
    archive: GitArchive
    """The archive of the sample, or the archive that the cluster is compared with."""
    sample: State | None = None
    """The sample or the change. None for the live cluster."""
    live_keeper: SecretsKeeper | None = None
    """The keys of the tree of a live cluster."""

    @property
    def label(self) -> str:
        """The side in the headings of a raw diff: a tag, the commit of a change, or ``live``."""
        if isinstance(self.sample, ChangeState):
            return self.sample.moment
        return self.sample.tag if self.sample else LIVE

    @property
    def name(self) -> str:
        """The side in messages."""
        if isinstance(self.sample, ChangeState):
            return f"the change {self.sample.moment}"
        return self.sample.tag if self.sample else "the management cluster now"

    @property
    def document(self) -> object:
        """The side in JSON."""
        if isinstance(self.sample, ChangeState):
            return change_document(self.sample)
        return sample_document(self.sample) if self.sample else LIVE

    def with_keys(self, identities: list[Path]) -> KeyedTree:
        """Return the tree and the keys that decrypt its values. Raises SecretsError."""
        from gitsnap.secrets import archive_keys

        if self.sample is None:
            return self.tree, self.live_keeper
        return self.tree, archive_keys.for_reading(self.archive, self.sample, identities=identities)


@dataclass(frozen=True, slots=True)
class _LiveOptions:
    """How the live cluster is read."""

    cluster: ClusterOptions
    identities: list[Path]
    decrypt: bool
    """Whether the tree also has the values of Secrets."""
    shows_lines: bool
    """Whether lines of the live objects are shown. Then fields are hidden that only a later sample hides."""


def _compared_samples(opened: GitArchive, other: GitArchive, from_sample: str, to_sample: str) -> tuple[_Side, _Side]:
    """Return the two samples.

    The default of ``from_sample`` is the sample before the other one; for two archives, the newest sample. The default
    of ``to_sample`` is the newest sample; the newest change, if ``from_sample`` is newer than that sample.
    """
    after = choose_state(other, to_sample or "latest")
    if from_sample or other is not opened:
        before = choose_state(opened, from_sample or "latest", end=False)
        if other is opened and not to_sample and before.order > after.order:
            after = next(Changes(other).newest_first(other.samples()))
    else:
        before = _state_before(opened, after)
    location = "" if other is opened else f" of {other.source}"
    return (
        _Side(opened.tree(before), f"{describe_sample(before)} of {opened.source}", opened, before),
        _Side(other.tree(after), f"{describe_sample(after)}{location}", other, after),
    )


def _state_before(archive: GitArchive, state: State) -> State:
    """Return the sample before a sample, or the state before a change. Raises NotFoundError if there is none."""
    if isinstance(state, Sample):
        try:
            return history.sample_before(archive.samples(), state)
        except NotFoundError as error:
            newer = archive.changes(state, None)
            if not newer:
                raise
            counted = plural(len(newer), "change")
            hint = f"`gitsnap diff {state.tag} {newer[-1].commit[:SHORT_ID]}` shows the {counted} since this sample."
            raise NotFoundError(error.message, hint=hint) from None
    before = Changes(archive).state_before(state)
    if before is None:
        raise NotFoundError(
            f"there is no sample and no change before the {state}",
            hint="`gitsnap list --changes` lists the samples and the changes. `gitsnap diff FROM TO` compares two.",
        )
    return before


def _say_notes(before: _Side, after: _Side, *, is_newest: bool) -> None:
    """Print that both sides are the same, or which changes the newest sample lacks.

    ``is_newest``: the newer side is the newest sample, because the user named no sample.
    """
    if before.sample is not None and before.name == after.name:
        terminal.warn(["both sides are the same; `gitsnap diff FROM live` compares with the cluster"])
    if is_newest and isinstance(after.sample, Sample):
        say_newer_changes(after.archive, ["diff", "latest"])


def _open_sides(
    opened: GitArchive, other: GitArchive, from_sample: str, to_sample: str, choice: _LiveOptions
) -> tuple[_Side, _Side]:
    """Return both sides, in the order of the options: two samples, or a sample and the live cluster."""
    if LIVE in (from_sample, to_sample):
        return _compared_with_live(opened, other, from_sample, to_sample, choice)
    return _compared_samples(opened, other, from_sample, to_sample)


def _compared_with_live(
    opened: GitArchive, other: GitArchive, from_sample: str, to_sample: str, choice: _LiveOptions
) -> tuple[_Side, _Side]:
    """Return a sample and the live cluster, in the order of the options. Raises UsageError, WrongClusterError."""
    from_live = from_sample == LIVE
    to_sample = to_sample or "latest"
    if from_live and to_sample == LIVE:
        raise UsageError("both sides are live: name a sample for one of them")
    if other is not opened:
        raise UsageError("live compares with a cluster: give --archive once")
    name = to_sample if from_live else from_sample or "latest"
    sample = choose_state(opened, name, end=from_live)
    live = _live_side(opened, sample, choice)
    side = _Side(opened.tree(sample), f"{describe_sample(sample)} of {opened.source}", opened, sample)
    return (live, side) if from_live else (side, live)


def _open_archives(storage: Path | None, snapshot: str, paths: list[str]) -> tuple[GitArchive, GitArchive]:
    """Open the archives of the older and the newer sample: one archive, unless the user named two.

    Raises UsageError for more than two archives.
    """
    if len(paths) > 2:
        raise UsageError("--archive: two archives can be compared, not more")
    opened = [ArchiveOptions(snapshot, storage, path).open() for path in paths or [""]]
    return opened[0], opened[-1]


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


def _print(comparison: Comparison, before: _Side, after: _Side, output: _Output) -> None:
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


def _live_side(archive: GitArchive, sample: State, choice: _LiveOptions) -> _Side:
    """Read the configuration of the live cluster.

    The scope and the secrets mode are those of the sample that the cluster is compared with. Raises WrongClusterError.
    """
    from gitsnap.capture import check_cluster, live_tree
    from gitsnap.capture.live_tree import MemoryKeeper
    from gitsnap.secrets import archive_keys

    cluster = choice.cluster.open()
    info = cluster.info()
    check_cluster(archive, info)
    keeper: SecretsKeeper | None = archive_keys.for_reading(
        archive, sample, identities=choice.identities, cluster=cluster
    )
    if choice.decrypt and keeper is not None and archive.tree(sample).info.secrets.mode is SecretsMode.ENCRYPT:
        keeper = MemoryKeeper(keeper.fingerprint_key)
    progress = terminal.ProgressLine()
    try:
        tree = live_tree(cluster, _live_info(archive, sample, choice), keeper=keeper, progress=progress)
    finally:
        progress.clear()
    return _Side(tree, f"{describe_cluster(info)} now", archive, live_keeper=keeper)


def _live_info(archive: GitArchive, sample: State, choice: _LiveOptions) -> TreeInfo:
    """Return the settings of the live tree: those of the sample, and the fields that have become sensitive since."""
    info = archive.tree(sample).info
    if not choice.shows_lines or choice.decrypt:
        return info
    fields = tuple(sorted({*info.secrets.sensitive_fields, *hidden_fields([archive])}, key=str))
    return replace(info, secrets=replace(info.secrets, sensitive_fields=fields))


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
