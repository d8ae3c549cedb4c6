"""Lists refs of one kind among tens of thousands, from git's own files: libgit2 takes ten times as long.

Only for git's ordinary store of refs, which is the only one that libgit2 opens. This module must not write.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2

from gitsnap.archive.completeness import DAMAGED
from gitsnap.core.errors import ArchiveError, StorageError
from gitsnap.core.files import sync_folder
from gitsnap.git.process import common_folder

HEADS = "refs/heads/"
TAGS = "refs/tags/"
KEEP = "refs/gitsnap/keep/"
"""Below it lies, for each tag that ``gitsnap keep`` marked, a ref of the tag's name to the tag."""

UNSENT = "refs/gitsnap/unsent/"
"""Below it lies, in a copy of an archive, a ref of the tag's name to each sample that its remote does not have yet."""

_PACKED = re.compile(rb"(?:#[^\n]*\n|[0-9a-f]{40} refs/[^\n]+\n(?:\^[0-9a-f]{40}\n)?)*+")
"""As much of ``packed-refs`` as git can read. A file that was cut off ends within a line."""


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

    @property
    def damaged_line(self) -> int:
        """The first line of the packed refs that git cannot read, 0 where it can read all of them."""
        end = self._end
        return 0 if end == len(self.packed) else self.packed.count(b"\n", 0, end) + 1

    @property
    def readable(self) -> bytes:
        """The packed refs up to the first line that git cannot read."""
        return self.packed[: self._end]

    @property
    def _end(self) -> int:
        readable = _PACKED.match(self.packed)
        return readable.end() if readable else 0

    def unpacked(self) -> dict[str, str]:
        """Whole name -> target of the packed refs, up to the first line that git cannot read."""
        if f" {self.prefix}".encode() not in self.packed:
            return {}  # as for marks in most archives: looking for one name is far quicker than at each line
        lines = self.readable.decode("utf-8", "surrogateescape").split("\n")
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
    except OSError as error:
        raise _unreadable(folder / "packed-refs", error) from None
    return Refs(prefix, loose, packed)


def refs_below(git_folder: Path, prefix: str) -> list[tuple[str, str]]:
    """Whole names and targets of the refs below a prefix that ends in a slash, by name."""
    refs = read_refs(git_folder, prefix)
    return sorted({**refs.unpacked(), **refs.loose}.items())


def branch_heads(repository: pygit2.Repository, branch: str) -> dict[str, str]:
    """Ref -> commit of a branch: its own ref, and what a clone knows of the branch at its remotes.

    Raises ArchiveError where the branch's own ref is damaged.
    """
    found = {}
    if (own := ref_target(repository, f"{HEADS}{branch}")) is not None:
        found[f"{HEADS}{branch}"] = own
    for remote in filter(None, repository.remotes.names()):
        name = f"refs/remotes/{remote}/{branch}"
        with contextlib.suppress(ArchiveError):  # a copy of a ref, which the next fetch makes anew
            if (target := ref_target(repository, name)) is not None:
                found[name] = target
    return found


def ref_target(repository: pygit2.Repository, name: str) -> str | None:
    """What a ref points at, None where there is no such ref. Raises ArchiveError when it is damaged."""
    try:
        return str(repository.lookup_reference(name).resolve().target)
    except KeyError:
        return None
    except (ValueError, pygit2.GitError):
        raise ArchiveError(f"the ref {name} is damaged", hint=DAMAGED) from None


def create_ref(repository: pygit2.Repository, name: str, target: str, *, force: bool = False) -> None:
    """Create a ref durably; with ``force`` also move an existing one. Raises pygit2.GitError, ValueError, OSError.

    libgit2 syncs the file of the ref, but not the folders that it makes for the file.
    """
    refs = Path(repository.path) / "refs"
    folder = (Path(repository.path) / name).parent
    is_new = not folder.is_dir()
    repository.references.create(name, pygit2.Oid(hex=target), force=force)
    while is_new and folder != refs:
        folder = folder.parent
        with contextlib.suppress(FileNotFoundError):  # a concurrent `git pack-refs` removes the folder, not the ref
            sync_folder(folder)


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
            except OSError as error:
                raise _unreadable(Path(place, name), error) from None


def _unreadable(file: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot read {file}: {error.strerror}", hint="Correct the permissions or the file system.")
