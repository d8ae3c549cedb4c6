"""Clones archives from a remote: to replace a lost volume, and as cached copies for reading elsewhere.

This module must not overwrite an archive.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gitsnap.archive import GitArchive, chosen_branch, create_archive_at, open_archive_at
from gitsnap.archive.leftovers import remove_git_leftovers
from gitsnap.archive.lock import exclusive_lock
from gitsnap.archive.refs import PENDING_PUSH, TAGS, read_refs
from gitsnap.archive.remote.author_notes import NOTES_TO_FETCH
from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.push_samples import copy_pending, restore_pending
from gitsnap.core.errors import ArchiveError, RemoteError, RemoteUnreachableError, StorageError
from gitsnap.core.files import replace_file
from gitsnap.format import check_branch, is_tag_of

_URL = re.compile(r"\w+://|(?!/|\.)[\w.-]+@[\w.-]+:")

_LOCK = "gitsnap.lock"
_PATIENCE_SECONDS = 900.0
"""Time to wait for the lock of the cache: as long as one git command may take."""


def is_url(text: str) -> bool:
    """Whether a text is the URL of a remote rather than a path."""
    return _URL.match(text) is not None


def clone(remote: Remote, storage: Path, policy: str, *, prefix: str = "") -> bool:
    """Clone the archive of a policy into the storage. False where the remote can be read and has no such archive.

    Raises RemoteError and its subclasses where the remote cannot be read, or has samples without the branch: a new
    archive must not be started while the remote may have its history. Raises StorageError.
    """
    branch = check_branch(policy, prefix)
    remote_refs = remote.refs(storage, branch)
    if f"refs/heads/{branch}" not in remote_refs:
        _check_tags(remote, [name for name in remote_refs if is_tag_of(name.removeprefix(TAGS), branch)], branch)
        return False
    _clone_into(storage / policy, remote, branch, temporary=storage / f".cloning-{policy}")
    return True


def _clone_into(folder: Path, remote: Remote, branch: str, *, temporary: Path) -> None:
    """Fetch an archive into a temporary folder, then rename that to ``folder``, which is complete or absent.

    Raises StorageError, RemoteError and its subclasses.
    """
    prefix, _, policy = branch.rpartition("/")
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # a killed process may have left it
        _fetch(remote, Path(create_archive_at(temporary, policy=policy, prefix=prefix).location) / ".git", branch)
        temporary.rename(folder)
    except OSError as error:
        raise StorageError(f"the archive {folder} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


# Cached copies of remote archives -------------------------------------------------------------------------------------


def cached_clone(remote: Remote, cache: Path, policy: str) -> GitArchive:
    """Fetch the archive of a remote into its cached copy, and open the copy.

    One process at a time updates the copies below ``cache``; other processes wait.

    Args:
        remote: The remote.
        cache: The folder for all cached copies.
        policy: A policy or branch of the remote; ``""`` where the remote has only one.

    Returns:
        The copy, with the branch and the tags of the remote.

    Raises:
        NotFoundError: The remote has no such archive.
        UsageError: The remote has several archives, which the message names, and ``policy`` is empty.
        ConflictError: Another process updated the copies for too long.
        StorageError: The copy cannot be written.
        RemoteError: The remote cannot be read; also its subclasses.
    """
    folder = cache / hashlib.sha256(remote.url.encode()).hexdigest()[:24]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"the folder {cache} for copies of remotes cannot be made: {error.strerror}",
            hint="Name another folder with XDG_CACHE_HOME, or clone the archive and name the clone with --archive.",
        ) from error
    with exclusive_lock(cache / _LOCK, subject=f"the copies of remotes in {cache}", patience=_PATIENCE_SECONDS):
        branch = _choose_branch(remote, folder, policy)
        copy = folder / hashlib.sha256(branch.encode()).hexdigest()[:16]
        temporary = folder / f".making-{copy.name}"
        if (copy / ".git").exists():
            _update_copy(copy, remote, branch, temporary=temporary)
        else:
            _clone_into(copy, remote, branch, temporary=temporary)
        archive = open_archive_at(copy)
        archive.tidy()
    archive.source = remote.shown
    return archive


def _update_copy(copy: Path, remote: Remote, branch: str, *, temporary: Path) -> None:
    """Fetch into a cached copy. A copy that a killed process or a full disk damaged is replaced by a new clone.

    Samples that are not pushed yet exist only in the copy: they are copied into the new clone.
    """
    git_folder = copy / ".git"
    try:
        remove_git_leftovers(git_folder, branch)
        refs = read_refs(git_folder, PENDING_PUSH)
        if refs.damaged_line:  # git would read no ref at all; the refs that are cut off here are fetched again
            replace_file(git_folder / "packed-refs", refs.readable, keep_mode=True, durable=True)
        open_archive_at(copy)
        _fetch(remote, git_folder, branch)
        restore_pending(git_folder, branch)
    except RemoteUnreachableError:
        raise
    except (ArchiveError, RemoteError, StorageError, OSError):
        renewed = copy.with_name(f".renewed-{copy.name}")
        shutil.rmtree(renewed, ignore_errors=True)
        _clone_into(renewed, remote, branch, temporary=temporary)
        try:
            copy_pending(git_folder, renewed / ".git", branch)
            shutil.rmtree(temporary, ignore_errors=True)
            copy.rename(temporary)
            renewed.rename(copy)
        finally:
            shutil.rmtree(renewed, ignore_errors=True)
            shutil.rmtree(temporary, ignore_errors=True)


def _fetch(remote: Remote, git_folder: Path, branch: str) -> None:
    """Fetch the branch, its tags and the notes about authors. Afterwards they are exactly those of the remote."""
    remote.run(
        git_folder,
        "fetch",
        "--quiet",
        "--no-tags",
        "--prune",
        "--update-head-ok",
        "--no-write-fetch-head",
        remote.url,
        f"+refs/heads/{branch}:refs/heads/{branch}",
        f"+refs/tags/{branch}/*:refs/tags/{branch}/*",
        NOTES_TO_FETCH,
    )


def _choose_branch(remote: Remote, folder: Path, policy: str) -> str:
    """The branch of the remote for a policy or a branch name."""
    listed = remote.run(folder, "ls-remote", "--heads", remote.url)
    heads = sorted(line.split("refs/heads/", 1)[1] for line in listed.splitlines() if "refs/heads/" in line)
    if not heads:
        _check_branchless(remote, folder)
    return chosen_branch(heads, policy, where=remote.shown)


def _check_branchless(remote: Remote, folder: Path) -> None:
    """Raise RemoteError where a remote that has no branches has tags of samples."""
    listed = remote.run(folder, "ls-remote", "--refs", "--tags", remote.url)
    for name in sorted(line.partition("\t")[2] for line in listed.splitlines()):
        branch = name.removeprefix(TAGS).rpartition("/")[0]
        if is_tag_of(name.removeprefix(TAGS), branch):
            _check_tags(remote, [name], branch)


def _check_tags(remote: Remote, tags: Sequence[str], branch: str) -> None:
    """Raise RemoteError where there are tags of samples, although the remote does not have their branch."""
    if tags:
        raise RemoteError(
            f"{remote.shown} has samples of {branch}, such as {max(tags).removeprefix(TAGS)}, and not the branch",
            hint="Put the branch back: `gitsnap push` from an archive that has it, or `git push URL "
            f"COMMIT:refs/heads/{branch}` with the commit of the newest tag.",
        )


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The folder for cached copies of remotes: ``$XDG_CACHE_HOME/gitsnap``, or ``~/.cache/gitsnap``."""
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", ".")) / ".cache")
    return Path(base) / "gitsnap"
