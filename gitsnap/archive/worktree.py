"""The working tree of an archive: shows the newest sample, and never at the cost of somebody's own changes.

A file is gitsnap's to change only if it is what the last update wrote, or what gitsnap's commit before has there, which
`git checkout` writes; the rest is left and reported. A failure here never fails a sample: the next update repairs it.
This module must not follow symbolic links or move refs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pygit2

from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.object_writer import BLOB, object_id
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError
from gitsnap.core.files import replace_file
from gitsnap.core.model import BlobId

_DIGEST_BYTES = 20

_SHOWN = "gitsnap-worktree"
"""File below ``.git``: id of the commit that the working tree shows."""
UNFINISHED_FILE = "gitsnap-file.tmp"
"""File below ``.git``: the file being written, which gets its name when it is whole; one writer writes at a time."""
UNFINISHED_FOLDERS = "gitsnap-folders.tmp"
"""Folder below ``.git``: new folders of the working tree, each moved to its place when all of it is there."""


def update(
    repository: pygit2.Repository,
    branch: str,
    commit: str,
    after: Mapping[str, BlobId],
    *,
    base: str | None,
    folders: Folders,
) -> tuple[str, ...]:
    """Make the working tree show ``commit``, where the branch was at ``base``; the paths that were left alone, sorted.

    ``after``: all files of the commit; ``folders``: those of the repository.
    Does nothing where HEAD is another branch or detached, or where git is in the middle of something.
    """
    if repository.is_bare or repository.workdir is None:
        return ()
    if repository.lookup_reference("HEAD").target != f"refs/heads/{branch}" or repository.state():
        return ()
    shown = Path(repository.path) / _SHOWN
    if _read(shown) is not None and not index_is_whole(repository):
        _make_index(repository, base or commit)
    if _read(shown) == commit:
        return ()
    ours = [_shown_files(repository, folders, shown)]
    if base is not None and base != _read(shown) and read_commit(repository, base).is_own:
        ours.append(_files(repository, folders, base))
    paths = sorted(after.keys() | {path for files in ours for path in files})
    changed = [path for path in paths if any(files.get(path) != after.get(path) for files in ours)]
    if not changed:
        return ()
    with contextlib.closing(_Folder(repository)) as folder:
        left = [path for path in changed if not folder.change(path, {one.get(path) for one in ours}, after.get(path))]
        folder.publish()
    _update_index(repository, changed, after)
    _replace(repository, shown, f"{commit}\n".encode())
    return tuple(left)


def _read(path: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(errors="replace").strip() or None
    return None


def _files(repository: pygit2.Repository, folders: Folders, commit: str) -> Mapping[str, BlobId]:
    return folders.files(read_commit(repository, commit).tree)


def _shown_files(repository: pygit2.Repository, folders: Folders, shown: Path) -> Mapping[str, BlobId]:
    """What the last update wrote; nothing where that cannot be told: then every other content is somebody's own."""
    commit = _read(shown)
    with contextlib.suppress(ArchiveError):
        return _files(repository, folders, commit) if commit is not None else {}
    return {}


def was_shown(repository: pygit2.Repository) -> bool:
    """Whether a capture has ever updated this working tree."""
    return shown_commit(repository) is not None


def shown_commit(repository: pygit2.Repository) -> str | None:
    """The commit that the last capture showed here, once it had made the tag of its sample."""
    return _read(Path(repository.path) / _SHOWN)


def is_empty(repository: pygit2.Repository) -> bool:
    """Whether there is no file in the working tree."""
    return all(name == ".git" for name in os.listdir(repository.workdir))


def index_is_whole(repository: pygit2.Repository) -> bool:
    """Whether git can read the index. A crash or a full disk leaves a file without content or without its end."""
    try:
        content = (Path(repository.path) / "index").read_bytes()
    except OSError:
        return False
    digest = content[-_DIGEST_BYTES:]
    unchecked = digest == bytes(_DIGEST_BYTES)  # git's setting index.skipHash
    return content[:4] == b"DIRC" and (
        unchecked or digest == hashlib.sha1(content[:-_DIGEST_BYTES], usedforsecurity=False).digest()
    )


def _make_index(repository: pygit2.Repository, commit: str) -> None:
    """Make the index anew, as of a commit. Nothing is lost: what somebody staged could not be read any more."""
    file = Path(repository.path) / "index"
    file.unlink(missing_ok=True)
    index = pygit2.Index(str(file))
    index.read_tree(repository[commit].peel(pygit2.Tree))
    index.write()


def _update_index(repository: pygit2.Repository, changed: list[str], after: Mapping[str, BlobId]) -> None:
    """So that plain ``git status`` compares with the new commit. What an operator staged elsewhere stays staged."""
    index = repository.index
    index.read()  # from the file, which git may have changed
    for path in changed:
        if path in after:
            index.add(pygit2.IndexEntry(path, pygit2.Oid(hex=after[path]), pygit2.enums.FileMode.BLOB))
        elif path in index:
            index.remove(path)
    index.write()


class _Folder:
    """Files below the working tree's root. Paths are strings here: the first sample writes every file there is.

    A folder that is not there yet is made out of sight, with all that comes into it, and shown by ``publish``: whoever
    looks sees the whole of it, and a file takes two thirds of the time of one that is moved to its place alone.
    """

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._root = repository.workdir.rstrip("/")
        self._real = {self._root}
        self._making = os.path.join(repository.path, UNFINISHED_FOLDERS)
        self._new: dict[str, str] = {}
        """Folders that are not there yet -> where they are being made."""
        self._hidden: list[str] = []
        """The highest of these, in the order in which they were begun."""

    def change(self, path: str, ours: AbstractSet[BlobId | None], after: BlobId | None) -> bool:
        """Write or remove one file. False when it is none of ``ours``, so somebody else's."""
        folder, _, name = f"{self._root}/{path}".rpartition("/")
        if after is not None and (place := self._place_of_new(folder)):
            _write_new(f"{place}/{name}", self._content(after))
            return True
        file = f"{folder}/{name}"
        if not self._is_real(folder):
            return after is None and not os.path.lexists(file)
        current = _id_on_disk(file)
        if current == after:
            return True
        if current not in ours:
            return False
        if after is None:
            os.unlink(file)
            self._remove_empty(folder)
            return True
        _replace(self._repository, Path(file), self._content(after))
        return True

    def publish(self) -> None:
        """Move the new folders to their places. Raises OSError where somebody made one of them meanwhile."""
        for folder in self._hidden:
            os.rename(self._new[folder], folder)

    def close(self) -> None:
        """Leave nothing out of sight."""
        if self._hidden:
            shutil.rmtree(self._making, ignore_errors=True)

    def _content(self, blob: BlobId) -> bytes:
        return read_blob(self._repository, blob)

    def _place_of_new(self, folder: str) -> str:
        """Where a folder is being made that is not there yet; ``""`` where it is, or something is in its way."""
        if folder in self._real:
            return ""
        if folder not in self._new:
            parent, _, name = folder.rpartition("/")
            above = self._place_of_new(parent)
            if not above and (not self._is_real(parent) or os.path.lexists(folder)):
                return ""
            if not above:
                self._hidden.append(folder)
            place = f"{above}/{name}" if above else f"{self._making}/{len(self._hidden)}"
            os.makedirs(place, mode=0o700)
            self._new[folder] = place
        return self._new[folder]

    def _is_real(self, folder: str) -> bool:
        """Whether it is a folder below real folders, none of them a symbolic link."""
        if folder not in self._real:
            if not self._is_real(folder.rpartition("/")[0]) or not _is_folder(folder):
                return False
            self._real.add(folder)
        return True

    def _remove_empty(self, folder: str) -> None:
        while folder != self._root:
            try:
                os.rmdir(folder)
            except OSError:  # not empty: something else lies there
                return
            self._real.discard(folder)
            folder = folder.rpartition("/")[0]


def _id_on_disk(file: str) -> str | None:
    """The id of the content on disk, None when there is no file; what is no regular file has an id of its own."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        return "not a file"
    with os.fdopen(descriptor, "rb") as content:
        try:
            return object_id(BLOB, content.read())
        except OSError:
            return "not a file"


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _replace(repository: pygit2.Repository, file: Path, content: bytes) -> None:
    """Write a file atomically. The temporary file is below ``.git``, where an operator does not meet it."""
    replace_file(file, content, temporary=Path(repository.path, UNFINISHED_FILE))


def _write_new(file: str, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
