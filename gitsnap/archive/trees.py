"""Trees: nested git tree objects from a flat mapping of paths, and back.

This module must not know what the files mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView, Iterator, Mapping
from functools import cached_property
from typing import Any

import pygit2
from pygit2.enums import ObjectType

from gitsnap.archive.object_reader import read_object, unreadable_object
from gitsnap.archive.object_writer import TREE
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_TREE = re.compile(rb"(?:[0-7]+ [^\0]+\0.{20})*", re.DOTALL)
_REGULAR_MODES = frozenset({b"100644", b"40000", b"040000"})
_FOLDER_MODES, _LINK_MODE = frozenset({b"40000", b"040000"}), b"160000"
_FORBIDDEN = frozenset({b".", b".."})
_FORBIDDEN_NAME = re.compile(rb"/|(?:\A|\0)\.git(?:\0|\Z)", re.IGNORECASE)
_DEEPEST = 100
"""Levels of folders. A sample has four; a deeper tree is hostile, and would end the recursion with a defect."""
_LEVELS = 2
"""Levels of folders in an area of a sample: namespace and kind."""
_MOST_FILES = 1_000_000
"""Files of a tree. Trees that hold each other many times stand for more files than there is memory."""

_MOST_FOLDERS = 5000
"""So many folders are remembered: those of a few samples."""

_Folder = dict[str, Any]
"""Name -> content id of a file, or a folder below."""


def write_tree(files: Mapping[str, BlobId], add: Callable[[bytes, bytes], str]) -> str:
    """The id of the tree that holds these files; ``add`` takes each tree object in it. All files have mode 100644."""
    root: _Folder = {}
    for path, blob in files.items():
        *folders, name = path.split("/")
        place = root
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = blob
    return _write(root, add)


def _write(folder: _Folder, add: Callable[[bytes, bytes], str]) -> str:
    entries = []
    for name, value in folder.items():
        raw = name.encode()
        if isinstance(value, dict):
            # git sorts folders as if their names ended in a slash
            entries.append((raw + b"/", b"40000 " + raw + b"\0" + bytes.fromhex(_write(value, add))))
        else:
            entries.append((raw, b"100644 " + raw + b"\0" + bytes.fromhex(value)))
    return add(TREE, b"".join(entry for _, entry in sorted(entries)))


Entry = tuple[str, bool]
"""Id of what has a name in a folder, and whether that is a folder itself."""


class Folders:
    """The folders of a repository by the ids of their trees: of one sample and the next, most are the same."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._known: dict[str, Mapping[str, Entry]] = {}
        self.irregular: set[str] = set()
        """Names that were seen in folders and are neither files nor folders: symbolic links, submodules, programs."""

    def files(self, tree: str, prefix: str = "") -> dict[str, BlobId]:
        """All files of a tree: path from ``prefix`` on -> content id, in git's order of paths.

        Raises ArchiveError where a tree object is missing or damaged.
        """
        files: dict[str, BlobId] = {}
        self._collect(tree, prefix, files)
        return files

    def _collect(self, tree: str, prefix: str, files: dict[str, BlobId]) -> None:
        if prefix.count("/") > _DEEPEST or len(files) > _MOST_FILES:
            raise ArchiveError(f"the tree has too many files or folders below {prefix[:80]}: it is no sample's")
        for name, (child, is_folder) in self.entries(tree, prefix).items():
            if is_folder:
                self._collect(child, f"{prefix}{name}/", files)
            else:
                files[prefix + name] = BlobId(child)

    def entries(self, tree: str, prefix: str) -> Mapping[str, Entry]:
        """What is in the folder of a tree; ``prefix`` is how an error calls it. Raises ArchiveError."""
        known = self._known.get(tree)
        if known is None:
            if len(self._known) >= _MOST_FOLDERS:
                self._known.clear()
            known = self._known[tree] = self._read(tree, prefix)
        return known

    def _read(self, tree: str, prefix: str) -> Mapping[str, Entry]:
        subject = f"the folder {prefix or '/'} ({tree})"
        kind, content = read_object(self._repository, tree, subject)
        try:
            entries = _parsed(content if kind == ObjectType.TREE else b"no tree")
        except ValueError:
            raise unreadable_object(self._repository, subject) from None
        self.irregular.update(f"{prefix}{name}" for name, (_, mode) in entries.items() if mode not in _REGULAR_MODES)
        return {name: (child, mode in _FOLDER_MODES) for name, (child, mode) in entries.items() if mode != _LINK_MODE}


def _parsed(content: bytes) -> Mapping[str, tuple[str, bytes]]:
    """Name -> id and mode of the entries of a tree object. Raises ValueError for a tree that git would not write.

    Whoever may push can make a tree with the names ``..`` or ``.git``, or with two entries of one name. Such a tree
    would lead out of the archive, or two readers would see two files in it.
    """
    if _TREE.fullmatch(content) is None:
        raise ValueError("not a tree")
    found = _ENTRY.findall(content)
    names = {name for _, name, _ in found}
    if len(names) < len(found) or not names.isdisjoint(_FORBIDDEN) or _FORBIDDEN_NAME.search(b"\0".join(names)):
        raise ValueError("names that no tree may have")
    return {name.decode("utf-8", "surrogateescape"): (raw.hex(), mode) for mode, name, raw in found}


class TreeFiles(Mapping[str, BlobId]):
    """The files of a tree: path -> content id, sorted by path. Folders are read when they are asked for."""

    def __init__(self, folders: Folders, tree: str) -> None:
        self._folders = folders
        self._tree = tree
        self._seen = 0
        self._last: tuple[str | None, Mapping[str, Entry]] = (None, {})
        """The folder that was asked for last: whoever asks for many files asks for those of a folder together."""

    def folder(self, place: str) -> Mapping[str, Entry]:
        """What is in a folder (ports.Foldered)."""
        tree, prefix = self._tree, ""
        if place.count("/") > _LEVELS or self._seen > _MOST_FILES * 10:
            raise ArchiveError(f"the tree has too many files or folders below {place[:80]}: it is no sample's")
        for name in place.split("/")[:-1]:
            child, is_folder = self._folders.entries(tree, prefix).get(name, ("", False))
            if not is_folder:
                return {}
            tree, prefix = child, f"{prefix}{name}/"
        entries = self._folders.entries(tree, prefix)
        self._seen += len(entries)
        return entries

    def __getitem__(self, path: str) -> BlobId:
        folder, slash, name = path.rpartition("/")
        place, entries = self._last
        if place != folder:
            entries = self.folder(folder + slash)
            self._last = folder, entries
        child, is_folder = entries[name]
        if is_folder:
            raise KeyError(path)
        return BlobId(child)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def items(self) -> ItemsView[str, BlobId]:
        """All of them."""
        return self._all.items()

    @cached_property
    def _all(self) -> dict[str, BlobId]:
        return dict(sorted(self._folders.files(self._tree).items()))
