"""Reads commits from their bytes, as they were written.

With shallow clones, grafts, replace refs or a commit-graph, git and libgit2 may report other parents than the commit
itself names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import ObjectType

from gitsnap.archive.object_reader import read_object, unreadable_object
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import CommitId

if TYPE_CHECKING:
    from gitsnap.core.changes import Change

GITSNAP = "gitsnap <gitsnap@localhost>"
"""The committer of every commit that gitsnap writes. Its author is the same, except for changes."""

_OWN_TRAILER = "\nGitsnap-Format: "
_CHANGE_TRAILERS = ("\nGitsnap-Revision: ", "\nGitsnap-Author-Source: ")
_BLANK_LINE = "\n\n"
_PERSON = re.compile(rb"^(author|committer) (.*>) (\d{1,11}) [+-]\d{4}$", re.MULTILINE)


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
    author: str = ""
    """``name <email>``; ``""`` if the commit has no valid author. The same applies to ``committer``."""
    committer: str = ""

    @property
    def is_own(self) -> bool:
        """Whether gitsnap made the commit: its message has gitsnap's trailers.

        The copy of a change that somebody made with `git commit --amend`, `git rebase` or `git cherry-pick` has the
        trailers too, and another committer: such a copy is not gitsnap's.
        """
        return _OWN_TRAILER in self.message and (not self._has_change_trailers or self.committer == GITSNAP)

    @property
    def is_change(self) -> bool:
        """Whether follow mode made the commit, between two samples: a commit that needs no tag (docs/FORMAT.md)."""
        return self.is_own and self._has_change_trailers

    @property
    def change(self) -> Change | None:
        """The change that the commit records; None for any other commit.

        Raises ArchiveError for a change with invalid lines, and for a change of a newer format.
        """
        if not self.is_change:
            return None
        from gitsnap.format.change_message import parse_change

        parent = CommitId(self.parents[0]) if self.parents else None
        return parse_change(CommitId(self.id), parent, self.author, self.message)

    @property
    def _has_change_trailers(self) -> bool:
        paragraph = f"\n{self.message.rstrip().rpartition(_BLANK_LINE)[2]}"
        return all(trailer in paragraph for trailer in _CHANGE_TRAILERS)

    @property
    def time(self) -> datetime | None:
        """The moment of the change, or of the first sample of the commit, UTC; None for a commit by somebody else."""
        return datetime.fromtimestamp(self.seconds, UTC) if self.is_own and self.seconds is not None else None


def read_commit(repository: pygit2.Repository, name: str) -> RecordedCommit:
    """Read the commit with an id. Raises ArchiveError where the commit is missing or damaged."""
    kind, content = read_object(repository, name, f"the commit {name}")
    header, _, message = content.partition(b"\n\n")
    lines = header.split(b"\n")
    if kind != ObjectType.COMMIT or not lines[0].startswith(b"tree "):
        raise unreadable_object(repository, f"the commit {name}")
    people = {match[1]: match for match in _PERSON.finditer(header)}
    author, committer = people.get(b"author"), people.get(b"committer")
    return RecordedCommit(
        name,
        lines[0][5:].decode("ascii", "replace"),
        tuple(line[7:].decode("ascii", "replace") for line in lines if line.startswith(b"parent ")),
        message.decode("utf-8", "replace"),
        int(author[3]) if author else None,
        author[2].decode("utf-8", "surrogateescape") if author else "",
        committer[2].decode("utf-8", "surrogateescape") if committer else "",
    )


def is_plain_successor(repository: pygit2.Repository, name: str, parent: str) -> bool:
    """Whether a commit has this first parent and certainly records no change. False if the commit cannot be read.

    A message that quotes the lines of a change also gives False. Faster than ``read_commit``, for the commits of
    thousands of samples.
    """
    try:
        kind, content = read_object(repository, name, f"the commit {name}")
    except ArchiveError:
        return False
    header = b"tree %b\nparent %b\n" % (content[5:45], parent.encode())
    is_change = all(trailer.encode() in content for trailer in _CHANGE_TRAILERS)
    return kind == ObjectType.COMMIT and content.startswith(header) and not is_change


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


def read_history(repository: pygit2.Repository, heads: Iterable[str], *, until: str = "") -> History:
    """Read some commits and their ancestors. ``heads``: ids of the commits.

    ``until``: the id of a commit whose own ancestors are not read; ``""`` for no such commit.
    """
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
            pending += commits[name].parents if name != until else ()
    return History(commits, tuple(sorted(missing)))
