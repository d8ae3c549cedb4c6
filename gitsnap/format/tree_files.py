"""The files of a tree by folder: which paths differ between two trees, and which paths belong to a kind.

If a tree knows its folders (ports.FolderIndex), only the requested folders and the folders that differ are read. The
cost grows with the change and not with the size of the tree. This module must not read the content of files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from gitsnap.core.model import BlobId, Kind
from gitsnap.core.ports import FolderIndex
from gitsnap.format.paths import kind_folder


def differing_paths(before: Mapping[str, BlobId], after: Mapping[str, BlobId]) -> list[str]:
    """Return the paths whose content differs, or that only one side has; sorted."""
    if isinstance(before, FolderIndex) and isinstance(after, FolderIndex):
        return sorted(_differing_below(before, after, ""))
    if before == after:
        return []
    paths = {path for path, blob in before.items() if after.get(path) != blob}
    return sorted(paths.union(after.keys() - before.keys()))


def _differing_below(before: FolderIndex, after: FolderIndex, folder: str) -> Iterator[str]:
    old, new = before.folder(folder), after.folder(folder)
    for name in old.keys() | new.keys():
        entries = old.get(name), new.get(name)
        if entries[0] == entries[1]:
            continue
        is_folder = {entry[1] for entry in entries if entry is not None}
        if False in is_folder:
            yield folder + name
        if True in is_folder:
            yield from _differing_below(before, after, f"{folder}{name}/")


class PathsByKind:
    """The paths of the objects of each kind: ``<namespace>/<kind>/<name>.yaml``."""

    def __init__(self, files: Mapping[str, BlobId]) -> None:
        self._files = files
        self._paths: dict[Kind, list[str]] = {}

    def paths(self, kind: Kind) -> list[str]:
        """Return the paths of the objects of a kind, sorted."""
        if kind not in self._paths:
            self._paths[kind] = self._find(kind_folder(kind))
        return self._paths[kind]

    def _find(self, folder: str) -> list[str]:
        if isinstance(self._files, FolderIndex):
            return sorted(_paths_below(self._files, folder))
        return sorted(self._by_folder.get(folder, ()))

    @cached_property
    def _by_folder(self) -> Mapping[str, list[str]]:
        by_folder: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            parts = path.split("/")
            if len(parts) == 3:
                by_folder[parts[1]].append(path)
        return by_folder


def top_folders(files: Mapping[str, BlobId]) -> set[str]:
    """Return the names of the topmost folders: the namespaces, and the folder of cluster-scoped objects."""
    if isinstance(files, FolderIndex):
        return _subfolders(files)
    return {path.partition("/")[0] for path in files if "/" in path}


def _subfolders(files: FolderIndex) -> set[str]:
    return {name for name, (_, is_folder) in files.folder("").items() if is_folder}


def _paths_below(files: FolderIndex, kind: str) -> Iterator[str]:
    for namespace in _subfolders(files):
        folder = f"{namespace}/{kind}/"
        yield from (folder + name for name, (_, is_folder) in files.folder(folder).items() if not is_folder)
