"""What a check of an archive finds, and the check of its working tree.

This module must not repair anything.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2

from gitsnap.archive import worktree
from gitsnap.git.process import common_folder, git_settings, run_git

_SECONDS = 300.0
"""How long git may compare. Trees that hold each other many times would take it years."""

_NAMED = 5
"""So many names are listed of what is wrong in the same way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know."""

    wrong: bool
    """False for a note: worth knowing, but no damage."""
    subject: str
    """A tag, a commit, a branch, ``git`` or ``working tree``."""
    message: str
    unchecked: bool = False
    """Whether a part of the record was not looked at, because this copy of the archive does not have it."""


def changed_files(repository: pygit2.Repository) -> Iterator[Finding]:
    """What somebody changed there; gitsnap leaves it alone.

    Git compares: libgit2 may read a damaged tree for ever. Nothing is written, and no program of the settings run.
    """
    if repository.is_bare or repository.workdir is None:
        return
    try:
        if repository.head_is_unborn:
            return  # that HEAD leads to no commit is a finding of its own
    except (KeyError, ValueError, pygit2.GitError):
        return
    if not worktree.was_shown(repository) and worktree.is_empty(repository):
        return  # a copy that only serves to be read, or one that the next capture fills
    if not worktree.index_is_whole(repository) and worktree.was_shown(repository):
        yield Finding(False, "working tree", "git's index is missing or damaged; the next capture makes it anew")
        return
    try:
        git_folder = Path(repository.path)
        done = run_git(
            git_folder, f"--work-tree={repository.workdir}",
            "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all",
            "--ignore-submodules=all",  # git would run in a repository inside the working tree, with its settings
            environment={
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_INDEX_FILE": f"{git_folder / 'index'}",
                **git_settings({"core.excludesFile": f"{common_folder(git_folder) / 'info' / 'exclude'}"}),
            },
            seconds=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        yield Finding(False, "working tree", f"cannot be compared: git did not finish within {_SECONDS:.0f} s")
        return
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"git ended with {done.returncode}"]
        yield Finding(False, "working tree", f"cannot be compared: {said[0]}")
        return
    changed = sorted(line[3:] for line in done.stdout.split("\0") if line)
    if changed:
        yield Finding(False, "working tree", f"changed by hand, and left alone: {shortened(changed)}")


def shortened(names: Sequence[str]) -> str:
    """The first few of some names."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
