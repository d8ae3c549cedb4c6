"""Updates refs of a remote by name and object, never forced, and reads back what the remote has then.

A server updates all refs of a batch or none. Some servers cannot (AWS CodeCommit, Azure DevOps): there the tags go
first and the branch last, so that no commit of the branch lacks the tag of its sample.
This module must not decide what is updated.
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
"""Refs of one push: what a command line holds."""

_MOST_ASKED_FOR = 500
"""So many refs are asked for by name; for more, all refs of the branch are listed."""

_UP_TO_DATE = re.compile(r"^ = \[up to date\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Update:
    """A ref of the remote and what becomes of it."""

    name: str
    target: str
    """The object that it is to name; ``""`` to delete it."""
    expected: str = ""
    """The object that it must name now; ``""`` where the server's own rules decide: a new ref, or a fast-forward."""

    @property
    def words(self) -> tuple[str, ...]:
        """The lease for the command line, if there is one."""
        return (f"--force-with-lease={self.name}:{self.expected}",) if self.expected else ()

    @property
    def spec(self) -> str:
        """The refspec, by object, so that a capture meanwhile changes nothing."""
        return f"{self.target}:{self.name}"


def send(git_folder: Path, remote: Remote, updates: Iterable[Update]) -> None:
    """Push the updates. Raises RemoteRefusedError, RemoteChangedError, RemoteUnreachableError, RemoteError."""
    waiting = sorted(updates, key=lambda update: update.name)
    atomic = True
    while waiting:
        batch = waiting[:_BATCH] if atomic else _without_branch(waiting)[:_BATCH] or waiting[:1]
        words = [word for update in batch for word in update.words]
        specs = [update.spec for update in batch]
        done = remote.attempt(
            git_folder, "push", *(("--atomic",) if atomic else ()), "--no-verify", "--quiet", "--porcelain", *words,
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


def read_back(git_folder: Path, branch: str, remote: Remote, wanted: Mapping[str, str]) -> None:
    """Raises RemoteError unless the remote has these refs with these objects."""
    if len(wanted) <= _MOST_ASKED_FOR and _has_exactly(git_folder, remote, wanted):
        return
    there = remote.refs(git_folder, branch)
    wrong = sorted(name for name, target in wanted.items() if there.get(name) != target)
    if wrong:
        raise RemoteError(
            f"{remote.shown}: the push was accepted, but {wrong[0]} is not there"
            + (f", nor are {len(wrong) - 1} others" if len(wrong) > 1 else ""),
            hint="Look at what the server does with pushed refs (hooks, mirrors).",
        )


def _has_exactly(git_folder: Path, remote: Remote, wanted: Mapping[str, str]) -> bool:
    """Whether a fetch of these refs would change none of them. A server of protocol 2 is asked for them alone.

    False also where that cannot be told. What the fetch may bring goes into a repository that is thrown away.
    """
    with scratch_repository(git_folder, wanted) as scratch:
        specs = "".join(f"{name}:{name}\n" for name in sorted(wanted))
        done = remote.attempt(
            scratch, "fetch", "--dry-run", "--verbose", "--no-tags", "--no-write-fetch-head", "--stdin", remote.url,
            given=specs,
        )  # fmt: skip
    return done.returncode == 0 and len(_UP_TO_DATE.findall(done.stderr)) == len(wanted)
