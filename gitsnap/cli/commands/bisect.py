"""``gitsnap bisect``: find the change that turned the configuration from good to bad.

This module must not open a cluster.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gitsnap.cli import completion, options, terminal
from gitsnap.cli.diff_documents import row_documents
from gitsnap.cli.diff_tables import comparison_tables
from gitsnap.cli.documents import origin_document, state_document
from gitsnap.cli.field_texts import origin_author
from gitsnap.cli.headings import describe_sample, say_heading
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_state
from gitsnap.core.errors import EXIT_INCOMPLETE, AbortedError, ArchiveError, InputError, UsageError
from gitsnap.core.files import temporary_folder
from gitsnap.core.states import SHORT_ID, State, name_state
from gitsnap.core.text import plural
from gitsnap.history import bisect as search
from gitsnap.history.bisect import ConfigurationChange, Verdict
from gitsnap.history.hidden_fields import hidden_fields
from gitsnap.render import render_table, wrapped

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.model import CommitId, SensitiveField
    from gitsnap.core.ports import Tree
    from gitsnap.diff.rows import Comparison, ManagementRow

FOLDER_VARIABLE, COMMIT_VARIABLE = "GITSNAP_CONFIGURATION", "GITSNAP_COMMIT"
_FOLDER_WORD = "{}"
_SKIP, _ABORT = 125, 128

_Command = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- COMMAND...]",
        help=f"Command that judges a configuration. ${FOLDER_VARIABLE} is the path of a folder of YAML files, as "
        "--from-dir reads it. Exit status 0: good; 125: skip this change; 1 to 127: bad; 128 and above: stop.",
    ),
]


def _sample(name: str, verdict: str) -> Any:
    return typer.Option(
        name,
        metavar="SAMPLE",
        help=f"Sample or change with a {verdict} configuration. It may be older or newer than the other one.",
        autocompletion=completion.complete_sample,
    )


_Good = Annotated[str, _sample("--good", "good")]
_Bad = Annotated[str, _sample("--bad", "bad")]
_Field = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--field",
        metavar="OBJECT PATH=VALUE",
        help="In place of COMMAND: a field of an object, as `gitsnap blame` or `log` names it, and a value that only "
        "one of the samples has.",
    ),
]

Judge = Callable[["Tree", "CommitId"], Verdict]
"""Returns the verdict of the configuration of a commit."""


def bisect(
    *,
    command: _Command = None,
    good: _Good,
    bad: _Bad,
    field: _Field = None,
    archive: ArchiveOptions,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Find the change that turned the configuration from good to bad, by a binary search.

    A command or the value of a field judges each configuration. Both samples are judged first. If the bad sample is
    older, the result is the first good change. The folder for COMMAND is private and temporary, and has fingerprints in
    place of the values of Secrets and of sensitive fields.

    Exit status 13: changes were skipped, so that several changes remain.

    Example: gitsnap bisect --good @2023-08-24 --bad latest -- sh -c '! grep -rq OneTime "$GITSNAP_CONFIGURATION"'

    Example: gitsnap bisect --good @2023-08-24 --bad latest --field ClusterProfile/guestbook spec.tier=50
    """
    _check_judges(command or [], field)
    opened = archive.open()
    ends = _Ends(choose_state(opened, good), choose_state(opened, bad))
    older, newer = search.order_states(ends.good, ends.bad)
    judge_field = _field_judge(opened, ends, field) if field else None
    changes = search.read_changes(opened, older, newer)
    if not changes:
        raise search.no_change(older, newer)
    counted = f"{plural(len(changes), 'change')} between {describe_sample(older)} and {describe_sample(newer)}"
    say_heading(f"searching {counted} of {opened.source}")
    with temporary_folder() as folder:
        judge = judge_field or _CommandJudge(command or [], folder, opened).judge
        _check_ends(opened, ends, judge)
        search_steps = _Steps(opened, changes, judge)
        suspects = search.find_turn(len(changes), search_steps.judge, ends.last)
    result = _Result(ends, [changes[position] for position in suspects], search_steps.judged)
    if form is terminal.Output.TABLE:
        terminal.print_result(_text(opened, result))
    else:
        terminal.print_document(_document(opened, result), form)
    if result.first is None:
        raise typer.Exit(EXIT_INCOMPLETE)


@dataclass(frozen=True, slots=True)
class _Ends:
    """The samples or changes between which the verdict turns."""

    good: State
    bad: State

    @property
    def last(self) -> Verdict:
        """The verdict of the newer sample or change."""
        return Verdict.BAD if self.good.order < self.bad.order else Verdict.GOOD


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of the search."""

    ends: _Ends
    suspects: Sequence[ConfigurationChange]
    """The change that turned the verdict, or all changes that may have turned it."""
    judged: Sequence[tuple[ConfigurationChange, Verdict]]

    @property
    def first(self) -> ConfigurationChange | None:
        """The first change with the verdict of the newer sample. None if several changes remain."""
        return self.suspects[0] if len(self.suspects) == 1 else None


def _check_judges(command: Sequence[str], field: tuple[str, str] | None) -> None:
    """Raise UsageError unless there is a command or a field, and not both."""
    if bool(command) is bool(field):
        raise UsageError(
            "give either -- COMMAND or --field" if command else "give a command or --field to judge the configurations",
            hint="Write -- and a command, or --field OBJECT PATH=VALUE; gitsnap does not ask for verdicts.",
        )
    if command and shutil.which(command[0]) is None:
        raise UsageError(f"the command {command[0]} was not found, or is not executable")


# Judging --------------------------------------------------------------------------------------------------------------


class _Steps:
    """Judges changes by their positions, and prints each verdict to stderr."""

    def __init__(self, archive: GitArchive, changes: Sequence[ConfigurationChange], judge: Judge) -> None:
        self.judged: list[tuple[ConfigurationChange, Verdict]] = []
        self._archive = archive
        self._changes = changes
        self._judge = judge

    def judge(self, position: int, remaining: int) -> Verdict:
        """Return the verdict of one change. A configuration that cannot be read is skipped."""
        change = self._changes[position]
        try:
            verdict = self._judge(self._archive.tree_at(change.commit.id), change.commit.id)
        except (ArchiveError, InputError) as error:
            terminal.warn([f"{_name(change)} cannot be judged: {error.message}"])
            verdict = Verdict.SKIPPED
        say_heading(f"{_name(change)} is {verdict} ({plural(remaining, 'change')} in question)")
        self.judged.append((change, verdict))
        return verdict


class _CommandJudge:
    """Judges a configuration by the exit code of a command."""

    def __init__(self, command: Sequence[str], folder: Path, archive: GitArchive) -> None:
        from gitsnap.history.configuration_folder import FolderWriter

        self._command = command
        self._folder = folder
        self._writer = FolderWriter(hidden_fields([archive]))
        self._number = 0

    def judge(self, tree: Tree, commit: CommitId) -> Verdict:
        """Write the configuration to a new folder and run the command. Raises AbortedError, StorageError, OSError."""
        from gitsnap.git.child_process import run_child

        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        try:
            self._writer.write(tree, folder)
            words = [str(folder) if word == _FOLDER_WORD else word for word in self._command]
            variables = {FOLDER_VARIABLE: str(folder), COMMIT_VARIABLE: commit}
            code = run_child(words, environment={**os.environ, **variables}, shows_output=True).returncode
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not 0 <= code < _ABORT:
            raise AbortedError(
                f"the command ended with exit code {code} for the commit {commit[:12]}, which stops the search",
                hint="0 is good, 125 skips a change, any other code below 128 is bad.",
            )
        return Verdict.GOOD if code == 0 else Verdict.SKIPPED if code == _SKIP else Verdict.BAD


def _field_judge(archive: GitArchive, ends: _Ends, field: tuple[str, str]) -> Judge:
    """Return the judge of the value of a field. Raises the errors of ``parse_condition``."""
    good, bad = archive.tree(ends.good), archive.tree(ends.bad)
    sensitive: Sequence[SensitiveField] = sorted(
        {*hidden_fields([archive]), *good.info.secrets.sensitive_fields, *bad.info.secrets.sensitive_fields}, key=str
    )
    newest_first = (good, bad) if ends.last is Verdict.GOOD else (bad, good)
    condition = search.parse_condition(*field, newest_first, sensitive)
    with_value = search.verdict_with_value(condition, good, bad)
    without = Verdict.BAD if with_value is Verdict.GOOD else Verdict.GOOD
    return lambda tree, _commit: with_value if condition.holds(tree) else without


def _check_ends(archive: GitArchive, ends: _Ends, judge: Judge) -> None:
    """Raise UsageError unless the good sample is good and the bad sample is bad."""
    for state, expected in ((ends.good, Verdict.GOOD), (ends.bad, Verdict.BAD)):
        verdict = judge(archive.tree(state), state.commit)
        if verdict is not expected:
            raise UsageError(
                f"--{expected} {name_state(state)}: the configuration is {verdict}",
                hint="Name another sample. If the command itself fails, its messages are above.",
            )
        terminal.say(f"{name_state(state)} is {verdict}")


# The answer -----------------------------------------------------------------------------------------------------------


def _name(change: ConfigurationChange) -> str:
    """Return the sample of a change, or its commit, its time and its author."""
    if change.sample is not None:
        return change.sample.tag
    time, author = change.commit.time, origin_author(change.origin, "")
    noun = "change" if change.origin.author else "commit"
    made = f" of {time:%Y-%m-%d:%H:%M:%S}" if time else ""
    return f"{noun} {change.commit.id[:SHORT_ID]}{made}{f' by {author}' if author else ''}"


def _compare(archive: GitArchive, change: ConfigurationChange) -> Comparison:
    """Return the rows of a change: the differences from the commit before it."""
    from gitsnap.diff.comparison import compare

    parent = change.commit.parent
    if parent is None:
        raise ArchiveError(f"the commit {change.commit.id[:12]} has no commit before it")
    return compare(archive.tree_at(parent), archive.tree_at(change.commit.id), texts=False)


def _author(change: ConfigurationChange, row: ManagementRow) -> str:
    """Return the author of a change with the source of the name; for other commits the field manager."""
    return origin_author(change.origin, _manager(change, row))


def _manager(change: ConfigurationChange, row: ManagementRow) -> str:
    """Return the field manager that wrote the object of a row."""
    from gitsnap.core.model import Area
    from gitsnap.format import path_of

    path = f"{Area.CONFIGURATION}/{path_of(row.key)}"
    return next((file.manager for file in change.commit.files if file.path == path), "")


def _text(archive: GitArchive, result: _Result) -> str:
    from gitsnap.diff.rows import Comparison

    if result.first is None:
        rows = [[_date(change), _name(change), change.commit.id[:12]] for change in result.suspects]
        table = render_table(["date", "change", "commit"], rows, columns=terminal.width())
        first = f"the first {result.ends.last} change"
        return f"one of these {len(rows)} changes is {first}; the others were skipped:\n{table}"
    comparison = _compare(archive, result.first)
    lines = [wrapped(f"the first {result.ends.last} change is {_described(result.first)}", terminal.width())]
    if comparison.rows:
        without_footnote = tuple(replace(row, message=row.note) for row in comparison.rows)
        lines.append(comparison_tables(Comparison(rows=without_footnote), columns=terminal.width()))
    header = ["resource type", "namespace", "name", "action", "message", "by"]
    rows = [
        [row.resource_type, row.namespace, row.name, str(row.action), row.message, _author(result.first, row)]
        for row in comparison.management
    ]
    lines.append("management cluster:\n" + render_table(header, rows, columns=terminal.width()) if rows else "")
    lines.append(f"`git show {result.first.commit.id[:12]}` in the archive shows the lines\n")
    for entry in comparison.not_comparable:
        terminal.say(f"{entry.reason}: {entry.subject} ({entry.detail})")
    return "\n".join(filter(None, lines))


def _described(change: ConfigurationChange) -> str:
    if change.sample is not None:
        message = f": {change.sample.metadata.message}" if change.sample.metadata.message else ""
        return f"{describe_sample(change.sample)}, commit {change.commit.id[:12]}{message}"
    contained = f", first contained in {describe_sample(change.contained_in)}" if change.contained_in else ""
    return f"{_name(change).removeprefix('change ')}{contained}"


def _date(change: ConfigurationChange) -> str:
    if change.sample is not None:
        return change.sample.moment
    return change.commit.time.strftime("%Y-%m-%d:%H:%M:%S") if change.commit.time else "(by hand)"


def _change_document(change: ConfigurationChange) -> dict[str, object]:
    return {
        "commit": change.commit.id,
        "date": _date(change),
        "sample": change.sample.tag if change.sample else None,
        "containedIn": change.contained_in.tag if change.contained_in else None,
        **origin_document(change.origin),
    }


def _document(archive: GitArchive, result: _Result) -> dict[str, object]:
    """Return the JSON form of the result (docs/SCRIPTING.md)."""
    from gitsnap.diff.rows import Comparison

    comparison = _compare(archive, result.first) if result.first else Comparison()
    documents = row_documents(comparison)
    return {
        "kind": "Bisection",
        "good": state_document(result.ends.good),
        "bad": state_document(result.ends.bad),
        "verdict": str(result.ends.last),
        "first": _change_document(result.first) if result.first else None,
        "suspects": [_change_document(change) for change in result.suspects],
        "judged": [{**_change_document(change), "verdict": str(verdict)} for change, verdict in result.judged],
        **documents,
        "management": [
            {**document, "manager": _manager(result.first, row) if result.first else ""}
            for document, row in zip(documents["management"], comparison.management, strict=True)
        ],
    }
