"""Reads commits from their bytes, as they were written.

With shallow clones, grafts, replace refs or a commit-graph, git and libgit2 may report other parents than the commit
itself names.
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

_OWN_TRAILER = "\nGitsnap-Format: "
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
    """Author time in seconds since 1970 (UTC), which a rebase keeps; None where the commit has none."""

    @property
    def is_own(self) -> bool:
        """Whether gitsnap made the commit: its message has gitsnap's trailers."""
        return _OWN_TRAILER in self.message

    @property
    def time(self) -> datetime | None:
        """The moment of the first sample of the commit, UTC; None for a commit that gitsnap did not make."""
        return datetime.fromtimestamp(self.seconds, UTC) if self.is_own and self.seconds is not None else None


def read_commit(repository: pygit2.Repository, name: str) -> RecordedCommit:
    """Read the commit with an id. Raises ArchiveError where the commit is missing or damaged."""
    kind, content = read_object(repository, name, f"the commit {name}")
    header, _, message = content.partition(b"\n\n")
    lines = header.split(b"\n")
    if kind != ObjectType.COMMIT or not lines[0].startswith(b"tree "):
        raise unreadable_object(repository, f"the commit {name}")
    author = _AUTHOR.search(header)
    return RecordedCommit(
        name,
        lines[0][5:].decode("ascii", "replace"),
        tuple(line[7:].decode("ascii", "replace") for line in lines if line.startswith(b"parent ")),
        message.decode("utf-8", "replace"),
        int(author[1]) if author else None,
    )


def walk_first_parents(repository: pygit2.Repository, head: str) -> Iterator[RecordedCommit]:
    """Yield a commit and its ancestors along first parents, newest first, up to the first that cannot be read."""
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
    """Ids of parents that cannot be read, sorted."""


def read_history(repository: pygit2.Repository, heads: Iterable[str]) -> History:
    """Read some commits and all their ancestors. ``heads``: ids of the commits."""
    commits: dict[str, RecordedCommit] = {}
    missing: set[str] = set()
    pending = list(heads)
    while pending:
        name = pending.pop()
        if name in commits or name in missing:
            continue
        try:
            commits[name] = read_commit(repository, name)
        except ArchiveError:
            missing.add(name)
        else:
            pending += commits[name].parents
    return History(commits, tuple(sorted(missing)))
