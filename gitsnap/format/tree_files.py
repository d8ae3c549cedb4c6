"""The files of a tree by folder: which paths differ between two trees, and which paths belong to a kind.

If a tree knows its folders (ports.FolderIndex), only the requested folders and the folders that differ are read. The
cost grows with the change and not with the size of the tree. This module must not read the content of files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from functools import cached_property

from gitsnap.core.model import BlobId, Kind
from gitsnap.core.ports import FolderIndex
from gitsnap.format.constants import CLUSTER_SCOPED
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
    different = [name for name, entry in new.items() if old.get(name) != entry]
    for name in [*different, *(old.keys() - new.keys())]:
        is_folder = {entry[1] for entry in (old.get(name), new.get(name)) if entry is not None}
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
            self._paths[kind] = list(self.iterate(kind))
        return self._paths[kind]

    def iterate(self, kind: Kind, namespaces: Container[str] | None = None) -> Iterator[str]:
        """Yield the paths of the objects of a kind, sorted. A folder is read when its first path is needed.

        ``namespaces``: only objects in these namespaces, ``""`` for cluster-scoped objects. The paths in a namespace
        with an encoded name are always included.
        """
        for folder in sorted(self._folders.get(kind_folder(kind), ())):
            namespace = folder.partition("/")[0]
            wanted = "" if namespace == CLUSTER_SCOPED else namespace
            if namespaces is None or wanted in namespaces or "%" in namespace:
                yield from sorted(self._names_in(folder))

    @cached_property
    def _folders(self) -> Mapping[str, list[str]]:
        """The folders of each kind, one for each namespace that has objects of the kind."""
        folders: dict[str, list[str]] = defaultdict(list)
        if isinstance(self._files, FolderIndex):
            for namespace in _subfolders(self._files):
                for kind, (_, is_folder) in self._files.folder(f"{namespace}/").items():
                    if is_folder:
                        folders[kind].append(f"{namespace}/{kind}/")
        else:
            for folder in self._by_folder:
                folders[folder.split("/")[1]].append(folder)
        return folders

    def _names_in(self, folder: str) -> list[str]:
        """Return the paths of the files in a folder of a kind."""
        if isinstance(self._files, FolderIndex):
            return [folder + name for name, (_, is_folder) in self._files.folder(folder).items() if not is_folder]
        return self._by_folder[folder]

    @cached_property
    def _by_folder(self) -> Mapping[str, list[str]]:
        by_folder: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            folder, slash, _ = path.rpartition("/")
            if folder.count("/") == 1:
                by_folder[folder + slash].append(path)
        return by_folder


def top_folders(files: Mapping[str, BlobId]) -> set[str]:
    """Return the names of the topmost folders: the namespaces, and the folder of cluster-scoped objects."""
    if isinstance(files, FolderIndex):
        return _subfolders(files)
    return {path.partition("/")[0] for path in files if "/" in path}


def _subfolders(files: FolderIndex) -> set[str]:
    return {name for name, (_, is_folder) in files.folder("").items() if is_folder}
