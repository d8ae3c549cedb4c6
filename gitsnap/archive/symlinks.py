"""Refuses symbolic links in the git directory of an archive.

git and libgit2 write through some symbolic links. A user who can write to the volume of the archive could make the user
who captures overwrite other files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gitsnap.core.errors import ArchiveError
from gitsnap.git.process import common_folder

_WALKED = ("refs", "logs")  # with their folders
_OBJECTS = "objects"


def check_links(git_folder: Path) -> None:
    """Raise ArchiveError where the git directory, or its common directory, holds a symbolic link."""
    for folder in dict.fromkeys((git_folder, common_folder(git_folder))):
        for link in _links(folder):
            raise ArchiveError(
                f"{link} is a symbolic link, so that a write to the archive would go elsewhere",
                hint="gitsnap makes no links there. See where the link leads, then replace it by a copy of its target.",
            )


def is_own_folder(folder: Path) -> bool:
    """Whether ``.git`` of an archive's folder is an ordinary directory without a common directory, or is missing."""
    git_folder = folder / ".git"
    if not os.path.lexists(git_folder):
        return True
    return git_folder.is_dir() and not git_folder.is_symlink() and not os.path.lexists(git_folder / "commondir")


def _links(git_folder: Path) -> Iterator[Path]:
    for name in (".", _OBJECTS):
        yield from _links_among(git_folder / name)
    for name in _WALKED:
        for folder, _, _ in os.walk(git_folder / name):
            yield from _links_among(Path(folder))


def _links_among(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(Path(entry.path) for entry in entries if entry.is_symlink())
    except OSError:  # a folder that cannot be read is reported when it is used
        return
