"""Finds out which objects a copy of an archive lacks, and names the git command that fetches them.

A clone may be shallow or partial, and it may borrow objects from a folder that no longer exists. A command that reads
such a copy must say so: its answer covers only a part of the archive. This module reads a few files of git, no objects.
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
class MissingPart:
    """A part of the archive that this copy does not have."""

    category: str
    """``history``, ``contents``, ``samples`` or ``refs``."""
    message: str
    command: str = ""
    """The git command that fetches the part; ``""`` where no command does."""

    def __str__(self) -> str:
        return f"{self.message}; `{self.command}` fetches them" if self.command else self.message


def is_clone(repository: pygit2.Repository) -> bool:
    """Whether git made this repository, by `git clone`. gitsnap marks its own archives in their git configuration."""
    return "gitsnap.format" not in repository.config


def is_clone_at(git_folder: Path) -> bool:
    """``is_clone`` for a git directory. True where its configuration cannot be read."""
    try:
        return "gitsnap.format" not in pygit2.Config(str(common_folder(git_folder) / "config"))
    except (OSError, pygit2.GitError):
        return True


def find_missing_objects(repository: pygit2.Repository) -> list[MissingPart]:
    """The missing history and contents, from the git configuration and the files of the object store."""
    missing = []
    if is_shallow(repository):
        missing.append(
            MissingPart("history", "this clone is shallow: older commits and samples are not here", FETCH_HISTORY)
        )
    if is_partial(repository):
        message = "this clone is partial: contents that were not fetched cannot be read"
        missing.append(MissingPart("contents", message, FETCH_CONTENTS))
    missing += [
        MissingPart("contents", f"objects are borrowed from {folder}, which does not exist: {_RESTORE}")
        for folder in _missing_alternates(repository)
    ]
    return missing


_RESTORE = "restore the folder, or clone the archive again without --reference and --shared"


def hint_for_missing_objects(repository: pygit2.Repository) -> str:
    """The hint for an object that is missing or damaged: this copy may have been made without the object."""
    return next((f"{part}." for part in find_missing_objects(repository)), DAMAGED)


def is_shallow(repository: pygit2.Repository) -> bool:
    """Whether the history is cut off, as by ``git clone --depth``."""
    return bool(shallow_commits(repository))


def shallow_commits(repository: pygit2.Repository) -> frozenset[str]:
    """Ids of the commits whose parents were not fetched."""
    with contextlib.suppress(OSError):
        return frozenset((common_folder(Path(repository.path)) / "shallow").read_text("ascii", "replace").split())
    return frozenset()


def is_partial(repository: pygit2.Repository) -> bool:
    """Whether contents were left out, as by ``git clone --filter``."""
    if not any((common_folder(Path(repository.path)) / "objects" / "pack").glob("*.promisor")):
        return False
    return "extensions.partialclone" in repository.config or any(
        entry.name.endswith((".promisor", ".partialclonefilter")) for entry in repository.config
    )


def _missing_alternates(repository: pygit2.Repository) -> list[str]:
    """Folders that the repository borrows objects from (gitrepository-layout(5), alternates) and that do not exist."""
    objects = common_folder(Path(repository.path)) / "objects"
    with contextlib.suppress(OSError):
        lines = (objects / "info" / "alternates").read_text("utf-8", "surrogateescape").splitlines()
        return [line for line in lines if line and not line.startswith("#") and not (objects / line).is_dir()]
    return []
