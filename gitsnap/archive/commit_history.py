"""Reads the history of a branch as a change log: which files each commit changed, newest first.

The git program does this: with a commit-graph it finds the commits that changed a path without reading all trees.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2

from gitsnap.archive.changed_folders import ChangedFolders
from gitsnap.archive.commit_objects import RecordedCommit, read_commit
from gitsnap.archive.completeness import hint_for_missing_objects, shallow_commits
from gitsnap.archive.refs import branch_heads
from gitsnap.core.commits import LoggedCommit, LoggedFile
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId, CommitId
from gitsnap.git.process import is_ancestor, run_git

if TYPE_CHECKING:
    from gitsnap.core.changes import Change

_NULL_ID = "0" * 40
_SUBMODULE = "160000"
_ACTIONS = {"A": "added", "D": "deleted", "M": "modified", "T": "modified"}
_LINE = re.compile(r"(?:added|modified|deleted) (\S+) \((.*)\)\Z")
"""A line of a commit message that names the field manager of an object (docs/FORMAT.md)."""
_RECORDED = re.compile(r"(added|modified|deleted) (\S+)(?: \((.*)\))?\Z")
"""A line of a commit message that names a changed file."""


def read_log(
    repository: pygit2.Repository,
    branch: str,
    patterns: Sequence[str],
    *,
    newest: CommitId | None,
    containing: str = "",
    after: CommitId | None = None,
    until: CommitId | None = None,
) -> Iterator[LoggedCommit]:
    """The commits that changed files, newest first.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        patterns: Pathspecs of git. A commit is included if it changed a file that matches one of them.
        newest: The commit of the newest sample. The history starts there if the branch is missing.
        containing: Only files in which this extended regular expression matches more or less often than before
            (`git log -S --pickaxe-regex`).
        after: Only commits that are not this commit or an ancestor of it.
        until: Only this commit and its ancestors. None for the heads of the branch.

    Yields:
        The commits, each with its matching files. The commits at which a shallow clone ends are left out: git shows all
        their files as added.

    Raises:
        ArchiveError: The history cannot be read, or a folder with an added or removed file is damaged.
    """
    heads: list[str] = [until] if until else []
    if not heads:
        with contextlib.suppress(ArchiveError):  # the ref is damaged: use the newest sample
            heads += branch_heads(repository, branch)
    if not heads and newest:
        heads.append(newest)
    if heads:
        yield from _read_commits(repository, branch, [*heads, *([f"^{after}"] if after else [])], patterns, containing)


def read_range(repository: pygit2.Repository, branch: str, older: CommitId, newer: CommitId) -> list[LoggedCommit]:
    """The commits after ``older`` up to ``newer``, oldest first, each with all files that it changed.

    Raises ArchiveError if ``older`` is not an ancestor of ``newer``, or if the history cannot be read.
    """
    if not is_ancestor(Path(repository.path), older, newer):
        raise ArchiveError(
            f"the commit {older[:12]} is not in the history of the commit {newer[:12]}",
            hint="The history of this copy is not complete, or one of the samples was taken through a clone.",
        )
    return list(_read_commits(repository, branch, [newer, f"^{older}"], (), ""))[::-1]


def _read_commits(
    repository: pygit2.Repository, branch: str, heads: Sequence[str], patterns: Sequence[str], containing: str
) -> Iterator[LoggedCommit]:
    cut_off, folders = shallow_commits(repository), ChangedFolders(repository)
    for name, files in _commits(_run_log(repository, branch, heads, patterns, containing)):
        commit = read_commit(repository, name)
        try:
            folders.check(commit.tree, (path for action, _, _, path in files if action != "M"))
        except ArchiveError as error:
            raise ArchiveError(f"the commit {name[:12]}: {error.message}", hint=error.hint) from None
        if name in cut_off:
            continue
        managers = _managers(commit.message)
        yield LoggedCommit(
            CommitId(name),
            CommitId(commit.parents[0]) if commit.parents else None,
            tuple(
                LoggedFile(_ACTIONS.get(action, "modified"), path, before, after, managers.get(path, ""))
                for action, before, after, path in files
            ),
            commit.time,
            *_change(commit),
        )


def logged_file(
    repository: pygit2.Repository, known: dict[str, LoggedCommit], name: CommitId, file: LoggedFile
) -> tuple[LoggedCommit, LoggedFile]:
    """A commit without its files, and one of its files with the field manager. ``known``: the commits read before.

    Raises ArchiveError if the commit cannot be read.
    """
    commit = known.get(name)
    if commit is None:
        content = read_commit(repository, name)
        parent = CommitId(content.parents[0]) if content.parents else None
        commit = known[name] = LoggedCommit(name, parent, (), content.time, *_change(content))
    manager = _managers(read_commit(repository, name).message).get(file.path, "")
    return commit, replace(file, manager=manager)


def read_managers(repository: pygit2.Repository, name: str) -> dict[str, str]:
    """Path -> field manager that wrote the object last, for the files that a commit changed.

    Left out are files without a known manager, and files beyond the first hundred, which the message only counts.
    Raises ArchiveError if the commit is missing or damaged.
    """
    return _managers(read_commit(repository, name).message)


def read_recorded_files(repository: pygit2.Repository, name: str) -> list[LoggedFile]:
    """The files that the message of a commit names, without ids.

    A message names at most a hundred files. Raises ArchiveError if the commit is missing or damaged.
    """
    matches = map(_RECORDED.match, read_commit(repository, name).message.splitlines())
    return [LoggedFile(match[1], match[2], None, None, match[3] or "") for match in matches if match]


def _change(commit: RecordedCommit) -> tuple[Change | None, str]:
    """The change that a commit records, and why it cannot be read. None and ``""`` for another commit."""
    try:
        return commit.change, ""
    except ArchiveError as error:
        return None, error.message


def _run_log(
    repository: pygit2.Repository, branch: str, heads: Sequence[str], patterns: Sequence[str], containing: str
) -> str:
    """The output of ``git log --raw -z``. Raises ArchiveError."""
    done = run_git(
        Path(repository.path),
        "log",
        "--first-parent",
        "--no-renames",
        "--raw",
        "--no-abbrev",
        "-z",
        "--format=format:commit %H",
        *([f"-S{containing}", "--pickaxe-regex"] if containing else []),
        *heads,
        "--",
        *patterns,
    )
    if done.returncode != 0:
        raise ArchiveError(
            f"the history of {branch} cannot be read: {done.stderr.strip()}", hint=hint_for_missing_objects(repository)
        )
    return done.stdout


_Raw = tuple[str, BlobId | None, BlobId | None, str]
"""Letter of the action, blob before and after the change, path."""


def _commits(text: str) -> list[tuple[str, list[_Raw]]]:
    """Parse the output of ``git log --raw -z``: a line that names the commit, then pairs of a raw line and a path."""
    commits: list[tuple[str, list[_Raw]]] = []
    tokens = iter(text.split("\0"))
    for token in tokens:
        raw_line = token
        if token.startswith("commit "):
            head, _, raw_line = token.partition("\n")
            commits.append((head.removeprefix("commit "), []))
        if raw_line.startswith(":"):
            mode_before, mode_after, before, after, action = raw_line.split(" ")
            sides = (_blob(before, mode_before.removeprefix(":")), _blob(after, mode_after))
            commits[-1][1].append((action[:1], *sides, next(tokens)))
    return commits


def _blob(name: str, mode: str) -> BlobId | None:
    """The blob on one side of a change; None for no file and for a submodule."""
    return None if name == _NULL_ID or mode == _SUBMODULE else BlobId(name)


def _managers(message: str) -> dict[str, str]:
    """Path -> field manager that wrote the object last, from the message of a commit."""
    matches = (_LINE.match(line) for line in message.splitlines())
    return {match[1]: match[2] for match in matches if match}
