"""What a process that was killed leaves in an archive: lock files that make every retry fail, and temporary files.

Only to be called under the writer's lock. A file is a leftover only when it is not quite new, no process has it open,
and no git is at work in the archive: ``git commit`` holds ``index.lock`` for as long as its editor is open, without
having it open itself. This module must not remove anything that a reader of the archive needs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from gitsnap.archive.capture_cache import UNFINISHED_MEMORY
from gitsnap.archive.object_writer import UNFINISHED_OBJECT
from gitsnap.archive.worktree import UNFINISHED_FILE, UNFINISHED_FOLDERS

_SETTLED_SECONDS = 2.0
"""A file younger than this may belong to a git that is just running."""

_GIT = re.compile(r"git(?:-.*)?\n")
"""What the kernel calls git and its helpers, such as git-remote-https."""

_OF_GIT = {
    "": ("index.lock", "HEAD.lock", "config.lock", "shallow.lock", "packed-refs.lock", "packed-refs.new"),
    "objects/pack": ("tmp_*", ".tmp-*", "multi-pack-index.lock"),
    "objects/info/commit-graphs": ("*.lock", "tmp_*"),
}
"""Folder below ``.git`` -> names of what git leaves there when it is killed."""


def clear(git_folder: Path, branch: str) -> None:
    """Remove all leftovers: those of gitsnap, which nobody can be using, and those of git."""
    for name in (UNFINISHED_MEMORY, UNFINISHED_FILE):
        _remove(git_folder / name)
    shutil.rmtree(git_folder / UNFINISHED_FOLDERS, ignore_errors=True)
    for folder in ("objects", "objects/pack"):
        for leftover in _files(git_folder / folder, (f"{UNFINISHED_OBJECT}*",)):
            _remove(leftover)
    clear_git(git_folder, branch)


def clear_git(git_folder: Path, branch: str) -> None:
    """Remove lock files of the branch, its tags, gitsnap's own refs and the index, and temporary files of git."""
    candidates = [git_folder / "refs" / "heads" / f"{branch}.lock"]
    for folder, patterns in _OF_GIT.items():
        candidates += _files(git_folder / folder, patterns)
    for folder in (f"refs/tags/{branch}", "refs/gitsnap"):
        candidates += _locks_below(git_folder / folder)
    settled = [file for file in candidates if _is_settled(file)]
    if not settled or _git_is_at_work(git_folder):
        return
    held = _open_files()
    for file in settled:
        if str(file.resolve()) not in held:
            _remove(file)


def _remove(file: Path) -> None:
    """What cannot be removed stays: whatever it is in the way of will say so."""
    with contextlib.suppress(OSError):
        file.unlink()


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return [file for pattern in patterns for file in folder.glob(pattern)]
    return []


def _locks_below(folder: Path) -> Iterator[Path]:
    """Lock files in a folder of refs. ``git pack-refs`` may take folders away meanwhile, which os.walk passes over."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.endswith(".lock"))


def _is_settled(file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        # A file of the future was left while the clock was ahead: it would not settle before that date.
        return abs(time.time() - file.lstat().st_mtime) > _SETTLED_SECONDS
    return False


def _git_is_at_work(git_folder: Path) -> bool:
    """Whether somebody's git runs in the archive, as far as /proc shows it.

    A gitsnap that runs in the archive's folder is none, though its name begins with the same letters. The gits that
    gitsnap starts need not be told apart: those that take locks hold the writer's lock as well.
    """
    places = {git_folder.resolve(), git_folder.resolve().parent}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if _GIT.match((process / "comm").read_text()):
                here = (process / "cwd").readlink()
                if places & {here, *here.parents}:
                    return True
    return False


def _open_files() -> set[str]:
    """Files that other processes have open, as far as /proc shows them; without /proc their age alone counts.

    libgit2 opens unfinished packs as well as finished ones: what this process has open is no reason to keep it.
    """
    files: set[str] = set()
    own = str(os.getpid())
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != own:
            with contextlib.suppress(OSError):
                for link in (process / "fd").iterdir():
                    with contextlib.suppress(OSError):
                        files.add(str(link.readlink()))
    return files
