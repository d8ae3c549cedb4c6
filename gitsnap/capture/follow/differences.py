"""Compares the files of two configurations."""

from __future__ import annotations

from collections.abc import Mapping

from gitsnap.capture.sample import Files
from gitsnap.core.model import Area, BlobId, ObjectKey
from gitsnap.core.ports import ArchiveWriter
from gitsnap.format import path_of

ChangedFiles = Mapping[Area, Mapping[str, BlobId | None]]
"""The files that differ: path -> id of the new content, None for a file that is removed."""


def count_missed(writer: ArchiveWriter, files: Files) -> int:
    """The number of objects whose configuration differs between the newest commit and a sample.

    ``files``: the files of the sample.
    """
    head = writer.head
    recorded = {area: head.files(area) if head is not None else {} for area in Area}
    return len(differences(recorded, files)[Area.CONFIGURATION])


def differences(before: Files, after: Files) -> ChangedFiles:
    """The files that differ: path -> id of the new content, None for a file that is removed."""
    changed: dict[Area, dict[str, BlobId | None]] = {}
    for area in Area:
        old, new = before[area], after[area]
        differing: dict[str, BlobId | None] = {path: blob for path, blob in new.items() if old.get(path) != blob}
        differing |= dict.fromkeys(old.keys() - new.keys())
        changed[area] = differing
    return changed


def is_change(changed: ChangedFiles) -> bool:
    """Whether the configuration differs. If only other areas differ, the next change or sample records them."""
    return bool(changed[Area.CONFIGURATION])


def object_path(key: ObjectKey) -> str:
    """The path of an object, ``""`` for a name that no path can hold."""
    try:
        return path_of(key)
    except ValueError:
        return ""
