"""Updates the working tree of an archive to the newest sample, and keeps changes that were made by hand.

A file is replaced only if its content is that of the last update, or that of gitsnap's previous commit, which
`git checkout` writes. Other files are left alone and reported. A failure does not fail the sample: the next update
repairs the working tree. This module must not follow symbolic links or move refs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2

from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.object_reader import is_object_id, read_blob
from gitsnap.archive.object_writer import BLOB, object_id
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError
from gitsnap.core.files import replace_file
from gitsnap.core.model import BlobId

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_DIGEST_BYTES = 20

_BATCH = 64
"""New files that a worker thread writes at a time."""
_WRITERS = 2
"""Worker threads for new files. More do not help on one disk: creating a file takes time on a processor."""

_CHECKED_OUT = "gitsnap-worktree"
"""File below ``.git``: id of the commit that the working tree shows."""
UNFINISHED_FILE = "gitsnap-file.tmp"
"""Temporary file below ``.git``, for one file at a time."""
UNFINISHED_FOLDERS = "gitsnap-folders.tmp"
"""Temporary folder below ``.git``, for new folders of the working tree. Each is renamed when it is complete."""


def update(
    repository: pygit2.Repository,
    branch: str,
    commit: str,
    files: Callable[[], Mapping[str, BlobId]],
    contents: Mapping[str, bytes],
    *,
    base: str | None,
    folders: Folders,
) -> tuple[str, ...]:
    """Update the working tree and the index to a commit.

    Does nothing in a bare repository, where HEAD is detached or another branch, or where a git operation such as a
    merge is in progress.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        commit: The new commit of the branch.
        files: Returns all files of this commit: path -> blob id.
        contents: Blob id -> content, for some blobs. The other blobs are read from the repository.
        base: The commit of the branch before; None for the first commit.
        folders: A cache of the folders of the repository.

    Returns:
        The paths that were left alone because they were changed by hand, sorted.

    Raises:
        OSError: A file cannot be read or written.
        ArchiveError: An object is missing or damaged.
        pygit2.GitError: The index cannot be written.
    """
    if not _shows(repository, branch):
        return ()
    checked_out = checked_out_commit(repository)
    if checked_out is not None and not is_index_intact(repository):
        _rebuild_index(repository, base or commit)
    if checked_out == commit:
        return ()
    after = files()
    ours = [_checked_out_files(repository, folders, checked_out)]
    if base is not None and base != checked_out and read_commit(repository, base).is_own:
        ours.append(_files(repository, folders, base))
    paths = sorted(after.keys() | {path for before in ours for path in before})
    changed = [path for path in paths if any(before.get(path) != after.get(path) for before in ours)]
    if not changed:
        return ()

    def read(blob: BlobId) -> bytes:
        content = contents.get(blob)
        return content if content is not None else read_blob(repository, blob)

    with contextlib.closing(_WorkingTree(repository, read)) as tree:
        left_alone = [
            path for path in changed if not tree.change(path, {before.get(path) for before in ours}, after.get(path))
        ]
        tree.publish()
    _update_index(repository, commit, changed, after)
    _replace(repository, Path(repository.path) / _CHECKED_OUT, f"{commit}\n".encode())
    return tuple(left_alone)


def _shows(repository: pygit2.Repository, branch: str) -> bool:
    """Whether the repository has a working tree that shows the branch, and no git operation is in progress there."""
    if repository.is_bare or repository.workdir is None:
        return False
    return repository.lookup_reference("HEAD").target == f"refs/heads/{branch}" and not repository.state()


def _files(repository: pygit2.Repository, folders: Folders, commit: str) -> Mapping[str, BlobId]:
    return folders.files(read_commit(repository, commit).tree)


def _checked_out_files(repository: pygit2.Repository, folders: Folders, commit: str | None) -> Mapping[str, BlobId]:
    """The files that the last update wrote; none where they cannot be read, so that no existing file is replaced."""
    with contextlib.suppress(ArchiveError):
        return _files(repository, folders, commit) if commit is not None else {}
    return {}


def was_checked_out(repository: pygit2.Repository) -> bool:
    """Whether a capture has updated this working tree before."""
    return checked_out_commit(repository) is not None


def checked_out_commit(repository: pygit2.Repository) -> str | None:
    """The commit that the last update wrote; None for none. A capture creates its tag before this update."""
    try:
        commit = Path(repository.path, _CHECKED_OUT).read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    return commit if is_object_id(commit) else None


def is_empty(repository: pygit2.Repository) -> bool:
    """Whether the working tree has no files."""
    return all(name == ".git" for name in os.listdir(repository.workdir))


def is_index_intact(repository: pygit2.Repository) -> bool:
    """Whether git can read the index. A crash or a full disk leaves an empty or a truncated file."""
    try:
        content = (Path(repository.path) / "index").read_bytes()
    except OSError:
        return False
    digest = content[-_DIGEST_BYTES:]
    unchecked = digest == bytes(_DIGEST_BYTES)  # git's setting index.skipHash
    return content[:4] == b"DIRC" and (
        unchecked or digest == hashlib.sha1(content[:-_DIGEST_BYTES], usedforsecurity=False).digest()
    )


def _rebuild_index(repository: pygit2.Repository, commit: str) -> None:
    """Replace the index by that of a commit. Staged changes are lost, since the old index cannot be read."""
    file = Path(repository.path) / "index"
    file.unlink(missing_ok=True)
    index = pygit2.Index(str(file))
    index.read_tree(repository[commit].peel(pygit2.Tree))
    index.write()


def _update_index(repository: pygit2.Repository, commit: str, changed: list[str], after: Mapping[str, BlobId]) -> None:
    """Update the changed paths of the index, for ``git status``. Other paths that a user staged stay staged.

    ``after``: all files of the commit.
    """
    index = repository.index
    index.read()  # git may have changed the file
    if not len(index) and after.keys() <= set(changed):  # the first sample: a fifth of the time of single entries
        index.read_tree(repository[commit].peel(pygit2.Tree))
        index.write()
        return
    for path in changed:
        if path in after:
            index.add(pygit2.IndexEntry(path, pygit2.Oid(hex=after[path]), pygit2.enums.FileMode.BLOB))
        elif path in index:
            index.remove(path)
    index.write()


class _WorkingTree:
    """Changes files of the working tree. Paths are strings, for speed: the first sample writes all files.

    A new folder is made in a temporary folder, with all its files, and renamed by ``publish``. So readers never see an
    incomplete folder, and writing a file takes two thirds of the time of a file that is renamed on its own.
    """

    def __init__(self, repository: pygit2.Repository, read: Callable[[BlobId], bytes]) -> None:
        """``read`` returns the content of a blob."""
        self._repository = repository
        self._read = read
        self._root = repository.workdir.rstrip("/")
        self._real = {self._root}
        """Existing folders that are known not to be symbolic links, nor below any."""
        self._temporary = os.path.join(repository.path, UNFINISHED_FOLDERS)
        self._new: dict[str, str] = {}
        """Path of a new folder -> path in the temporary folder."""
        self._new_roots: list[str] = []
        """The new folders whose parents exist, in the order in which they were made."""
        self._new_files = _NewFiles()

    def change(self, path: str, ours: AbstractSet[BlobId | None], after: BlobId | None) -> bool:
        """Write or remove a file. False where the file was changed by hand, and is left alone.

        ``path``: from the root of the working tree. ``ours``: blob ids that gitsnap wrote; None for no file. ``after``:
        the new blob id; None to remove the file. Raises OSError, ArchiveError.
        """
        folder, _, name = f"{self._root}/{path}".rpartition("/")
        if after is not None and (temporary := self._make_temporary(folder)):
            self._new_files.add(f"{temporary}/{name}", self._read(after))
            return True
        file = f"{folder}/{name}"
        if not self._is_real(folder):
            return after is None and not os.path.lexists(file)
        current = _blob_id_of_file(file)
        if current == after:
            return True
        if current not in ours:
            return False
        if after is None:
            os.unlink(file)
            self._remove_empty(folder)
            return True
        _replace(self._repository, Path(file), self._read(after))
        return True

    def publish(self) -> None:
        """Rename the new folders to their paths. Raises OSError where a folder was created there meanwhile.

        Also raises the OSError of a new file that could not be written.
        """
        self._new_files.finish()
        for folder in self._new_roots:
            os.rename(self._new[folder], folder)

    def close(self) -> None:
        """Remove the temporary folder."""
        self._new_files.close()
        if self._new_roots:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _make_temporary(self, folder: str) -> str:
        """The path in the temporary folder where a new folder is made; ``""`` where the path of ``folder`` is taken."""
        if folder in self._real:
            return ""
        if folder not in self._new:
            parent, _, name = folder.rpartition("/")
            temporary_parent = self._make_temporary(parent)
            if not temporary_parent and (not self._is_real(parent) or os.path.lexists(folder)):
                return ""
            if temporary_parent:
                temporary = f"{temporary_parent}/{name}"
            else:
                self._new_roots.append(folder)
                temporary = f"{self._temporary}/{len(self._new_roots)}"
            os.makedirs(temporary, mode=0o700)
            self._new[folder] = temporary
        return self._new[folder]

    def _is_real(self, folder: str) -> bool:
        """Whether a folder exists, and neither the folder nor a parent of it is a symbolic link."""
        if folder not in self._real:
            if not self._is_real(folder.rpartition("/")[0]) or not _is_folder(folder):
                return False
            self._real.add(folder)
        return True

    def _remove_empty(self, folder: str) -> None:
        while folder != self._root:
            try:
                os.rmdir(folder)
            except OSError:  # not empty
                return
            self._real.discard(folder)
            folder = folder.rpartition("/")[0]


class _NewFiles:
    """Creates files in worker threads: the system calls of different files run at the same time."""

    def __init__(self) -> None:
        self._batch: list[tuple[str, bytes]] = []
        self._writing: list[Future[None]] = []

    def add(self, path: str, content: bytes) -> None:
        """Create a file later. Raises the OSError of an earlier file."""
        self._batch.append((path, content))
        if len(self._batch) >= _BATCH:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the batch to the worker threads when the batch before the previous one is written."""
        while len(self._writing) >= _WRITERS:
            self._writing.pop(0).result()
        batch, self._batch = self._batch, []
        self._writing.append(self._workers.submit(_write_files, batch))

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor  # imports logging, which readers do not need

        return ThreadPoolExecutor(_WRITERS, thread_name_prefix="file")

    def finish(self) -> None:
        """Wait until all files are written. Raises the OSError of the first file that could not be written."""
        if self._batch:
            self._hand_over()
        while self._writing:
            self._writing.pop(0).result()

    def close(self) -> None:
        """End the worker threads. The files that are not written yet are dropped."""
        if "_workers" in self.__dict__:
            self._workers.shutdown(cancel_futures=True)


def _blob_id_of_file(file: str) -> str | None:
    """The blob id of the content of a file; None for no file; ``not a file`` for a link, a folder and so on."""
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
    """Write a file atomically. A killed process leaves the temporary file below ``.git``, not in the working tree."""
    replace_file(file, content, temporary=Path(repository.path, UNFINISHED_FILE))


def _write_files(files: Sequence[tuple[str, bytes]]) -> None:
    """Create files: path -> content. Plain system calls take two thirds of the time of file objects."""
    for path, content in files:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_EXCL, 0o600)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
