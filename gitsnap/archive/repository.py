"""Finds, opens and creates archives, and explains why a folder is not an archive.

An archive is a git repository that gitsnap created (``[gitsnap] format`` in its git configuration), or a clone of one
(``clones``). This module must never initialise a repository in a folder that holds other files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel

from gitsnap.archive.clones import find_archive_branches
from gitsnap.archive.completeness import find_missing_objects
from gitsnap.archive.lock import LOCK_NAME, writers_lock
from gitsnap.core.errors import ArchiveError, InputError, NotFoundError, StorageError, UsageError
from gitsnap.core.files import sync_file, sync_folder
from gitsnap.format import FORMAT, check_branch

_OLD_FEATURE = "snapshot"
_LOST_AND_FOUND = "lost+found"
"""A folder of root at the root of many file systems."""
TREE_INFO = "gitsnap.yaml"
"""A file of every sample: a folder with this file is the working tree of an archive."""
_NOT_READABLE = "Only the owner can read an archive: run gitsnap as that user, or give this user the folder (chown -R)."
_MACHINE_LEVELS = (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL, ConfigLevel.PROGRAMDATA)

_WINDOW_BYTES = 1 << 20
_MAPPED_BYTES = 8 << 20
"""Size of a window into a pack, and of all windows together. Without a limit libgit2 maps whole packs into memory."""

_PRECIOUS = "extensions.preciousObjects"
"""With this setting git deletes no objects (git-config(1)): `git gc --prune=now` would delete objects that a concurrent
capture has just written."""

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
    _PRECIOUS: "true",
}


def ignore_machine_settings() -> None:
    """Make libgit2 ignore the configuration of the machine and of the user, write durably, and use little memory.

    A commit must not depend on the user who runs gitsnap. The owner of the repository is not checked: a volume often
    has another owner than the process. The check protects against hooks and configured programs, and libgit2 runs none.
    """
    for level in _MACHINE_LEVELS:
        pygit2.settings.search_path[level] = ""
    pygit2.settings.template_path = ""
    pygit2.settings.owner_validation = False
    pygit2.settings.enable_fsync_gitdir(True)
    pygit2.settings.mwindow_size = _WINDOW_BYTES
    pygit2.settings.mwindow_mapped_limit = _MAPPED_BYTES


def check_storage(storage: Path) -> None:
    """Raise StorageError where the storage folder is missing, is not a folder, or is not readable."""
    if not storage.exists():
        raise StorageError(
            f"the storage folder {storage} does not exist",
            hint="Create it, or name another folder with --storage or GITSNAP_STORAGE.",
        )
    if not storage.is_dir():
        raise StorageError(
            f"the storage {storage} is a file, not a folder", hint="Name a folder with --storage or GITSNAP_STORAGE."
        )
    if not os.access(storage, os.R_OK | os.X_OK):
        raise StorageError(f"the storage folder {storage} is not readable for this user", hint=_NOT_READABLE)


def archive_folders(storage: Path) -> Iterator[tuple[Path, ArchiveError | None]]:
    """The folders of the archives in a storage, by name, each with the error that prevents opening it, or None.

    Raises StorageError.
    """
    check_storage(storage)
    for folder in sorted(storage.iterdir()):
        if folder.name.startswith(".") or folder.name == _LOST_AND_FOUND or not folder.is_dir():
            continue
        if not _is_readable(folder):
            yield folder, ArchiveError(f"{folder} is not readable for this user", hint=_NOT_READABLE)
            continue
        if not (folder / ".git").exists():
            if (folder / TREE_INFO).is_file():
                yield folder, _without_git(folder)
            continue
        try:
            if branch_of(folder) is not None:
                yield folder, None
        except ArchiveError as error:
            yield folder, error


def storage_folders(storage: Path) -> Iterator[Path]:
    """Yield a storage, and the folders inside it that are not archives, sorted. Symbolic links are not followed.

    A Snapshot with ``spec.storage`` has its archive in such a folder. Raises StorageError.
    """
    check_storage(storage)
    for folder, names, _ in os.walk(storage):
        yield Path(folder)
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".") and name != _LOST_AND_FOUND and not (Path(folder, name, ".git")).exists()
        )


def holds_other_files(storage: Path, *, besides: Sequence[Path] = ()) -> bool:
    """Whether a folder holds files that do not belong to a storage. Hidden files do not count.

    ``besides``: files and folders that do not count, such as the input of a capture. Raises StorageError.
    """
    check_storage(storage)
    known = {storage / _LOST_AND_FOUND, storage / _OLD_FEATURE}
    known.update(parent for path in besides for parent in (path.resolve(), *path.resolve().parents))
    return any(
        not entry.name.startswith(".") and entry not in known and entry.resolve() not in known
        for entry in storage.iterdir()
    )


def open_repository(folder: Path, policy: str = "") -> tuple[pygit2.Repository, str]:
    """Open the repository of an archive. Returns it with the name of the archive's branch.

    Args:
        folder: The folder of the archive, or of a clone.
        policy: A policy or branch; ``""`` where the repository has only one archive.

    Raises:
        NotFoundError: The folder is missing, or has no archive of this policy.
        ArchiveError: The folder is not an archive, or needs a newer gitsnap.
        StorageError: The folder is not readable.
        UsageError: The repository has several archives, and ``policy`` is empty.
    """
    if folder.is_file():
        raise ArchiveError(
            f"{folder} is a file, not the folder of an archive",
            hint=f"If it is a git bundle, `git clone {folder} FOLDER` makes an archive.",
        )
    if not folder.is_dir():
        raise NotFoundError(f"there is no archive at {folder}", hint="`gitsnap capture` creates one.")
    if not _is_readable(folder):
        raise StorageError(f"{folder} is not readable for this user", hint=_NOT_READABLE)
    if not (folder / ".git").exists() and not (folder / "objects").is_dir():
        inside = ", ".join(archive.name for archive, problem in archive_folders(folder) if problem is None)
        if inside:
            raise ArchiveError(
                f"{folder} is not a gitsnap archive: it is a storage folder, with the archives {inside}",
                hint="Name this folder with --storage, or one of the archives with --archive.",
            )
        if (folder / TREE_INFO).is_file():
            raise _without_git(folder)
        hint = "Name another folder with --storage or --archive."
        raise ArchiveError(f"{folder} is not a gitsnap archive{_description(folder)}", hint=hint)
    branch = branch_of(folder, policy)
    if branch is None:
        for part in find_missing_objects(_open(folder)):
            raise ArchiveError(
                f"{folder} is a git repository, and no gitsnap.yaml can be read in it: {part.message}",
                hint=f"`{part.command}` fetches them." if part.command else "Then try again.",
            )
        raise ArchiveError(
            f"{folder} is a git repository, but not a gitsnap archive: no branch of it holds gitsnap.yaml",
            hint="gitsnap never writes into a repository that it did not make. A clone of a single branch gets the "
            "others by `git fetch --tags origin '+refs/heads/*:refs/remotes/origin/*'`.",
        )
    return _open(folder), branch


def _without_git(folder: Path) -> ArchiveError:
    return ArchiveError(
        f"{folder} has the files of an archive and no .git: the samples are missing",
        hint="Put .git back from a backup, or move the folder away and clone the archive's remote.",
    )


def create_repository(folder: Path, *, policy: str, prefix: str = "") -> tuple[pygit2.Repository, str]:
    """Create the repository of an archive, or open the existing one. Returns it with the name of its branch.

    Args:
        folder: The folder of the archive.
        policy: Name of the snapshot policy.
        prefix: Prefix of the branch, without a slash at the end.

    Raises:
        ArchiveError: The folder holds other files, or the archive of another policy or prefix.
        StorageError: The folder cannot be written.
        InputError: The policy or the prefix cannot be part of a branch name.
    """
    branch = check_branch(policy, prefix)
    check_storage(folder.parent)
    if folder.is_symlink() and not folder.exists():
        raise StorageError(
            f"{folder} is a symbolic link to {folder.readlink()}, which does not exist",
            hint="Is a volume not mounted? Otherwise remove the link.",
        )
    if is_free(folder):
        try:
            _create(folder, branch)
        except (OSError, pygit2.GitError, StorageError) as error:
            if is_free(folder):  # otherwise another process has created the archive meanwhile
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
    """Set ``extensions.preciousObjects``, so that no git deletes objects of the archive. Raises StorageError.

    An archive that gitsnap created has the setting already; a clone gets it with its first capture.
    """
    try:
        if _PRECIOUS not in repository.config or not repository.config.get_bool(_PRECIOUS):
            repository.config[_PRECIOUS] = "true"
    except (OSError, ValueError, pygit2.GitError) as error:
        raise StorageError(f"cannot set {_PRECIOUS} in the archive {repository.path}: {error}") from error


def is_free(folder: Path) -> bool:
    """Whether a folder is missing or empty, so that an archive can be created there."""
    return not folder.exists() or (folder.is_dir() and _is_readable(folder) and not any(folder.iterdir()))


def _is_readable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _create(folder: Path, branch: str) -> None:
    """Create an archive in a temporary folder, then rename that: a killed process leaves no incomplete archive.

    One process at a time creates the archive. The others wait for the writer's lock in the temporary folder, which is
    renamed together with the folder.
    """
    temporary = folder.parent / f".making-{folder.name}"
    git_folder = temporary / ".git"
    for part in (temporary, git_folder):
        part.mkdir(mode=0o700, exist_ok=True)
    with writers_lock(git_folder):
        if not is_free(folder):  # another process has created the archive meanwhile
            shutil.rmtree(temporary, ignore_errors=True)
            return
        _clear(temporary)
        _initialise(temporary, branch)
        _sync_all(temporary)
        if folder.exists():
            folder.rmdir()  # it is empty
        temporary.rename(folder)
        sync_folder(folder.parent)


def _clear(temporary: Path) -> None:
    """Remove the files that a killed process left in the temporary folder, except the lock."""
    for entry in (*temporary.iterdir(), *(temporary / ".git").iterdir()):
        if entry.is_dir() and entry.name != ".git":
            shutil.rmtree(entry)
        elif entry.name not in (".git", LOCK_NAME):
            entry.unlink()


def _initialise(folder: Path, branch: str) -> None:
    ignore_machine_settings()
    repository = pygit2.init_repository(folder, initial_head=branch)
    for key, value in _SETTINGS.items():
        repository.config[key] = value
    repository.config["gitsnap.format"] = str(FORMAT)
    repository.config["gitsnap.branch"] = branch
    repository.free()
    (folder / ".git").chmod(0o700)


def _sync_all(folder: Path) -> None:
    """Make the names and contents of all files below a folder durable."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with Path(parent, name).open("rb") as file:
                sync_file(file)
        sync_folder(Path(parent))


def _open(folder: Path) -> pygit2.Repository:
    ignore_machine_settings()
    try:
        return _with_own_working_tree(pygit2.Repository(str(folder)), folder)
    except pygit2.GitError as error:
        raise ArchiveError(
            f"the git repository at {folder} cannot be opened: {error}", hint="`git fsck` there may say more."
        ) from error


def _with_own_working_tree(repository: pygit2.Repository, folder: Path) -> pygit2.Repository:
    """Make the folder of the archive the working tree, and ignore ``core.worktree`` of .git/config."""
    if not repository.is_bare and repository.workdir is not None:
        inside = folder.resolve()
        own = inside.parent if inside == Path(repository.path).resolve() else inside
        if Path(repository.workdir).resolve() != own:
            repository.workdir = str(own)
    return repository


def branch_of(folder: Path, policy: str = "", *, clones: bool = True) -> str | None:
    """The branch of the archive; None for another repository.

    ``clones``: whether to look for archives in the branches of a repository that gitsnap did not create. Raises
    ArchiveError for a damaged repository or a newer format, NotFoundError and UsageError as ``chosen_branch``.
    """
    repository = _open(folder)
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
    branches = find_archive_branches(repository) if clones else []
    return chosen_branch(branches, policy, where=str(folder)) if branches else None


def chosen_branch(branches: Sequence[str], policy: str, *, where: str) -> str:
    """Choose a branch by its name, or by the last part of its name, in this order.

    Args:
        branches: The branches of archives.
        policy: The name, or the last part of the name; ``""`` for the only branch.
        where: The archive or remote, for messages.

    Raises:
        NotFoundError: There is no such branch.
        UsageError: Several branches match.
    """
    known = ", ".join(branches)
    if policy in branches:
        return policy
    matches = [branch for branch in branches if not policy or branch.rpartition("/")[2] == policy]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise NotFoundError(f"{where} has no archive {policy or 'at all'}", hint=f"Its archives: {known or 'none'}")
    raise UsageError(f"--snapshot is needed: {where} has the archives {known}")


def _description(folder: Path) -> str:
    """A phrase for messages: the likely content of a folder that is not an archive."""
    entries = [entry.name for entry in folder.iterdir()]
    if not entries:
        return ": it is an empty folder"
    if folder.name == _OLD_FEATURE or any(":" in name for name in entries):
        return ": it looks like a folder of the old Sveltos Snapshot feature, which gitsnap does not write into"
    return ": it holds other files"


def check_policy_name(policy: str) -> None:
    """Raise InputError for a name that no policy can have."""
    check_branch(policy)
    if policy == _OLD_FEATURE:
        raise InputError(
            "a policy cannot be named 'snapshot': the old Sveltos Snapshot feature keeps its folders under that name"
        )
