"""Brings an archive from a remote: for a volume that was lost, and for reading from a laptop.

This module must not overwrite an archive.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gitsnap.archive import GitArchive, chosen_branch, create_at, open_path
from gitsnap.archive.leftovers import clear_git
from gitsnap.archive.lock import exclusive_lock
from gitsnap.archive.refs import TAGS, UNSENT, read_refs
from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.push_samples import restore_unsent, take_unsent
from gitsnap.core.errors import ArchiveError, RemoteError, RemoteUnreachableError, StorageError
from gitsnap.format import check_branch, is_tag_of

_URL = re.compile(r"\w+://|(?!/|\.)[\w.-]+@[\w.-]+:")


_LOCK = "gitsnap.lock"
_PATIENCE_SECONDS = 900.0
"""How long a process waits for the copies: as long as one git command may take."""


def is_url(text: str) -> bool:
    """Whether a person means a remote rather than a folder."""
    return _URL.match(text) is not None


def clone(remote: Remote, storage: Path, policy: str, *, prefix: str = "") -> bool:
    """Make the archive of a policy from the remote; False where the remote is there and has nothing of the archive.

    Raises the errors of a remote when that cannot be told: an archive must not begin anew while its history may be
    there. Raises StorageError.
    """
    branch = check_branch(policy, prefix)
    there = remote.refs(storage, branch)
    if f"refs/heads/{branch}" not in there:
        _check_tags(remote, [name for name in there if is_tag_of(name.removeprefix(TAGS), branch)], branch)
        return False
    _clone_into(storage / policy, remote, branch, making=storage / f".cloning-{policy}")
    return True


def _clone_into(place: Path, remote: Remote, branch: str, *, making: Path) -> None:
    """Fetch the archive of a branch into a temporary folder, then rename that: ``place`` is whole or not there.

    Raises StorageError and the errors of a remote.
    """
    prefix, _, policy = branch.rpartition("/")
    try:
        shutil.rmtree(making, ignore_errors=True)  # what a killed process left
        _fetch(remote, Path(create_at(making, policy=policy, prefix=prefix).location) / ".git", branch)
        making.rename(place)
    except OSError as error:
        raise StorageError(f"the archive {place} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


# The copy of a remote's archive ---------------------------------------------------------------------------------------


def cached_clone(remote: Remote, cache: Path, policy: str) -> GitArchive:
    """A copy of a remote's archive, brought up to date. ``policy``: ``""`` where the remote has one only.

    One process at a time brings a copy up to date; the others wait. Raises NotFoundError, UsageError naming the
    policies of the remote, ConflictError, StorageError, and the errors of a remote.
    """
    folder = cache / hashlib.sha256(remote.url.encode()).hexdigest()[:24]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"the folder {cache} for copies of remotes cannot be made: {error.strerror}",
            hint="Name another folder with XDG_CACHE_HOME, or clone the archive and name the clone with --archive.",
        ) from error
    with exclusive_lock(cache / _LOCK, place=f"the copies of remotes in {cache}", patience=_PATIENCE_SECONDS):
        branch = _branch(remote, folder, policy)
        place = folder / hashlib.sha256(branch.encode()).hexdigest()[:16]
        making = folder / f".making-{place.name}"
        if (place / ".git").exists():
            _bring_up_to_date(place, remote, branch, making=making)
        else:
            _clone_into(place, remote, branch, making=making)
        copy = open_path(place)
        copy.tidy()
    return copy


def _bring_up_to_date(place: Path, remote: Remote, branch: str, *, making: Path) -> None:
    """Fetch into a copy. A copy that a killed process or a full disk damaged is made anew.

    Samples of a rollback that the remote does not have yet are only in the copy: they go into the new one.
    """
    git_folder = place / ".git"
    try:
        clear_git(git_folder, branch)
        refs = read_refs(git_folder, UNSENT)
        if refs.damaged_line:  # git reads no ref then; what is cut off is fetched again
            (git_folder / "packed-refs").write_bytes(refs.readable)
        open_path(place)
        _fetch(remote, git_folder, branch)
        restore_unsent(git_folder, branch)
    except RemoteUnreachableError:
        raise
    except (ArchiveError, RemoteError, StorageError):
        renewed = place.with_name(f".renewed-{place.name}")
        shutil.rmtree(renewed, ignore_errors=True)
        _clone_into(renewed, remote, branch, making=making)
        try:
            take_unsent(git_folder, renewed / ".git", branch)
            shutil.rmtree(making, ignore_errors=True)
            place.rename(making)
            renewed.rename(place)
        finally:
            shutil.rmtree(renewed, ignore_errors=True)
            shutil.rmtree(making, ignore_errors=True)


def _fetch(remote: Remote, git_folder: Path, branch: str) -> None:
    """The branch and its tags, exactly as the remote has them."""
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
    )


def _branch(remote: Remote, folder: Path, policy: str) -> str:
    """The branch of the remote that is meant. A branch of exactly this name comes before one whose last part it is."""
    listed = remote.run(folder, "ls-remote", "--heads", remote.url)
    heads = sorted(line.split("refs/heads/", 1)[1] for line in listed.splitlines() if "refs/heads/" in line)
    if not heads:
        _check_branchless(remote, folder)
    return chosen_branch(heads, policy, where=remote.shown)


def _check_branchless(remote: Remote, folder: Path) -> None:
    """Raises RemoteError where a remote without a branch has samples all the same."""
    listed = remote.run(folder, "ls-remote", "--refs", "--tags", remote.url)
    for name in sorted(line.partition("\t")[2] for line in listed.splitlines()):
        branch = name.removeprefix(TAGS).rpartition("/")[0]
        if is_tag_of(name.removeprefix(TAGS), branch):
            _check_tags(remote, [name], branch)


def _check_tags(remote: Remote, tags: Sequence[str], branch: str) -> None:
    """Raises RemoteError where the remote has samples of a branch that it does not have: that is no empty remote."""
    if tags:
        raise RemoteError(
            f"{remote.shown} has samples of {branch}, such as {max(tags).removeprefix(TAGS)}, and not the branch",
            hint="Put the branch back: `gitsnap push` from an archive that has it, or `git push URL "
            f"COMMIT:refs/heads/{branch}` with the commit of the newest tag.",
        )


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where copies of remotes are kept: ``$XDG_CACHE_HOME/gitsnap`` or ``~/.cache/gitsnap``."""
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", ".")) / ".cache")
    return Path(base) / "gitsnap"
