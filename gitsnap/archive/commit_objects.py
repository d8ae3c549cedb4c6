"""Reads commits from their bytes: what was recorded, whatever this copy of the archive shows instead.

Shallow clones, grafts, replacements and a commit-graph make git and libgit2 give other parents than a commit names.
This module must not know samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pygit2
from pygit2.enums import ObjectType

from gitsnap.archive.object_reader import read_object, unreadable_object
from gitsnap.core.errors import ArchiveError

_OWN = "\nGitsnap-Format: "
_AUTHOR = re.compile(rb"^author .*> (\d{1,11}) [+-]\d{4}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RecordedCommit:
    """A commit as it was written."""

    id: str
    tree: str
    parents: tuple[str, ...]
    message: str
    """Bytes that are not UTF-8 are replaced."""
    seconds: int | None
    """Time of the author, in seconds since 1970; None where the commit names none. A rebase keeps it."""

    @property
    def is_own(self) -> bool:
        """Whether gitsnap made the commit, as its message says."""
        return _OWN in self.message

    @property
    def time(self) -> datetime | None:
        """Moment of the sample that an own commit was made for; None of a commit by somebody else."""
        return datetime.fromtimestamp(self.seconds, UTC) if self.is_own and self.seconds is not None else None


def read_commit(repository: pygit2.Repository, name: str) -> RecordedCommit:
    """The commit of an id. Raises ArchiveError where the commit is missing or damaged."""
    kind, content = read_object(repository, name, f"the commit {name}")
    header, _, message = content.partition(b"\n\n")
    lines = header.split(b"\n")
    if kind != ObjectType.COMMIT or not lines[0].startswith(b"tree "):
        raise unreadable_object(repository, f"the commit {name}")
    found = _AUTHOR.search(header)
    return RecordedCommit(
        name,
        lines[0][5:].decode("ascii", "replace"),
        tuple(line[7:].decode("ascii", "replace") for line in lines if line.startswith(b"parent ")),
        message.decode("utf-8", "replace"),
        int(found[1]) if found else None,
    )


def first_parents(repository: pygit2.Repository, head: str) -> Iterator[RecordedCommit]:
    """A commit and its ancestors along first parents, newest first, as far as they are here."""
    name: str | None = head
    while name is not None:
        try:
            commit = read_commit(repository, name)
        except ArchiveError:
            return
        yield commit
        name = commit.parents[0] if commit.parents else None


@dataclass(frozen=True, slots=True)
class History:
    """The ancestors of some commits."""

    commits: dict[str, RecordedCommit]
    missing: tuple[str, ...]
    """Commits that others name as their parent and that cannot be read, sorted."""


def history_of(repository: pygit2.Repository, heads: Iterable[str]) -> History:
    """All ancestors of some commits, these included."""
    commits: dict[str, RecordedCommit] = {}
    missing: set[str] = set()
    waiting = list(heads)
    while waiting:
        name = waiting.pop()
        if name in commits or name in missing:
            continue
        try:
            commits[name] = read_commit(repository, name)
        except ArchiveError:
            missing.add(name)
        else:
            waiting += commits[name].parents
    return History(commits, tuple(sorted(missing)))
