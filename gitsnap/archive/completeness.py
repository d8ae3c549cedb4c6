"""What a copy of an archive lacks of the record, and the git command that brings it.

A clone may be shallow, partial or without tags; it may borrow objects from a folder that is gone. Commands that read
such a copy must say so, since an answer from less than the record is not an answer about the record.
Everyday commands ask this module: it looks at a few files and at the head of the branch, not at all objects.
This module must not write.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pygit2

from gitsnap.git.process import common_folder

DAMAGED = "`gitsnap verify` lists all damage; a clone or the remote may still have the object."
"""Hint for an object that cannot be read."""

FETCH_TAGS = "git fetch --tags"
FETCH_HISTORY = "git fetch --unshallow --tags"
FETCH_CONTENTS = "git fetch --refetch --no-filter --tags"


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


def hint_for_missing_objects(repository: pygit2.Repository) -> str:
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
