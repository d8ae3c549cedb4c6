"""Reads single git objects, and tells damaged objects from intact ones before libgit2 touches them."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from gitsnap.archive.completeness import DAMAGED, hint_for_missing_objects
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId


def read_object(repository: pygit2.Repository, name: str, subject: str) -> tuple[int, bytes]:
    """The type (``pygit2.enums.ObjectType``) and the content of an object.

    ``subject`` names the object in messages: ``the commit 1234…``. Raises ArchiveError where the object is missing or
    damaged, and where ``name`` is not a full object id: refs and commits may hold any text.
    """
    if not is_object_id(name):
        raise unreadable_object(repository, subject)
    check_not_truncated(repository, name)
    try:
        return repository.read(name)
    except (KeyError, ValueError, pygit2.GitError):
        raise unreadable_object(repository, subject) from None


def read_blob(repository: pygit2.Repository, blob: BlobId) -> bytes:
    """The content of a file. Raises ArchiveError where the blob is missing or damaged, or another kind of object."""
    kind, content = read_object(repository, blob, f"the content {blob}")
    if kind != ObjectType.BLOB:
        raise ArchiveError(f"the object {blob} of the archive is not a file", hint=DAMAGED)
    return content


def unreadable_object(repository: pygit2.Repository, subject: str) -> ArchiveError:
    """The error for an object that cannot be read; the hint depends on whether this clone was meant to have it."""
    return ArchiveError(f"{subject} is missing from the archive or damaged", hint=hint_for_missing_objects(repository))


def is_object_id(text: str) -> bool:
    """Whether a text is a full object id: 40 hexadecimal digits."""
    return len(text) == 40 and not text.strip("0123456789abcdef")


def check_not_truncated(repository: pygit2.Repository, name: str) -> None:
    """Raise ArchiveError for a truncated object. Call this before libgit2 reads the object: it would never end."""
    if is_truncated(f"{repository.path}objects", name):
        raise ArchiveError(f"the object {name} of the archive is damaged: its end is missing", hint=DAMAGED)


def is_truncated(objects: Path | str, name: str) -> bool:
    """Whether the file of a loose object ends too early: libgit2 reads such a file in an endless loop.

    ``objects``: the folder ``objects`` of the repository. False for packed and for missing objects.
    """
    path = f"{objects}/{name[:2]}/{name[2:]}"
    if not os.access(path, os.F_OK):  # most objects are in packs, and an exception takes three times as long
        return False
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - for every tag of a long history
            content = file.read()
    except OSError:
        return False
    reader = zlib.decompressobj()
    try:
        reader.decompress(content)
    except zlib.error:
        return False  # libgit2 reports this damage
    return not reader.eof


def has_intact_object(repository: pygit2.Repository, name: str) -> bool:
    """Whether the archive has an object and can read it. A damaged loose object counts as absent: it is written again.

    Raises ArchiveError for an object that is damaged in a pack: libgit2 would still read the damaged copy.
    """
    identity = pygit2.Oid(hex=name)
    if not repository.odb.exists(identity):
        return False
    objects = Path(repository.path) / "objects"
    if is_truncated(objects, name):
        return False
    try:
        repository.odb.read(identity)
    except KeyError:
        return False
    except pygit2.GitError:
        if (objects / name[:2] / name[2:]).exists():
            return False
        raise ArchiveError(
            f"the object {name} of the archive is damaged, so that the new sample could not be read", hint=DAMAGED
        ) from None
    return True
