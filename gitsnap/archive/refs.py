"""Lists, reads and creates refs.

Refs are listed from git's own files: libgit2 takes ten times as long for tens of thousands of refs. Only the files
backend of git is supported (gitrepository-layout(5)); libgit2 does not open other backends.
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
"""Prefix of the marks of ``gitsnap keep``: a ref with the name of the tag, which points at the tag object."""

PENDING_PUSH = "refs/gitsnap/unsent/"
"""Prefix of the pending pushes, in a copy of a remote archive: a ref with the name of the tag, for each sample that the
remote does not have yet."""

_PACKED = re.compile(rb"(?:#[^\n]*\n|[0-9a-f]{40} refs/[^\n]+\n(?:\^[0-9a-f]{40}\n)?)*+")
"""The part of ``packed-refs`` that git can read. A truncated file ends within a line."""


@dataclass(frozen=True, slots=True)
class Refs:
    """The loose refs below a prefix, and the content of ``packed-refs``."""

    prefix: str
    loose: Mapping[str, str]
    """Full name -> target. A loose ref takes precedence over a packed one."""
    _file: _PackedRefs

    @property
    def packed(self) -> bytes:
        """Lines ``<id> <name>``. A line that begins with ``#`` or ``^`` is not a ref."""
        return self._file.content

    @property
    def packed_digest(self) -> str:
        """A digest of the prefix and the packed refs."""
        return self._file.digest(self.prefix)

    @property
    def damaged_line(self) -> int:
        """The number of the first packed line that git cannot read; 0 where git can read all of them."""
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
        """Full name -> target of the packed refs below the prefix, up to the first line that git cannot read."""
        if f" {self.prefix}".encode() not in self.packed:
            return {}  # most archives have no marks, and one search is much faster than reading each line
        lines = self.readable.decode("utf-8", "surrogateescape").split("\n")
        return {line[41:]: line[:40] for line in lines if line.startswith(self.prefix, 41)}


def read_refs(git_folder: Path, prefix: str) -> Refs:
    """Read the refs below ``prefix``, which ends in a slash. Raises StorageError.

    The loose refs are read before ``packed-refs``. ``git pack-refs`` writes a ref to ``packed-refs`` before it removes
    the loose ref, so no ref is missed.
    """
    folder = common_folder(git_folder)
    loose = dict(_loose(folder, prefix))
    return Refs(prefix, loose, _read_packed(folder / "packed-refs"))


class _PackedRefs:
    """The content of a file ``packed-refs``, with its digests."""

    def __init__(self, content: bytes, version: tuple[int, ...]) -> None:
        self.content = content
        self.version = version
        """Inode, size and times of the file. git replaces the file to change it, so these change with the content."""
        self._digests: dict[str, str] = {}

    def digest(self, prefix: str) -> str:
        """See ``Refs.packed_digest``."""
        if prefix not in self._digests:
            hashed = hashlib.blake2b(prefix.encode() + b"\n" + self.content, digest_size=32)
            self._digests[prefix] = hashed.hexdigest()
        return self._digests[prefix]


_read_before: dict[Path, _PackedRefs] = {}
"""The last file that was read. A command reads the refs of an archive many times, and their file may have megabytes."""


def _read_packed(file: Path) -> _PackedRefs:
    try:
        known = _read_before.get(file)
        if known is not None and known.version == _version(file.stat()):
            return known
        with file.open("rb") as opened:
            read = _PackedRefs(opened.read(), _version(os.fstat(opened.fileno())))
    except FileNotFoundError:
        return _PackedRefs(b"", ())
    except OSError as error:
        raise _unreadable(file, error) from None
    _read_before.clear()
    _read_before[file] = read
    return read


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def list_refs(git_folder: Path, prefix: str) -> list[tuple[str, str]]:
    """Full names and targets of the refs below ``prefix``, which ends in a slash, by name. Raises StorageError."""
    refs = read_refs(git_folder, prefix)
    return sorted({**refs.unpacked(), **refs.loose}.items())


def branch_heads(repository: pygit2.Repository, branch: str) -> dict[str, str]:
    """Ref -> commit id of a branch: the local branch, and its remote-tracking branches in a clone.

    Raises ArchiveError where the ref of the local branch is damaged.
    """
    heads = {}
    if (own := read_ref(repository, f"{HEADS}{branch}")) is not None:
        heads[f"{HEADS}{branch}"] = own
    for remote in filter(None, repository.remotes.names()):
        name = f"refs/remotes/{remote}/{branch}"
        with contextlib.suppress(ArchiveError):  # a damaged remote-tracking ref: the next fetch replaces it
            if (target := read_ref(repository, name)) is not None:
                heads[name] = target
    return heads


def read_ref(repository: pygit2.Repository, name: str) -> str | None:
    """The object id that a ref points at; None where the ref is missing. Raises ArchiveError for a damaged ref."""
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
    """Full names and targets of the loose refs below a prefix. ``folder``: the common directory of git."""
    for parent, _, names in os.walk(folder / prefix):
        parent_name = f"{Path(parent).relative_to(folder).as_posix()}/"
        for name in names:
            if name.endswith(".lock"):
                continue
            try:
                yield f"{parent_name}{name}", Path(parent, name).read_text("ascii", "replace").strip()
            except FileNotFoundError:
                continue  # deleted, or packed by a concurrent `git pack-refs`
            except OSError as error:
                raise _unreadable(Path(parent, name), error) from None


def _unreadable(file: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot read {file}: {error.strerror}", hint="Correct the permissions or the file system.")
