"""Reads the changes of an archive: the commits that follow mode wrote between two samples (docs/FORMAT.md, "Changes").

The position of a change is its position on the branch, along first parents. A clock that was set back does not change
the order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2

from gitsnap.archive.commit_objects import RecordedCommit, is_plain_successor, read_commit, walk_first_parents
from gitsnap.archive.completeness import shallow_commits
from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.refs import read_ref
from gitsnap.archive.trees import Folders
from gitsnap.core.changes import Change, UnreadableChange
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId, CommitId
from gitsnap.format.change_message import AUTHOR_NOTES
from gitsnap.git.process import run_git

_FULL_ID = re.compile(r"[0-9a-f]{40}")


def changes_between(
    repository: pygit2.Repository,
    heads: Iterable[str],
    after: CommitId | None,
    unreadable: list[UnreadableChange] | None = None,
) -> list[Change]:
    """The changes of a history since a commit, oldest first.

    Args:
        repository: The repository of the archive.
        heads: The newest commits: the commit of a sample, or the heads of the branch. A change can be a head. If
            several heads have ``after`` among their ancestors, as in a clone, the longest history counts.
        after: The commit of the previous sample, which is not included. None for the whole history.
        unreadable: The commits that cannot be read are appended: invalid changes, and a missing or damaged commit, at
            which the history ends. None: such commits are left out; ``verify`` reports them.

    Returns:
        The changes.
    """
    histories = [_history(repository, head, after) for head in heads]
    longest = max(histories, key=len, default=_History([], []))
    if unreadable is not None:
        unreadable += longest.unreadable
    return longest.changes


@dataclass(frozen=True, slots=True)
class _History:
    """The changes between two commits, oldest first."""

    changes: list[Change]
    unreadable: list[UnreadableChange]

    def __len__(self) -> int:
        return len(self.changes) + len(self.unreadable)


def _history(repository: pygit2.Repository, head: str, after: CommitId | None) -> _History:
    changes, unreadable = list[Change](), list[UnreadableChange]()
    # Most successive samples have no change between them.
    if head == after or (after is not None and is_plain_successor(repository, head, after)):
        return _History([], [])
    last: RecordedCommit | None = None
    for commit in walk_first_parents(repository, head):
        last = commit
        try:
            if (change := commit.change) is not None:
                changes.append(change)
        except ArchiveError as error:
            unreadable.append(UnreadableChange(CommitId(commit.id), error.message, commit.time))
        if after is not None and commit.parents[:1] == (after,):  # the commit of the sample need not be read
            break
    else:
        missing = last.parents[0] if last and last.parents else "" if last else head
        if missing and (last is None or last.id not in shallow_commits(repository)):
            problem = f"the commit {missing[:12]} is missing or damaged, and the changes before it cannot be found"
            unreadable.append(UnreadableChange(CommitId(missing), problem))
        elif after is not None:
            return _History([], [])  # another history: the commit of the sample is not on it
    return _History(changes[::-1], unreadable[::-1])


def find_changes(repository: pygit2.Repository, prefix: str) -> list[Change]:
    """The changes whose commit ids begin with some digits, by id. Changes that are not on the branch are included.

    Raises ArchiveError for a change with invalid lines.
    """
    names = [prefix]
    if not _FULL_ID.fullmatch(prefix):
        names = sorted(run_git(Path(repository.path), "rev-parse", f"--disambiguate={prefix}").stdout.split())
    changes = []
    for name in names:
        try:
            commit = read_commit(repository, name)
        except ArchiveError:  # another object, or none
            continue
        if (change := commit.change) is not None:
            changes.append(change)
    return changes


class AuthorNotes(Mapping[CommitId, str]):
    """The notes with the names of authors that became known later: commit -> text (git-notes(1))."""

    def __init__(self, repository: pygit2.Repository) -> None:
        """Read the list of the notes. Raises ArchiveError if the notes are damaged."""
        self._repository = repository
        self._blobs: dict[CommitId, BlobId] = {}
        head = read_ref(repository, AUTHOR_NOTES)
        if head is not None:
            files = Folders(repository).files(read_commit(repository, head).tree)
            # git spreads many notes over folders: the digits of the id are those of the path without slashes.
            self._blobs = {CommitId(path.replace("/", "")): blob for path, blob in files.items()}

    def __getitem__(self, commit: CommitId) -> str:
        return read_blob(self._repository, self._blobs[commit]).decode("utf-8", "replace")

    def __contains__(self, commit: object) -> bool:
        return commit in self._blobs

    def __iter__(self) -> Iterator[CommitId]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)
