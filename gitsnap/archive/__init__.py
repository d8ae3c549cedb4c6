"""Archives: git repositories, one for each snapshot policy. The only package that imports pygit2.

The layout, refs and messages are those of ``gitsnap.format``.
"""

from __future__ import annotations

from pathlib import Path

from gitsnap.archive.enclosing_archive import find_enclosing
from gitsnap.archive.git_archive import GitArchive
from gitsnap.archive.reader import GitTree, Problem
from gitsnap.archive.repository import (
    archive_folders,
    check_policy_name,
    check_storage,
    chosen_branch,
    create_repository,
    holds_other_files,
    is_free,
    open_repository,
    storage_folders,
)
from gitsnap.archive.symlinks import is_own_folder
from gitsnap.core.errors import ArchiveError

__all__ = [
    "GitArchive",
    "GitTree",
    "Problem",
    "check_policy_name",
    "chosen_branch",
    "create_archive",
    "create_archive_at",
    "find_enclosing",
    "holds_other_files",
    "is_free",
    "is_own_folder",
    "list_archives",
    "open_archive",
    "open_archive_at",
    "storage_folders",
]


def open_archive(storage: Path, policy: str) -> GitArchive:
    """Open the archive of a policy in a storage. Raises StorageError, NotFoundError, ArchiveError, InputError."""
    check_storage(storage)
    check_policy_name(policy)
    return open_archive_at(storage / policy)


def create_archive(storage: Path, policy: str, *, prefix: str = "") -> GitArchive:
    """Open the archive of a policy in a storage, or create it. Raises StorageError, ArchiveError, InputError.

    ``prefix``: prefix of the branch, without a slash at the end.
    """
    check_policy_name(policy)
    return create_archive_at(storage / policy, policy=policy, prefix=prefix)


def create_archive_at(folder: Path, *, policy: str, prefix: str = "") -> GitArchive:
    """Open the archive of a policy in ``folder``, or create it there.

    An archive is never created inside another archive: `git add` in the outer one would add its files and private
    keys. Raises StorageError, ArchiveError, InputError.
    """
    if is_free(folder) and (outer := find_enclosing(folder.parent)) is not None:
        raise ArchiveError(
            f"{folder} is inside the archive {outer}, and no archive may be inside another",
            hint=f"Name a folder outside, such as {outer.parent}.",
        )
    repository, branch = create_repository(folder, policy=policy, prefix=prefix)
    return GitArchive(repository, folder, branch)


def open_archive_at(folder: Path, policy: str = "") -> GitArchive:
    """Open the archive in ``folder``, or a clone.

    ``policy``: a policy or branch; ``""`` where the repository has only one archive. Raises NotFoundError,
    ArchiveError, StorageError, UsageError (see ``repository.open_repository``).
    """
    repository, branch = open_repository(folder, policy)
    return GitArchive(repository, folder, branch)


def list_archives(storage: Path, *, problems: list[ArchiveError] | None = None) -> list[GitArchive]:
    """Open all archives of a storage, sorted by folder.

    The error of an archive that cannot be opened is appended to ``problems``, or raised where ``problems`` is None.
    Raises StorageError, ArchiveError.
    """
    archives = []
    for folder, error in archive_folders(storage):
        if error is None:
            archives.append(open_archive_at(folder))
        elif problems is None:
            raise error
        else:
            problems.append(error)
    return archives
