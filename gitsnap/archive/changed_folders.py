"""Checks the folders of the files that commits added or removed, for answers from git's log.

git reads a damaged tree without an error. It shows the second of two entries with one name as another added file, and
does not find a file that is not in its place. Only an added or removed entry damages a tree in this way, so a log that
begins with the first commit needs no other folders.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import pygit2

from gitsnap.archive.tree_objects import FOLDER_MODES, RawEntry, parse_tree, read_tree_content
from gitsnap.archive.tree_versions import TreeVersion, tree_version


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that was checked."""

    tree: str
    version: TreeVersion | None
    """The version with which the next version is compared; None if the next version is parsed as a whole."""
    entries: list[RawEntry]
    """The entries of a folder without a version."""

    def folder(self, name: bytes) -> str:
        """The id of the tree of a subfolder, ``""`` if this folder has no such subfolder."""
        if self.version is None:
            return next((raw.hex() for mode, own, raw in self.entries if own == name and mode in FOLDER_MODES), "")
        key, keys, starts = name + b"/", self.version.keys, self.version.starts
        position = bisect_left(keys, key)
        if position == len(keys) or keys[position] != key:
            return ""
        return self.version.content[starts[position + 1] - 20 : starts[position + 1]].hex()


class ChangedFolders:
    """Checks folders of the commits of a log. Only the entries that differ from the last version are parsed."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._folders: dict[str, _Folder] = {}
        """Path -> the last checked folder with this path."""

    def check(self, root: str, paths: Iterable[str]) -> None:
        """Check all folders above some files of a tree. Raises ArchiveError where a tree object is missing or damaged.

        ``root``: the id of the root tree. ``paths``: the paths of the files from the root. A folder that the tree does
        not name is not an error.
        """
        for path in sorted({path.rpartition("/")[0] for path in paths}):
            folder, prefix = self._read(root, ""), ""
            for name in filter(None, path.split("/")):
                prefix += f"{name}/"
                tree = folder.folder(os.fsencode(name))
                if not tree:
                    break
                folder = self._read(tree, prefix)

    def _read(self, tree: str, path: str) -> _Folder:
        former = self._folders.get(path)
        if former is not None and former.tree == tree:
            return former
        content = read_tree_content(self._repository, tree, path)
        edits = former.version.edits(content) if former is not None and former.version is not None else None
        if former is not None and former.version is not None and edits is not None:
            folder = _Folder(tree, former.version.edit(content, edits), [])
        else:
            entries = parse_tree(self._repository, content, tree, path)
            version = tree_version(content, entries)
            folder = _Folder(tree, version, [] if version else entries)
        self._folders[path] = folder
        return folder
