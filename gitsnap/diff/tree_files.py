"""Files of a tree by folder: what differs between two trees, and where the objects of a kind lie.

Where a tree knows its folders, only those are looked into that differ, or that are asked for: the cost follows the
change, not the size. This module must not read what is in files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from gitsnap.core.model import BlobId, Kind
from gitsnap.core.ports import Foldered
from gitsnap.format import kind_folder


def differing(before: Mapping[str, BlobId], after: Mapping[str, BlobId]) -> list[str]:
    """The paths whose content differs or that only one side has, sorted."""
    if isinstance(before, Foldered) and isinstance(after, Foldered):
        return sorted(_differing_below(before, after, ""))
    if before == after:
        return []
    paths = {path for path, blob in before.items() if after.get(path) != blob}
    return sorted(paths.union(after.keys() - before.keys()))


def _differing_below(before: Foldered, after: Foldered, place: str) -> Iterator[str]:
    old, new = before.folder(place), after.folder(place)
    for name in old.keys() | new.keys():
        entries = old.get(name), new.get(name)
        if entries[0] == entries[1]:
            continue
        is_folder = {entry[1] for entry in entries if entry is not None}
        if False in is_folder:
            yield place + name
        if True in is_folder:
            yield from _differing_below(before, after, f"{place}{name}/")


class ByKind:
    """The paths of files by the kind that their folder is named after: ``<namespace>/<kind>/<name>.yaml``."""

    def __init__(self, files: Mapping[str, BlobId]) -> None:
        self._files = files
        self._found: dict[Kind, list[str]] = {}

    def paths(self, kind: Kind) -> list[str]:
        """Those of a kind, sorted."""
        if kind not in self._found:
            self._found[kind] = self._look(kind_folder(kind))
        return self._found[kind]

    def _look(self, folder: str) -> list[str]:
        if isinstance(self._files, Foldered):
            return sorted(_in_folders(self._files, folder))
        return sorted(self._by_folder.get(folder, ()))

    @cached_property
    def _by_folder(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            parts = path.split("/")
            if len(parts) == 3:
                found[parts[1]].append(path)
        return found


def _in_folders(files: Foldered, folder: str) -> Iterator[str]:
    for namespace, (_, is_folder) in files.folder("").items():
        if is_folder:
            place = f"{namespace}/{folder}/"
            yield from (place + name for name, (_, below) in files.folder(place).items() if not below)
