"""Sends the samples that were taken beside a remote's branch, in a copy of its archive: their tags and nothing else.

So whoever writes the branch goes on undisturbed, and nothing diverges. What the remote does not have yet is noted in
refs of the copy, so that no fetch loses it. This module must not touch a branch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gitsnap.archive.refs import TAGS, UNSENT, refs_below
from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.ref_updates import Update, read_back, send
from gitsnap.core.errors import StorageError
from gitsnap.core.model import Sample
from gitsnap.git.process import run_git


def send_samples(git_folder: Path, branch: str, remote: Remote) -> None:
    """Push all that the remote lacks, never over a tag that is there; it counts when it is read back.

    Raises RemoteUnreachableError, RemoteDivergedError where another tag has the name, RemoteError.
    """
    unsent = _unsent(git_folder, branch)
    if not unsent:
        return
    refs = {f"{TAGS}{tag}": target for tag, target in unsent.items()}
    send(git_folder, remote, [Update(name, target) for name, target in refs.items()])
    read_back(git_folder, branch, remote, refs)
    _update(git_folder, (f"delete {UNSENT}{tag} {target}" for tag, target in unsent.items()))


def restore_unsent(git_folder: Path, branch: str) -> None:
    """Put back the tags that a fetch took away because the remote lacks them."""
    _update(git_folder, (f"update {TAGS}{tag} {target}" for tag, target in _unsent(git_folder, branch).items()))


def take_unsent(git_folder: Path, into: Path, branch: str) -> None:
    """Bring the samples that the remote lacks from one copy into another. Raises StorageError."""
    refs = f"+{UNSENT}{branch}/*:{UNSENT}{branch}/*"
    if _unsent(git_folder, branch):
        done = run_git(into, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(git_folder.resolve()), refs)
        if done.returncode != 0:
            raise StorageError(
                f"the copy {git_folder.parent} is damaged and holds samples that were not sent: {done.stderr.strip()}",
                hint="`git fsck` there says more. The samples are the refs below refs/gitsnap/unsent/.",
            )
        restore_unsent(into, branch)


def forget_unsent(git_folder: Path, sample: Sample) -> None:
    """Undo the taking of a sample that could not be sent, and that nothing hangs on."""
    _update(git_folder, (f"delete {below}{sample.tag} {sample.tag_id}" for below in (TAGS, UNSENT)))


def _unsent(git_folder: Path, branch: str) -> dict[str, str]:
    """Tag -> object of each sample that the remote is not known to have."""
    refs = refs_below(git_folder, f"{UNSENT}{branch}/")  # also in a copy that git refuses to open
    return {name.removeprefix(UNSENT): target for name, target in refs}


def _update(git_folder: Path, commands: Iterable[str]) -> None:
    given = "".join(f"{command}\n" for command in commands)
    done = run_git(git_folder, "update-ref", "--stdin", given=given)
    if done.returncode != 0:
        raise StorageError(f"the refs of {git_folder} cannot be written: {done.stderr.strip()}")
