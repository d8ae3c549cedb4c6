"""Keeps an archive small and fast: packs refs and objects, and writes the commit-graph with changed paths.

Maintenance runs under the writer's lock, with the git program. No object is ever removed. Unreachable objects are
packed with the others: the chain of samples leads through tags that retention removed. An archive has the setting
``extensions.preciousObjects``, with which git refuses to delete packs; ``run_git`` hides the setting from `git repack`,
which deletes only packs whose objects it has packed again.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gitsnap.archive import leftovers
from gitsnap.git.process import RefVisibility, run_git

LOOSE_TAGS = 500
"""Number of loose tags from which on refs are packed. Listing loose tags takes five to eight times as long."""

LOOSE_OBJECTS = 256
"""Number of loose objects from which on objects are packed.

A sample with ten changes among ten thousand objects adds about thirty loose objects of 75 kB in all, nearly all of them
trees. In a pack the versions of a tree are deltas and take almost no room.
"""

_SECONDS = 900.0
"""Time limit for one git command."""

Command = tuple[str, ...]
"""A git command and its arguments."""

_REPACK = ("repack", "--geometric=2", "-d", "-q", "-n", "--window=50", "--window-memory=32m")
"""Leaves large packs alone. The default window of 10 is too small to find the earlier versions of a tree."""

_COMMANDS: tuple[Command, ...] = (
    ("pack-refs", "--all"),
    _REPACK,
    # `replace`: an operator's `git gc` writes a graph without changed paths, and `--split` alone adds none to it.
    ("commit-graph", "write", "--reachable", "--changed-paths", "--split=replace", "--no-progress"),
)


def due_commands(git_folder: Path, branch: str) -> tuple[Command, ...]:
    """The git commands that are due, from the number of loose tags and objects; none after most samples."""
    if _entries(git_folder / "refs" / "tags" / branch) >= LOOSE_TAGS:
        return _COMMANDS
    loose = sum(_entries(git_folder / "objects" / f"{first:02x}") for first in range(256))
    return (_REPACK,) if loose >= LOOSE_OBJECTS else ()


def _entries(folder: Path) -> int:
    """Number of entries of a folder; 0 where a concurrent ``git pack-refs`` or ``git gc`` has removed the folder."""
    try:
        return len(os.listdir(folder))  # noqa: PTH208 - of 256 folders
    except (FileNotFoundError, NotADirectoryError):
        return 0


def maintain(git_folder: Path, branch: str, commands: Iterable[Command], *, lock: int) -> str:
    """Run the commands in order, up to the first that fails.

    ``lock``: descriptor of the writer's lock. Returns the problem as a text; ``""`` where all succeeded. A failure
    makes commands slower, but harms no sample.
    """
    for command in commands:
        try:
            # Without refs, repack packs unreachable objects as well.
            visible: RefVisibility = "none" if command is _REPACK else "shared"
            done = run_git(git_folder, *command, lock=lock, seconds=_SECONDS, refs=visible)
        except subprocess.TimeoutExpired:
            leftovers.remove_git_leftovers(git_folder, branch)
            return f"git {command[0]} did not end within {_SECONDS:.0f} s"
        except OSError as error:
            return f"git {command[0]} cannot be run: {error.strerror}"
        if done.returncode != 0:
            return f"git {command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return ""
