"""What a copy of an archive lacks of the record, and the git command that brings it.

A clone may be shallow, partial or without tags; it may borrow objects from a folder that is gone. Commands that read
such a copy must say so, since an answer from less than the record is not an answer about the record.
Everyday commands ask this module: it looks at a few files and at the head of the branch, not at all objects.
This module must not write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pygit2

from gitsnap.archive.commit_objects import first_parents
from gitsnap.archive.refs import branch_heads
from gitsnap.archive.trees import DAMAGED
from gitsnap.core.model import Sample
from gitsnap.git.process import common_folder

FETCH_TAGS = "git fetch --tags"
FETCH_HISTORY = "git fetch --unshallow --tags"
FETCH_CONTENTS = "git fetch --refetch --no-filter --tags"

_MOST_COMMITS = 1000
"""So many commits at the head of a branch are looked at in search of one that has a sample."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A part of the record that this copy of the archive does not have."""

    what: str
    """``history``, ``contents``, ``samples`` or ``refs``."""
    message: str
    command: str = ""
    """The git command that brings the part, ``""`` where there is none."""

    def __str__(self) -> str:
        return f"{self.message}; `{self.command}` brings them" if self.command else self.message


def is_clone(repository: pygit2.Repository) -> bool:
    """Whether git made this repository as a copy. gitsnap marks the archives that it makes in their configuration."""
    return "gitsnap.format" not in repository.config


def is_clone_at(git_folder: Path) -> bool:
    """The same for the git directory of a repository; True where its configuration cannot be read."""
    try:
        return "gitsnap.format" not in pygit2.Config(str(common_folder(git_folder) / "config"))
    except (OSError, pygit2.GitError):
        return True


def lacks(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], newest: Sample | None, *, damaged_line: int
) -> list[Lack]:
    """What this copy lacks.

    ``samples`` are all that can be read, ``newest`` is the newest of those on the branch. ``damaged_line``: the line of
    ``packed-refs`` that git cannot read, 0 for none. That a clone is partial is not said here: whatever needs a content
    that was not fetched fails and says so.
    """
    found = [lack for lack in lacking_objects(repository) if lack.command != FETCH_CONTENTS]
    if damaged_line:
        found.append(
            Lack(
                "refs",
                f"the file packed-refs is damaged at line {damaged_line}: samples after this line cannot be "
                "read, and the newest sample may be missing",
            )
        )
    else:
        found += _lacking_samples(repository, branch, samples, newest, shallow=is_shallow(repository))
    return found


def lacking_objects(repository: pygit2.Repository) -> list[Lack]:
    """What the configuration and the object store say of history and contents that are not here."""
    found = []
    if is_shallow(repository):
        found.append(Lack("history", "this clone is shallow: older commits and samples are not here", FETCH_HISTORY))
    if is_partial(repository):
        message = "this clone is partial: contents that were not fetched cannot be read"
        found.append(Lack("contents", message, FETCH_CONTENTS))
    found += [
        Lack("contents", f"objects are borrowed from {folder}, which is not there: {_RESTORE}")
        for folder in _gone_alternates(repository)
    ]
    return found


_RESTORE = "put the folder back, or clone the archive anew without --reference and --shared"


def hint_for_missing(repository: pygit2.Repository) -> str:
    """What to do where an object is missing."""
    return next((f"{lack}." for lack in lacking_objects(repository)), DAMAGED)


def is_shallow(repository: pygit2.Repository) -> bool:
    """Whether the history was cut off by ``git clone --depth`` or its like."""
    return bool(shallow_commits(repository))


def shallow_commits(repository: pygit2.Repository) -> frozenset[str]:
    """The commits whose parents were not fetched."""
    with contextlib.suppress(OSError):
        return frozenset((common_folder(Path(repository.path)) / "shallow").read_text("ascii", "replace").split())
    return frozenset()


def is_partial(repository: pygit2.Repository) -> bool:
    """Whether contents were left out by ``git clone --filter``."""
    if not any((common_folder(Path(repository.path)) / "objects" / "pack").glob("*.promisor")):
        return False
    return "extensions.partialclone" in repository.config or any(
        entry.name.endswith((".promisor", ".partialclonefilter")) for entry in repository.config
    )


def _gone_alternates(repository: pygit2.Repository) -> list[str]:
    objects = common_folder(Path(repository.path)) / "objects"
    with contextlib.suppress(OSError):
        lines = (objects / "info" / "alternates").read_text("utf-8", "surrogateescape").splitlines()
        return [line for line in lines if line and not line.startswith("#") and not (objects / line).is_dir()]
    return []


def _lacking_samples(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], newest: Sample | None, *, shallow: bool
) -> list[Lack]:
    """Whether commits at the head of the branch were made for samples whose tags are not here.

    A capture that was killed leaves one such commit, which the next capture mends. The branch of a clone may also be
    older than the newest sample: then it was not updated when the tags were fetched.
    """
    from gitsnap.archive.worktree import shown_commit

    heads = set(branch_heads(repository, branch).values())
    copied = is_clone(repository)
    if copied and not heads:
        fetched = f"origin '+refs/heads/{branch}:refs/remotes/origin/{branch}'"
        if samples:
            message = f"the branch {branch} is not here, only the tags of its samples"
            return [Lack("history", message, f"git fetch {fetched}")]
        message = f"neither the branch {branch} nor the tag of a sample is here, only a branch made from {branch}"
        return [Lack("samples", message, f"{FETCH_TAGS} {fetched}")]
    # The working tree shows a commit only once its sample has a tag: such a commit is not of a capture that was killed.
    shown = "" if copied or (newest is not None and {newest.commit} == heads) else shown_commit(repository)
    if shown and not heads:
        heads = {shown}
    untagged = max((_untagged(repository, head, samples, newest) for head in heads), default=0)
    if untagged <= (0 if copied or shown in heads else 1):
        return []
    command = (FETCH_HISTORY if shallow else FETCH_TAGS) if copied else ""
    commits = "1 commit" if untagged == 1 else f"{untagged} commits" if untagged < _MOST_COMMITS else "many commits"
    if not samples:
        message = f"no sample is here, but {branch} has {commits} by gitsnap: the tags of the samples are missing"
    else:
        message = (
            f"{branch} has {commits} by gitsnap after the newest sample here: the tags of newer samples are missing"
        )
    if not copied:
        message += f". A clone or a remote may have them: git fetch URL 'refs/tags/{branch}/*:refs/tags/{branch}/*'"
    return [Lack("samples", message, command)]


def _untagged(repository: pygit2.Repository, head: str, samples: Sequence[Sample], newest: Sample | None) -> int:
    """How many own commits lie between the head of a branch and the newest commit that has a sample.

    0 where the newest sample is of another commit than the one that is reached: the branch was rewritten, and its
    commits tell of no further sample.
    """
    if newest is not None and any(
        commit.id == head for commit in islice(first_parents(repository, newest.commit), _MOST_COMMITS)
    ):
        return 0
    tagged = frozenset(sample.commit for sample in samples)
    own = 0
    for commit in islice(first_parents(repository, head), _MOST_COMMITS):
        if commit.id in tagged:
            return own if newest is None or commit.id == newest.commit else 0
        if newest is not None and not commit.parents:
            return 0
        own += commit.is_own
    return own
