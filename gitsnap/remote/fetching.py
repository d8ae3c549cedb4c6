"""Brings an archive from a remote: for a volume that was lost, and for reading from a laptop.

This module must not overwrite an archive.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from gitsnap.archive import GitArchive, create_at, open_path
from gitsnap.errors import NotFoundError, StorageError, UsageError
from gitsnap.format import check_branch
from gitsnap.git import run_git
from gitsnap.remote.sending import restore_unsent
from gitsnap.remote.talking import Remote

_URL = re.compile(r"\w+://|(?!/|\.)[\w.-]+@[\w.-]+:")


def is_url(text: str) -> bool:
    """Whether a person means a remote rather than a folder."""
    return _URL.match(text) is not None


def clone(remote: Remote, storage: Path, policy: str, *, prefix: str = "") -> bool:
    """Make the archive of a policy from the remote; False where the remote is there and has no such branch.

    Raises the errors of a remote when that cannot be told: an archive must not begin anew while its history may be
    there. Raises StorageError.
    """
    branch = check_branch(policy, prefix)
    making = f".cloning-{policy}"
    shutil.rmtree(storage / making, ignore_errors=True)  # what a killed process left
    made = create_at(storage / making, policy=policy, prefix=prefix)
    git_folder = Path(made.location) / ".git"
    try:
        if f"refs/heads/{branch}" not in remote.refs(git_folder, branch):
            return False
        _fetch(remote, git_folder, branch)
        (storage / making).rename(storage / policy)
    except OSError as error:
        raise StorageError(f"the archive {storage / policy} cannot be made: {error.strerror}") from error
    finally:
        shutil.rmtree(storage / making, ignore_errors=True)
    return True


def cached_clone(remote: Remote, cache: Path, policy: str) -> GitArchive:
    """A copy of a remote's archive, brought up to date. ``policy``: ``""`` where the remote has one only.

    Raises NotFoundError, UsageError naming the policies of the remote, and the errors of a remote.
    """
    folder = cache / hashlib.sha256(remote.url.encode()).hexdigest()[:24]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = folder / "refs.git"
    if not scratch.exists():
        run_git(scratch, "init", "--quiet", "--bare", str(scratch))
    branch = _branch(remote, scratch, policy)
    place = folder / hashlib.sha256(branch.encode()).hexdigest()[:16]
    if not (place / ".git").exists():
        prefix, _, name = branch.rpartition("/")
        create_at(place, policy=name, prefix=prefix)
    _fetch(remote, place / ".git", branch)
    restore_unsent(place / ".git", branch)
    copy = open_path(place)
    copy.tidy()
    return copy


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


def _branch(remote: Remote, git_folder: Path, policy: str) -> str:
    listed = remote.run(git_folder, "ls-remote", "--heads", remote.url)
    heads = sorted(line.split("refs/heads/", 1)[1] for line in listed.splitlines() if "refs/heads/" in line)
    found = [head for head in heads if not policy or policy in (head, head.rpartition("/")[2])]
    if len(found) == 1:
        return found[0]
    known = ", ".join(heads) or "none"
    if not found:
        raise NotFoundError(f"{remote.shown} has no archive {policy or 'at all'}", hint=f"Its branches: {known}")
    raise UsageError(f"--snapshot is needed: {remote.shown} has the branches {known}")


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where copies of remotes are kept: ``$XDG_CACHE_HOME/gitsnap`` or ``~/.cache/gitsnap``."""
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", ".")) / ".cache")
    return Path(base) / "gitsnap"
