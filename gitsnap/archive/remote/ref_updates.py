"""Updates refs of a remote by name and object id, never forced, and reads the refs back.

The refs of a batch are pushed atomically. Some servers do not support atomic pushes (AWS CodeCommit, Azure DevOps):
there the tags are pushed before the branch, so that no commit of the branch lacks the tag of its sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.failures import lacks_atomic
from gitsnap.core.errors import RemoteError
from gitsnap.git.process import scratch_repository

_BATCH = 1000
"""The largest number of refs in one push: more may not fit into a command line."""

_MOST_BY_NAME = 500
"""The largest number of refs that are read back by name. For more, all refs of the branch are listed."""

_UP_TO_DATE = re.compile(r"^ = \[up to date\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Update:
    """An update of a ref of the remote."""

    name: str
    target: str
    """The new object id; ``""`` to delete the ref."""
    expected: str = ""
    """The object id that the ref must have now; ``""`` for a ref that is new or that may only be fast-forwarded."""

    @property
    def lease(self) -> tuple[str, ...]:
        """The option for `git push` that checks ``expected``, if set."""
        return (f"--force-with-lease={self.name}:{self.expected}",) if self.expected else ()

    @property
    def spec(self) -> str:
        """The refspec. It has the object id, so that a concurrent capture does not change the push."""
        return f"{self.target}:{self.name}"


def send(git_folder: Path, remote: Remote, updates: Iterable[Update]) -> None:
    """Push the updates in batches: atomically, or one after the other where the server does not support that.

    Raises RemoteRefusedError, RemoteChangedError, RemoteUnreachableError, RemoteError.
    """
    waiting = sorted(updates, key=lambda update: update.name)
    atomic = True
    while waiting:
        batch = waiting[:_BATCH] if atomic else _without_branch(waiting)[:_BATCH] or waiting[:1]
        leases = [option for update in batch for option in update.lease]
        specs = [update.spec for update in batch]
        done = remote.attempt(
            git_folder, "push", *(("--atomic",) if atomic else ()), "--no-verify", "--quiet", "--porcelain", *leases,
            remote.url, *specs,
        )  # fmt: skip
        if done.returncode == 0:
            sent = set(batch)
            waiting = [update for update in waiting if update not in sent]
        elif atomic and lacks_atomic(done.stderr):
            atomic = False
        else:
            raise remote.error(done.stderr, done.stdout)


def _without_branch(updates: Iterable[Update]) -> list[Update]:
    return [update for update in updates if update.name.startswith("refs/tags/")]


def read_back(git_folder: Path, branch: str, remote: Remote, pushed: Mapping[str, str]) -> None:
    """Raise RemoteError unless the remote has these refs. ``pushed``: name -> object id."""
    if len(pushed) <= _MOST_BY_NAME and _has_exactly(git_folder, remote, pushed):
        return
    remote_refs = remote.refs(git_folder, branch)
    wrong = sorted(name for name, target in pushed.items() if remote_refs.get(name) != target)
    if wrong:
        raise RemoteError(
            f"{remote.shown}: the push was accepted, but {wrong[0]} is not there"
            + (f", nor are {len(wrong) - 1} others" if len(wrong) > 1 else ""),
            hint="Check how the server handles pushed refs (hooks, mirrors).",
        )


def _has_exactly(git_folder: Path, remote: Remote, refs: Mapping[str, str]) -> bool:
    """Whether `git fetch --dry-run` of these refs reports all of them as up to date. False where it fails.

    With git's protocol version 2 the server lists only these refs. The fetch runs in a temporary repository, so that no
    object gets into the archive.
    """
    with scratch_repository(git_folder, refs) as scratch:
        specs = "".join(f"{name}:{name}\n" for name in sorted(refs))
        done = remote.attempt(
            scratch, "fetch", "--dry-run", "--verbose", "--no-tags", "--no-write-fetch-head", "--stdin", remote.url,
            stdin=specs,
        )  # fmt: skip
    return done.returncode == 0 and len(_UP_TO_DATE.findall(done.stderr)) == len(refs)
