"""Finds the archive that a folder is part of, as git finds its repository from a folder inside the working tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gitsnap.archive.repository import TREE_INFO, branch_of
from gitsnap.core.errors import ArchiveError, UsageError

_GIT_FOLDER = ".git"


def find_enclosing(folder: Path) -> Path | None:
    """Return the folder of the archive that is, or contains, ``folder``; None if there is none.

    ``folder`` need not exist. The result is an absolute path without symbolic links. Raises ArchiveError for an archive
    that is damaged or needs a newer gitsnap, and for an archive above ``folder`` that another user owns.
    """
    start = Path(os.path.realpath(folder))  # resolve() raises an error for a loop of links
    for path in _repositories(start):
        if _is_archive(path, thorough=path == start):
            if path != start:
                check_owner(path)
            return path
    return None


def check_owner(archive: Path) -> None:
    """Raise ArchiveError if another user owns an archive that the user did not name.

    Otherwise another user could plant an archive in a parent folder, such as /tmp, and decide how Secrets are stored.
    git has the same rule (git-config(1), ``safe.directory``).
    """
    owner = archive.stat().st_uid
    if owner not in (os.geteuid(), 0):
        raise ArchiveError(
            f"this folder is inside the archive {archive}, which belongs to another user (uid {owner})",
            hint="If you trust that archive, name its folder: --archive DIR, or --storage DIR for `capture`.",
        )


def _repositories(start: Path) -> Iterator[Path]:
    """Yield the git repositories among ``start`` and the folders above it, the nearest first."""
    for path in (start, *start.parents):
        if path.name == _GIT_FOLDER:  # the repository is the folder above
            continue
        if os.path.lexists(path / _GIT_FOLDER) or (
            os.path.isfile(path / "HEAD") and os.path.isdir(path / "objects")  # noqa: PTH112, PTH113 - False for EACCES
        ):
            yield path


def _is_archive(repository: Path, *, thorough: bool) -> bool:
    """Whether a git repository is an archive.

    ``thorough``: look for archives in all branches. Otherwise a clone must have an archive checked out, so that a large
    repository of another kind costs no time.
    """
    has_tree_info = os.path.isfile(repository / TREE_INFO)  # noqa: PTH113 - False without permission
    try:
        return branch_of(repository, clones=thorough or has_tree_info) is not None
    except UsageError:  # a clone of several archives
        return True
    except ArchiveError:
        if has_tree_info:
            raise
        return False
