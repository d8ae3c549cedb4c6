"""Keeps an archive small and quick: refs and objects are packed, and the commit-graph learns which paths changed.

Nothing is ever removed: unreachable objects are packed with the rest, since the chain of samples leads through tags
that retention took. Runs under the writer's lock, by the git program. This module must not decide about samples.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from gitsnap.archive import leftovers
from gitsnap.git import run_git

LOOSE_TAGS = 500
"""So many tags in files of their own are packed: listing them takes five to eight times as long as packed ones."""

_SECONDS = 900.0

_COMMANDS = (
    ("pack-refs", "--all"),
    ("repack", "--geometric=2", "-d", "-q", "-n"),
    # Replaced: to a graph without changed paths, which an operator's `git gc` makes, `--split` alone adds none.
    ("commit-graph", "write", "--reachable", "--changed-paths", "--split=replace", "--no-progress"),
)


def is_due(git_folder: Path, branch: str) -> bool:
    """Whether enough has piled up. An operator's ``git pack-refs`` may take the folder away at any moment."""
    try:
        return sum(1 for _ in (git_folder / "refs" / "tags" / branch).iterdir()) >= LOOSE_TAGS
    except (FileNotFoundError, NotADirectoryError):
        return False


def maintain(git_folder: Path, branch: str, *, lock: int) -> str:
    """Pack; what went wrong in words, ``""`` where nothing did. A failure costs speed, never a sample."""
    for command in _COMMANDS:
        try:
            done = run_git(git_folder, *command, lock=lock, seconds=_SECONDS)
        except subprocess.TimeoutExpired:
            leftovers.clear_git(git_folder, branch)
            return f"git {command[0]} did not end within {_SECONDS:.0f} s"
        if done.returncode != 0:
            return f"git {command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return ""
