"""Symbolic links in an archive's git folder: git and libgit2 write through some of them, into files that are elsewhere.

Whoever can write an archive's volume could so have the one who captures write into another file of his.
This module must not write anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gitsnap.core.errors import ArchiveError
from gitsnap.git.process import common_folder

_WALKED = ("refs", "logs")
_OBJECTS = "objects"


def check_links(git_folder: Path) -> None:
    """Raises ArchiveError where a symbolic link in the git folder leads a write elsewhere."""
    for folder in dict.fromkeys((git_folder, common_folder(git_folder))):
        for link in _links(folder):
            raise ArchiveError(
                f"{link} is a symbolic link, so that a write to the archive would go elsewhere",
                hint="gitsnap makes none there. See where it leads, then put a copy of what is there in its place.",
            )


def is_own_folder(folder: Path) -> bool:
    """Whether the git folder of an archive's folder, if there is one, is in this folder and shares nothing."""
    git_folder = folder / ".git"
    if not os.path.lexists(git_folder):
        return True
    return git_folder.is_dir() and not git_folder.is_symlink() and not os.path.lexists(git_folder / "commondir")


def _links(git_folder: Path) -> Iterator[Path]:
    for name in (".", _OBJECTS):
        yield from _links_among(git_folder / name)
    for name in _WALKED:
        for place, _, _ in os.walk(git_folder / name):
            yield from _links_among(Path(place))


def _links_among(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(Path(entry.path) for entry in entries if entry.is_symlink())
    except OSError:  # what cannot be read is found where it is used
        return
