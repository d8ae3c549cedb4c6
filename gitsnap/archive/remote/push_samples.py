"""Pushes detached samples from a cached copy of a remote archive: their tags, and no branch.

A detached sample does not move the branch, so the writer of the branch is not disturbed and the histories do not
diverge. Refs below ``refs/gitsnap/unsent/`` of the copy name the samples whose push is pending, so that no fetch loses
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gitsnap.archive.refs import PENDING_PUSH, TAGS, list_refs
from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.ref_updates import Update, read_back, send
from gitsnap.core.errors import StorageError
from gitsnap.core.model import Sample
from gitsnap.git.process import run_git


def push_pending(git_folder: Path, branch: str, remote: Remote) -> None:
    """Push the pending samples, and read their tags back. A tag of the remote is never replaced.

    Raises RemoteUnreachableError, RemoteError, StorageError, and RemoteDivergedError where the remote has another tag
    of the same name.
    """
    pending = _list_pending(git_folder, branch)
    if not pending:
        return
    refs = {f"{TAGS}{tag}": target for tag, target in pending.items()}
    send(git_folder, remote, [Update(name, target) for name, target in refs.items()])
    read_back(git_folder, branch, remote, refs)
    _update(git_folder, (f"delete {PENDING_PUSH}{tag} {target}" for tag, target in pending.items()))


def restore_pending(git_folder: Path, branch: str) -> None:
    """Restore the tags of pending samples, which a fetch with ``--prune`` removed. Raises StorageError."""
    _update(git_folder, (f"update {TAGS}{tag} {target}" for tag, target in _list_pending(git_folder, branch).items()))


def copy_pending(git_folder: Path, into: Path, branch: str) -> None:
    """Copy the pending samples from one copy of the archive into another. Raises StorageError."""
    refs = f"+{PENDING_PUSH}{branch}/*:{PENDING_PUSH}{branch}/*"
    if _list_pending(git_folder, branch):
        done = run_git(into, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(git_folder.resolve()), refs)
        if done.returncode != 0:
            raise StorageError(
                f"the copy {git_folder.parent} is damaged and holds samples that are not pushed: {done.stderr.strip()}",
                hint="`git fsck` there says more. The samples are the refs below refs/gitsnap/unsent/.",
            )
        restore_pending(into, branch)


def forget_pending(git_folder: Path, sample: Sample) -> None:
    """Remove a pending sample that could not be pushed, and that no rollback depends on. Raises StorageError."""
    _update(git_folder, (f"delete {below}{sample.tag} {sample.tag_id}" for below in (TAGS, PENDING_PUSH)))


def _list_pending(git_folder: Path, branch: str) -> dict[str, str]:
    """The pending samples: name of the tag -> object id."""
    refs = list_refs(git_folder, f"{PENDING_PUSH}{branch}/")  # works in a copy that git refuses to open
    return {name.removeprefix(PENDING_PUSH): target for name, target in refs}


def _update(git_folder: Path, commands: Iterable[str]) -> None:
    """Update refs in one transaction. ``commands``: of `git update-ref --stdin`. Raises StorageError."""
    done = run_git(git_folder, "update-ref", "--stdin", stdin="".join(f"{command}\n" for command in commands))
    if done.returncode != 0:
        raise StorageError(f"the refs of {git_folder} cannot be written: {done.stderr.strip()}")
