"""Removes files that killed processes leave in an archive: temporary files, and lock files, which make retries fail.

Call these functions only under the writer's lock. A file of git is a leftover only if it is older than two seconds, no
process has it open, and no git runs in the archive: ``git commit`` keeps ``index.lock`` while its editor is open, and
does not have the file open itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from gitsnap.archive.capture_cache import UNFINISHED_CACHE
from gitsnap.archive.object_writer import UNFINISHED_OBJECT
from gitsnap.archive.worktree import UNFINISHED_FILE, UNFINISHED_FOLDERS

_SETTLED_SECONDS = 2.0
"""A younger file may belong to a git that is still running."""

_GIT = re.compile(r"git(?:-.*)?\n")
"""The process names of git and its helpers, such as git-remote-https."""

_OF_GIT = {
    "": ("index.lock", "HEAD.lock", "config.lock", "shallow.lock", "packed-refs.lock", "packed-refs.new"),
    "objects/pack": ("tmp_*", ".tmp-*", "multi-pack-index.lock"),
    "objects/info/commit-graphs": ("*.lock", "tmp_*"),
}
"""Folder below ``.git`` -> patterns of the files that a killed git leaves there."""


def remove_leftovers(git_folder: Path, branch: str) -> None:
    """Remove the leftovers of gitsnap, which no process can be using under the writer's lock, and those of git."""
    for name in (UNFINISHED_CACHE, UNFINISHED_FILE):
        _remove(git_folder / name)
    shutil.rmtree(git_folder / UNFINISHED_FOLDERS, ignore_errors=True)
    for folder in ("objects", "objects/pack"):
        for leftover in _files(git_folder / folder, (f"{UNFINISHED_OBJECT}*",)):
            _remove(leftover)
    remove_git_leftovers(git_folder, branch)


def remove_git_leftovers(git_folder: Path, branch: str) -> None:
    """Remove lock files of the branch, its tags, gitsnap's own refs and the index, and temporary files of git.

    Removes nothing while another git runs in the archive.
    """
    candidates = [git_folder / "refs" / "heads" / f"{branch}.lock"]
    for folder, patterns in _OF_GIT.items():
        candidates += _files(git_folder / folder, patterns)
    for folder in (f"refs/tags/{branch}", "refs/gitsnap", "refs/notes"):
        candidates += _locks_below(git_folder / folder)
    settled = [file for file in candidates if _is_settled(file)]
    if not settled or _is_git_running(git_folder):
        return
    open_files = _list_open_files()
    for file in settled:
        if str(file.resolve()) not in open_files:
            _remove(file)


def _remove(file: Path) -> None:
    """Remove a file. A file that cannot be removed stays: the operation that it blocks reports it."""
    with contextlib.suppress(OSError):
        file.unlink()


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return [file for pattern in patterns for file in folder.glob(pattern)]
    return []


def _locks_below(folder: Path) -> Iterator[Path]:
    """Lock files in a folder of refs. os.walk skips folders that a concurrent ``git pack-refs`` removes."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if name.endswith(".lock"))


def _is_settled(file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        # A file dated in the future was left while the clock was ahead.
        return abs(time.time() - file.lstat().st_mtime) > _SETTLED_SECONDS
    return False


def _is_git_running(git_folder: Path) -> bool:
    """Whether a git runs in the archive, as far as /proc shows it.

    The process name ``gitsnap`` does not count, although it begins with ``git``. A git that gitsnap started needs no
    exception: if that git takes locks, it also holds the writer's lock, so it is not running now.
    """
    folders = {git_folder.resolve(), git_folder.resolve().parent}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if _GIT.match((process / "comm").read_text()):
                working_directory = (process / "cwd").readlink()
                if folders & {working_directory, *working_directory.parents}:
                    return True
    return False


def _list_open_files() -> set[str]:
    """Files that other processes have open, as far as /proc shows them. Without /proc, only the age of a file counts.

    Files that this process has open do not count: libgit2 also opens unfinished packs.
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
