"""Writes and reads git trees: nested tree objects from a flat mapping of paths, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import pygit2

from gitsnap.archive.object_writer import TREE
from gitsnap.archive.tree_objects import FOLDER_MODES, LINK_MODE, read_tree
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId

_DEEPEST = 100
"""The largest number of nested folders. A sample has four. A hostile tree could exceed Python's recursion limit."""
_LEVELS = 2
"""Nested folders in an area of a sample: namespace and kind."""
_MOST_ENTRIES = 1_000_000
"""The largest number of files and folders in a tree. A hostile tree holds itself many times over: its files could fill
the memory, and a walk through its folders would never end."""

MOST_FOLDERS = 5000
"""The largest number of cached folders: those of a few samples."""

_Folder = dict[str, Any]
"""Name -> blob id of a file, or a nested folder."""


def write_tree(files: Mapping[str, BlobId], add: Callable[[bytes, bytes], str]) -> str:
    """Make the tree objects for some files, and return the id of the root tree. All files get the mode 100644.

    ``files``: path -> blob id. ``add``: stores an object of a kind and returns its id (``ObjectSink.add``).
    """
    root: _Folder = {}
    for path, blob in files.items():
        *parents, name = path.split("/")
        folder = root
        for parent in parents:
            folder = folder.setdefault(parent, {})
        folder[name] = blob
    return _write(root, add)


def _write(folder: _Folder, add: Callable[[bytes, bytes], str]) -> str:
    entries = {
        name: (_write(value, add), True) if isinstance(value, dict) else (value, False)
        for name, value in folder.items()
    }
    return _add_tree(entries.items(), add)


def _add_tree(entries: Iterable[tuple[str, Entry]], add: Callable[[bytes, bytes], str]) -> str:
    """Store the tree object of a folder, and return its id."""
    lines = []
    for name, (child, is_folder) in entries:
        raw = name.encode("utf-8", "surrogateescape")
        mode = b"40000 " if is_folder else b"100644 "
        # git sorts folders as if their names ended with a slash
        lines.append((raw + b"/" if is_folder else raw, mode + raw + b"\0" + bytes.fromhex(child)))
    return add(TREE, b"".join(line for _, line in sorted(lines)))


Entry = tuple[str, bool]
"""An entry of a folder: object id, and whether the entry is a folder."""


class TreeUpdates:
    """Makes trees that differ from another tree in some files. Only the folders of these files are read and written."""

    def __init__(self, folders: Folders, add: Callable[[bytes, bytes], str]) -> None:
        """``add``: stores an object of a kind and returns its id (``ObjectSink.add``)."""
        self._folders = folders
        self._add = add
        self._written: dict[str, Mapping[str, Entry]] = {}
        """The trees that were made, which the repository may not have yet."""

    def update(self, tree: str, files: Mapping[str, BlobId | None]) -> str:
        """The id of ``tree`` with some files replaced, added or removed. A folder without files is removed.

        ``files``: path -> blob id, None to remove the file. Raises ArchiveError where a folder is damaged.
        """
        return self._update(tree, "", files) or self._add(TREE, b"")

    def blob(self, tree: str, path: str) -> BlobId | None:
        """The id of a file of a tree, None if there is no such file."""
        prefix = ""
        *parents, name = path.split("/")
        for parent in parents:
            tree, is_folder = self._entries(tree, prefix).get(parent, ("", False))
            if not is_folder:
                return None
            prefix += f"{parent}/"
        child, is_folder = self._entries(tree, prefix).get(name, ("", True))
        return None if is_folder else BlobId(child)

    def _entries(self, tree: str, prefix: str) -> Mapping[str, Entry]:
        return self._written.get(tree) or self._folders.entries(tree, prefix)

    def _update(self, tree: str, prefix: str, files: Mapping[str, BlobId | None]) -> str:
        """The id of the tree, ``""`` for an empty one. ``tree``: ``""`` for a new folder."""
        entries = dict(self._entries(tree, prefix)) if tree else {}
        below: dict[str, dict[str, BlobId | None]] = {}
        for path, blob in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = blob
            elif blob is None:
                entries.pop(name, None)
            else:
                entries[name] = blob, False
        for name, changed in below.items():
            child, is_folder = entries.get(name, ("", False))
            updated = self._update(child if is_folder else "", f"{prefix}{name}/", changed)
            if updated:
                entries[name] = updated, True
            else:
                entries.pop(name, None)
        if not entries:
            return ""
        written = _add_tree(entries.items(), self._add)
        self._written[written] = entries
        return written


class Folders:
    """A cache of the folders of a repository, by the ids of their trees. Successive samples share most folders."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._cached: dict[str, Mapping[str, Entry]] = {}
        self._count = 0
        self.most_entries = sys.maxsize
        """The largest number of entries of the cached folders. A process that runs for long sets a limit."""

    def files(self, tree: str, prefix: str = "") -> dict[str, BlobId]:
        """All files of a tree: ``prefix`` and path -> blob id, in git's order of paths.

        Raises ArchiveError where a tree object is missing or damaged, or the tree is too large for a sample's.
        """
        files: dict[str, BlobId] = {}
        self._collect(tree, prefix, files, 0)
        return files

    def _collect(self, tree: str, prefix: str, files: dict[str, BlobId], folders: int) -> int:
        """Add the files of a folder to ``files``, and return the new number of folders.

        ``folders``: the number of folders that were read before.
        """
        require_sample_size(prefix, len(files) + folders)
        for name, (child, is_folder) in self.entries(tree, prefix).items():
            if is_folder:
                folders = self._collect(child, f"{prefix}{name}/", files, folders + 1)
            else:
                files[prefix + name] = BlobId(child)
        return folders

    def entries(self, tree: str, prefix: str) -> Mapping[str, Entry]:
        """The entries of the folder with the tree ``tree``: name -> entry. Submodules are left out.

        ``prefix``: path of the folder, for messages. Raises ArchiveError.
        """
        cached = self._cached.get(tree)
        if cached is None:
            if len(self._cached) >= MOST_FOLDERS or self._count > self.most_entries:
                self._cached.clear()
                self._count = 0
            cached = self._cached[tree] = self._read(tree, prefix)
            self._count += len(cached)
        return cached

    def _read(self, tree: str, prefix: str) -> Mapping[str, Entry]:
        return {
            name.decode("utf-8", "surrogateescape"): (raw.hex(), mode in FOLDER_MODES)
            for mode, name, raw in read_tree(self._repository, tree, prefix)
            if mode != LINK_MODE
        }


def require_sample_size(folder: str, entries: int) -> None:
    """Raise ArchiveError if a folder is too deep for a sample, or if its files and folders are too many for one."""
    if folder.count("/") > _DEEPEST or entries > _MOST_ENTRIES:
        raise _too_large(folder)


def _too_large(folder: str) -> ArchiveError:
    return ArchiveError(f"the tree has too many files or folders below {folder[:80]}: it is not the tree of a sample")


class TreeFiles(Mapping[str, BlobId]):
    """The files of a tree: path -> blob id, sorted by path. A folder is read when it is first used."""

    def __init__(self, folders: Folders, tree: str) -> None:
        self._folders = folders
        self._tree = tree
        self._entries_read = 0
        self._known: dict[str, Mapping[str, Entry]] = {}
        """The folders read so far by path. Their number is limited by the number of their entries."""

    def folder(self, path: str) -> Mapping[str, Entry]:
        """The entries of a folder; none where the folder does not exist (ports.FolderIndex)."""
        known = self._known.get(path)
        if known is not None:
            return known
        tree, prefix = self._tree, ""
        if path.count("/") > _LEVELS or self._entries_read > _MOST_ENTRIES * 10:
            raise _too_large(path)
        for name in path.split("/")[:-1]:
            child, is_folder = self._folders.entries(tree, prefix).get(name, ("", False))
            if not is_folder:
                return {}
            tree, prefix = child, f"{prefix}{name}/"
        entries = self._folders.entries(tree, prefix)
        self._entries_read += 1 + len(entries)
        self._known[path] = entries
        return entries

    def __getitem__(self, path: str) -> BlobId:
        folder, slash, name = path.rpartition("/")
        child, is_folder = self.folder(folder + slash)[name]
        if is_folder:
            raise KeyError(path)
        return BlobId(child)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def items(self) -> ItemsView[str, BlobId]:
        """Path and blob id of all files."""
        return self._all.items()

    @cached_property
    def _all(self) -> dict[str, BlobId]:
        return dict(sorted(self._folders.files(self._tree).items()))
