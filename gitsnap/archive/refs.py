"""Lists refs of one kind among tens of thousands, from git's own files: libgit2 takes ten times as long.

Only for git's ordinary store of refs, which is the only one that libgit2 opens. This module must not write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TAGS = "refs/tags/"
KEEP = "refs/gitsnap/keep/"
"""Below it lies, for each tag that ``gitsnap keep`` marked, a ref of the tag's name to the tag."""

UNSENT = "refs/gitsnap/unsent/"
"""Below it lies, in a copy of an archive, a ref of the tag's name to each sample that its remote does not have yet."""


def refs_below(git_folder: Path, prefix: str) -> list[tuple[str, str]]:
    """Whole names and targets of the refs below a prefix that ends in a slash, by name.

    First the refs that have files of their own, then ``packed-refs``, as git does: ``git pack-refs`` writes a ref there
    before it takes its file away, so whoever looks in this order misses none. A file counts more than a line.
    """
    folder = _common_folder(git_folder)
    loose = dict(_loose(folder, prefix))
    refs = _packed(folder / "packed-refs", prefix)
    refs.update(loose)
    return sorted(refs.items())


def _common_folder(git_folder: Path) -> Path:
    """Where the refs are: elsewhere for a working tree that ``git worktree`` added."""
    try:
        return git_folder / (git_folder / "commondir").read_text().strip()
    except FileNotFoundError:
        return git_folder


def _loose(folder: Path, prefix: str) -> Iterator[tuple[str, str]]:
    for place, _, names in os.walk(folder / prefix):
        below = f"{Path(place).relative_to(folder).as_posix()}/"
        for name in names:
            if name.endswith(".lock"):
                continue
            try:
                yield f"{below}{name}", Path(place, name).read_text("ascii", "replace").strip()
            except FileNotFoundError:
                continue  # deleted, or packed: then packed-refs has it


def _packed(path: Path, prefix: str) -> dict[str, str]:
    """Lines ``<id> <name>``; those that begin with ``#`` or ``^`` are no refs."""
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return {}
    return {line[41:]: line[:40] for line in text.split("\n") if line.startswith(prefix, 41)}
