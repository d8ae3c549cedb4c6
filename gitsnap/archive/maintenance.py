"""Keeps an archive small and quick: refs and objects are packed, and the commit-graph learns which paths changed.

Nothing is ever removed: unreachable objects are packed with the rest, since the chain of samples leads through tags
that retention took. Runs under the writer's lock, by the git program. That deletes no pack of an archive
(``extensions.preciousObjects``), not even one whose objects are all in another. The repository that ``run_git`` shows
it has no such setting. This module must not decide about samples.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gitsnap.archive import leftovers
from gitsnap.git.process import RefsSeen, run_git

LOOSE_TAGS = 500
"""So many tags in files of their own are packed: listing them takes five to eight times as long as packed ones."""

LOOSE_OBJECTS = 256
"""So many objects in files of their own are packed, where folders and texts that hardly differ take next to nothing:
a sample of ten changes among ten thousand objects adds some thirty of them, 75 kB, nearly all of it folders."""

_SECONDS = 900.0

Command = tuple[str, ...]
"""Words of a git command."""

_REPACK = ("repack", "--geometric=2", "-d", "-q", "-n", "--window=50", "--window-memory=32m")
"""Leaves big packs alone. git compares each object with ten others of its size at first; the versions of a folder are
not found among so few of them."""

_COMMANDS: tuple[Command, ...] = (
    ("pack-refs", "--all"),
    _REPACK,
    # Replaced: to a graph without changed paths, which an operator's `git gc` makes, `--split` alone adds none.
    ("commit-graph", "write", "--reachable", "--changed-paths", "--split=replace", "--no-progress"),
)


def due(git_folder: Path, branch: str) -> tuple[Command, ...]:
    """What is to be done about what has piled up; nothing for most samples."""
    if _entries(git_folder / "refs" / "tags" / branch) >= LOOSE_TAGS:
        return _COMMANDS
    loose = sum(_entries(git_folder / "objects" / f"{first:02x}") for first in range(256))
    return (_REPACK,) if loose >= LOOSE_OBJECTS else ()


def _entries(folder: Path) -> int:
    """An operator's ``git pack-refs`` or ``git gc`` may take the folder away at any moment."""
    try:
        return len(os.listdir(folder))  # noqa: PTH208 - of 256 folders
    except (FileNotFoundError, NotADirectoryError):
        return 0


def maintain(git_folder: Path, branch: str, commands: Iterable[Command], *, lock: int) -> str:
    """Pack; what went wrong in words, ``""`` where nothing did. A failure costs speed, never a sample."""
    for command in commands:
        try:
            refs: RefsSeen = "none" if command is _REPACK else "shared"  # what no ref reaches is packed as well
            done = run_git(git_folder, *command, lock=lock, seconds=_SECONDS, refs=refs)
        except subprocess.TimeoutExpired:
            leftovers.clear_git(git_folder, branch)
            return f"git {command[0]} did not end within {_SECONDS:.0f} s"
        except OSError as error:
            return f"git {command[0]} cannot be run: {error.strerror}"
        if done.returncode != 0:
            return f"git {command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return ""
