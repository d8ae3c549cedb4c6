"""Lists refs of one kind among tens of thousands, from git's own files: libgit2 takes ten times as long.

Only for git's ordinary store of refs, which is the only one that libgit2 opens. This module must not write.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitsnap.git import common_folder

TAGS = "refs/tags/"
KEEP = "refs/gitsnap/keep/"
"""Below it lies, for each tag that ``gitsnap keep`` marked, a ref of the tag's name to the tag."""

UNSENT = "refs/gitsnap/unsent/"
"""Below it lies, in a copy of an archive, a ref of the tag's name to each sample that its remote does not have yet."""


@dataclass(frozen=True, slots=True)
class Refs:
    """The refs below a prefix: those with files of their own, and git's file of all others as it is."""

    prefix: str
    loose: Mapping[str, str]
    """Whole name -> target. A file counts more than a line of ``packed``."""
    packed: bytes
    """Lines ``<id> <name>``; those that begin with ``#`` or ``^`` are no refs."""

    @property
    def packed_digest(self) -> str:
        """What stands for exactly these packed refs."""
        return hashlib.blake2b(self.prefix.encode() + b"\n" + self.packed, digest_size=32).hexdigest()

    def unpacked(self) -> dict[str, str]:
        """Whole name -> target of the packed ones."""
        if f" {self.prefix}".encode() not in self.packed:
            return {}  # as for marks in most archives: looking for one name is far quicker than at each line
        lines = self.packed.decode("utf-8", "surrogateescape").split("\n")
        return {line[41:]: line[:40] for line in lines if line.startswith(self.prefix, 41)}


def read_refs(git_folder: Path, prefix: str) -> Refs:
    """The refs below a prefix that ends in a slash.

    First the refs that have files of their own, then ``packed-refs``, as git does: ``git pack-refs`` writes a ref there
    before it takes its file away, so whoever looks in this order misses none.
    """
    folder = common_folder(git_folder)
    loose = dict(_loose(folder, prefix))
    try:
        packed = (folder / "packed-refs").read_bytes()
    except FileNotFoundError:
        packed = b""
    return Refs(prefix, loose, packed)


def refs_below(git_folder: Path, prefix: str) -> list[tuple[str, str]]:
    """Whole names and targets of the refs below a prefix that ends in a slash, by name."""
    refs = read_refs(git_folder, prefix)
    return sorted({**refs.unpacked(), **refs.loose}.items())


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
