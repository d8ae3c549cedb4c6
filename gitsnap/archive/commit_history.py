"""Reads the history of a branch as a change log: which files each commit changed, newest first.

By the git program: with a commit-graph it answers for one path among thousands of commits at once.
This module must not look into files.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pygit2

from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.completeness import hint_for_missing_objects, shallow_commits
from gitsnap.archive.refs import branch_heads
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId, CommitId
from gitsnap.core.ports import LoggedCommit, LoggedFile
from gitsnap.git.process import run_git

_NOTHING = "0" * 40
_SUBMODULE = "160000"
_ACTIONS = {"A": "added", "D": "deleted", "M": "modified", "T": "modified"}
_LINE = re.compile(r"(?:added|modified|deleted) (\S+) \((.*)\)\Z")
"""A line of a commit's change log that says who wrote an object (docs/FORMAT.md)."""


def read_log(
    repository: pygit2.Repository, branch: str, patterns: Sequence[str], *, newest: CommitId | None
) -> Iterator[LoggedCommit]:
    """The commits that changed files which fit one of the patterns (git's pathspecs), newest first.

    ``newest``: commit of the newest sample, where the history begins if the branch is gone. Commits at which a shallow
    clone ends are left out, since git shows all their files as added. Raises ArchiveError when the history cannot be
    read.
    """
    heads: list[str] = []
    with contextlib.suppress(ArchiveError):  # a damaged ref: the newest sample leads to the same history
        heads += branch_heads(repository, branch)
    if not heads and newest:
        heads.append(newest)
    if not heads:
        return
    cut_off = shallow_commits(repository)
    done = run_git(
        Path(repository.path),
        "log",
        "--first-parent",
        "--no-renames",
        "--raw",
        "--no-abbrev",
        "-z",
        "--format=format:commit %H",
        *heads,
        "--",
        *patterns,
    )
    if done.returncode != 0:
        raise ArchiveError(
            f"the history of {branch} cannot be read: {done.stderr.strip()}", hint=hint_for_missing_objects(repository)
        )
    for name, files in _commits(done.stdout):
        if name in cut_off:
            continue
        commit = read_commit(repository, name)
        managers = _managers(commit.message)
        yield LoggedCommit(
            CommitId(name),
            CommitId(commit.parents[0]) if commit.parents else None,
            tuple(
                LoggedFile(_ACTIONS.get(action, "modified"), path, before, after, managers.get(path, ""))
                for action, before, after, path in files
            ),
            commit.time,
        )


_Raw = tuple[str, BlobId | None, BlobId | None, str]


def _commits(text: str) -> list[tuple[str, list[_Raw]]]:
    """The records of ``git log --raw -z``: a line that names the commit, then pairs of facts and path."""
    commits: list[tuple[str, list[_Raw]]] = []
    tokens = iter(text.split("\0"))
    for token in tokens:
        facts = token
        if token.startswith("commit "):
            head, _, facts = token.partition("\n")
            commits.append((head.removeprefix("commit "), []))
        if facts.startswith(":"):
            mode_before, mode_after, before, after, action = facts.split(" ")
            sides = (_blob(before, mode_before.removeprefix(":")), _blob(after, mode_after))
            commits[-1][1].append((action[:1], *sides, next(tokens)))
    return commits


def _blob(name: str, mode: str) -> BlobId | None:
    """The content on one side of a change; a submodule has none."""
    return None if name == _NOTHING or mode == _SUBMODULE else BlobId(name)


def _managers(message: str) -> dict[str, str]:
    """Path -> who wrote it last, as the message of a commit says."""
    matches = (_LINE.match(line) for line in message.splitlines())
    return {match[1]: match[2] for match in matches if match}
