"""Finds, opens and makes archives: which folder is one, which is not, and why.

An archive is an ordinary git repository that gitsnap made (``[gitsnap] format`` in its configuration) or a clone of one
(``clones``). This module must never initialise a repository over something else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel

from gitsnap.archive.lock import LOCK_NAME, writers_lock
from gitsnap.core.errors import ArchiveError, InputError, NotFoundError, StorageError, UsageError
from gitsnap.core.files import sync_folder
from gitsnap.format import FORMAT, check_branch

_OLD_FEATURE = "snapshot"
_OF_FSCK = "lost+found"
"""A folder of root's that many file systems have at their root."""
_TREE_INFO = "gitsnap.yaml"
"""A file of every sample, so that it tells the working tree of an archive."""
_NOT_READABLE = "An archive is its owner's alone: run gitsnap as that user, or give the folder to this one (chown -R)."
_MACHINE_LEVELS = (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL, ConfigLevel.PROGRAMDATA)

_WINDOW_BYTES = 1 << 20
_MAPPED_BYTES = 8 << 20
"""So much of the packs is in memory at a time, in windows of that size. libgit2 takes all of them unless it is told."""

_KEPT = "extensions.preciousObjects"
"""With it git deletes no objects (git-config(1)): `git gc --prune=now` does not take one that is just being written."""

_SETTINGS = {
    "core.autocrlf": "false",
    "core.fileMode": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
    "core.symlinks": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    _KEPT: "true",
}


def ignore_machine_settings() -> None:
    """Make libgit2 ignore the machine's and the user's configuration, write durably, and hold little in memory.

    A commit must not depend on who runs gitsnap. The owner of a repository is not checked, since a volume often has
    another owner than the process: that check protects from hooks and configured programs, and libgit2 runs none.
    """
    for level in _MACHINE_LEVELS:
        pygit2.settings.search_path[level] = ""
    pygit2.settings.template_path = ""
    pygit2.settings.owner_validation = False
    pygit2.settings.enable_fsync_gitdir(True)
    pygit2.settings.mwindow_size = _WINDOW_BYTES
    pygit2.settings.mwindow_mapped_limit = _MAPPED_BYTES


def check_storage(storage: Path) -> None:
    """Raises StorageError when the storage folder is missing, no folder, or not readable."""
    if not storage.exists():
        raise StorageError(
            f"the storage folder {storage} does not exist",
            hint="Create it, or name another one with --storage or GITSNAP_STORAGE.",
        )
    if not storage.is_dir():
        raise StorageError(
            f"the storage {storage} is a file, not a folder", hint="Name a folder with --storage or GITSNAP_STORAGE."
        )
    if not os.access(storage, os.R_OK | os.X_OK):
        raise StorageError(f"the storage folder {storage} is not readable for this user", hint=_NOT_READABLE)


def archive_folders(storage: Path) -> Iterator[tuple[Path, ArchiveError | None]]:
    """The folders in a storage that are archives, by name; each with what keeps it from being opened."""
    check_storage(storage)
    for folder in sorted(storage.iterdir()):
        if folder.name.startswith(".") or folder.name == _OF_FSCK or not folder.is_dir():
            continue
        if not _is_readable(folder):
            yield folder, ArchiveError(f"{folder} is not readable for this user", hint=_NOT_READABLE)
            continue
        if not (folder / ".git").exists():
            if (folder / _TREE_INFO).is_file():
                yield folder, _without_git(folder)
            continue
        try:
            if _branch_of(folder) is not None:
                yield folder, None
        except ArchiveError as error:
            yield folder, error


def open_repository(folder: Path, policy: str = "") -> tuple[pygit2.Repository, str]:
    """The repository of an archive, and the name of its branch. ``policy``: as in ``archive.open_path``.

    Raises NotFoundError when there is nothing or no such policy, ArchiveError when there is something else, UsageError
    when several archives could be meant.
    """
    if folder.is_file():
        raise ArchiveError(
            f"{folder} is a file, not the folder of an archive",
            hint=f"Of a git bundle, `git clone {folder} FOLDER` makes an archive.",
        )
    if not folder.is_dir():
        raise NotFoundError(f"there is no archive at {folder}", hint="`gitsnap capture` makes one.")
    if not _is_readable(folder):
        raise StorageError(f"{folder} is not readable for this user", hint=_NOT_READABLE)
    if not (folder / ".git").exists() and not (folder / "objects").is_dir():
        inside = ", ".join(one.name for one, problem in archive_folders(folder) if problem is None)
        if inside:
            raise ArchiveError(
                f"{folder} is not a gitsnap archive: it is a storage folder, with the archives {inside}",
                hint="Name it with --storage, or one of these with --archive.",
            )
        if (folder / _TREE_INFO).is_file():
            raise _without_git(folder)
        raise ArchiveError(f"{folder} is not a gitsnap archive{_what_it_is(folder)}", hint="Name another --storage.")
    branch = _branch_of(folder, policy)
    if branch is None:
        from gitsnap.archive.completeness import lacking_objects

        for lack in lacking_objects(_repository(folder)):
            raise ArchiveError(
                f"{folder} is a git repository, and no gitsnap.yaml can be read in it: {lack.message}",
                hint=f"`{lack.command}` brings them." if lack.command else "Then try again.",
            )
        raise ArchiveError(
            f"{folder} is a git repository, but not a gitsnap archive: no branch of it holds gitsnap.yaml",
            hint="gitsnap never writes into a repository that it did not make. A clone of a single branch gets the "
            "others by `git fetch --tags origin '+refs/heads/*:refs/remotes/origin/*'`.",
        )
    return _repository(folder), branch


def _without_git(folder: Path) -> ArchiveError:
    return ArchiveError(
        f"{folder} holds the files of an archive, and no .git: the samples are not there",
        hint="Put .git back from a backup, or move the folder away and clone the archive's remote.",
    )


def create_repository(folder: Path, *, policy: str, prefix: str = "") -> tuple[pygit2.Repository, str]:
    """The repository of a new archive; opens what is there already if it is the archive asked for.

    Raises ArchiveError when something else is in the way, StorageError when the folder cannot be written.
    """
    branch = check_branch(policy, prefix)
    check_storage(folder.parent)
    if _is_free(folder):
        try:
            _make(folder, branch)
        except (OSError, pygit2.GitError, StorageError) as error:
            if _is_free(folder):  # else another process was faster, and moved it away from under this one
                reason = getattr(error, "strerror", None) or str(error)
                raise StorageError(f"cannot make an archive at {folder}: {reason}") from error
    repository, existing = open_repository(folder)
    if prefix and existing != branch:
        raise ArchiveError(
            f"the archive {folder} has the branch {existing}; its prefix cannot be changed to {prefix}",
            hint="Put the prefix back, or begin another archive with it.",
        )
    if "gitsnap.format" in repository.config and existing.rpartition("/")[2] != policy:  # a clone may have any name
        raise ArchiveError(
            f"the archive {folder} is that of {existing}, not of {policy}",
            hint="Give the folder its own name back, or name another --storage.",
        )
    return repository, existing


def keep_objects(repository: pygit2.Repository) -> None:
    """See to it that no git deletes objects of the archive, from now on. Raises StorageError.

    An archive that gitsnap made has the setting for it from the start; one that somebody cloned has it from here on.
    """
    try:
        if _KEPT not in repository.config or not repository.config.get_bool(_KEPT):
            repository.config[_KEPT] = "true"
    except (OSError, ValueError, pygit2.GitError) as error:
        raise StorageError(f"cannot set {_KEPT} in the archive {repository.path}: {error}") from error


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and _is_readable(folder) and not any(folder.iterdir()))


def _is_readable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _make(folder: Path, branch: str) -> None:
    """Made beside and moved into place: a process killed in between leaves nothing that looks like an archive.

    By one process at a time: the lock that the others wait for is the archive's own, which moves with it.
    """
    making = folder.parent / f".making-{folder.name}"
    git_folder = making / ".git"
    for part in (making, git_folder):
        part.mkdir(mode=0o700, exist_ok=True)
    with writers_lock(git_folder):
        if not _is_free(folder):  # another process was faster
            shutil.rmtree(making, ignore_errors=True)
            return
        _empty(making)
        _initialise(making, branch)
        _sync_all(making)
        if folder.exists():
            folder.rmdir()  # an empty folder, seen above
        making.rename(folder)
        sync_folder(folder.parent)


def _empty(making: Path) -> None:
    """Remove what a killed process had begun."""
    for entry in (*making.iterdir(), *(making / ".git").iterdir()):
        if entry.is_dir() and entry.name != ".git":
            shutil.rmtree(entry)
        elif entry.name not in (".git", LOCK_NAME):
            entry.unlink()


def _initialise(making: Path, branch: str) -> None:
    ignore_machine_settings()
    repository = pygit2.init_repository(making, initial_head=branch)
    for key, value in _SETTINGS.items():
        repository.config[key] = value
    repository.config["gitsnap.format"] = str(FORMAT)
    repository.config["gitsnap.branch"] = branch
    repository.free()
    (making / ".git").chmod(0o700)


def _sync_all(folder: Path) -> None:
    """Make everything in a folder durable, names and contents."""
    for place, _, names in os.walk(folder):
        for name in names:
            with Path(place, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(place))


def _repository(folder: Path) -> pygit2.Repository:
    ignore_machine_settings()
    try:
        return _with_own_working_tree(pygit2.Repository(str(folder)), folder)
    except pygit2.GitError as error:
        raise ArchiveError(
            f"the git repository at {folder} cannot be opened: {error}", hint="`git fsck` there may say more."
        ) from error


def _with_own_working_tree(repository: pygit2.Repository, folder: Path) -> pygit2.Repository:
    """The repository with the archive's folder as working tree: its .git/config may name any other (core.worktree)."""
    if not repository.is_bare and repository.workdir is not None:
        inside = folder.resolve()
        own = inside.parent if inside == Path(repository.path).resolve() else inside
        if Path(repository.workdir).resolve() != own:
            repository.workdir = str(own)
    return repository


def _branch_of(folder: Path, policy: str = "") -> str | None:
    """The branch that holds the samples; None when the folder is no archive. Raises ArchiveError for a newer one."""
    repository = _repository(folder)
    config = repository.config
    if "gitsnap.format" in config:
        version = config["gitsnap.format"] or ""
        if not version.isdecimal() or int(version) > FORMAT:
            raise ArchiveError(
                f"the archive {folder} is of format {version}; this gitsnap knows formats up to {FORMAT}",
                hint="Use a newer gitsnap.",
            )
        own = str(config["gitsnap.branch"])
        return chosen_branch([own], policy, where=str(folder))
    from gitsnap.archive.clones import archive_branches

    found = archive_branches(repository)
    return chosen_branch(found, policy, where=str(folder)) if found else None


def chosen_branch(branches: Sequence[str], policy: str, *, where: str) -> str:
    """The branch that is meant; ``policy`` is its name, its last part, or ``""`` for the only one.

    Raises NotFoundError, and UsageError where several could be meant.
    """
    known = ", ".join(branches)
    if policy in branches:
        return policy
    found = [branch for branch in branches if not policy or branch.rpartition("/")[2] == policy]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(f"{where} has no archive {policy or 'at all'}", hint=f"Its archives: {known or 'none'}")
    raise UsageError(f"--snapshot is needed: {where} has the archives {known}")


def _what_it_is(folder: Path) -> str:
    entries = [entry.name for entry in folder.iterdir()]
    if not entries:
        return ": it is an empty folder"
    if folder.name == _OLD_FEATURE or any(":" in name for name in entries):
        return ": it looks like a folder of the old Sveltos Snapshot feature, which gitsnap does not write into"
    return ": it holds other files"


def check_policy_name(policy: str) -> None:
    """Raises InputError for a name that cannot be an archive's."""
    check_branch(policy)
    if policy == _OLD_FEATURE:
        raise InputError(
            "a policy cannot be named 'snapshot': the old Sveltos Snapshot feature keeps its folders under that name"
        )
