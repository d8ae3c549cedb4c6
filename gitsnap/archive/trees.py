"""Trees: nested git tree objects from a flat mapping of paths, and back.

This module must not know what the files mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pygit2

from gitsnap.archive.objects import TREE, is_cut_off
from gitsnap.errors import ArchiveError
from gitsnap.model import BlobId

DAMAGED = "`gitsnap verify` tells what else is damaged; a clone or the remote may still have it."
"""What to do about an object that cannot be read."""

_Folder = dict[str, Any]
"""Name -> content id of a file, or a folder below."""


def check_end(repository: pygit2.Repository, name: str) -> None:
    """To be called before an object is read. Raises ArchiveError when libgit2 would never come back from it."""
    if is_cut_off(Path(repository.path) / "objects", name):
        raise ArchiveError(f"the object {name} of the archive is damaged: its end is missing", hint=DAMAGED)


def is_whole(repository: pygit2.Repository, name: str) -> bool:
    """Whether the archive has an object and can read it; one that is damaged in a file of its own is to be replaced.

    Raises ArchiveError for one that is damaged in a pack: libgit2 would go on to find that one first.
    """
    identity = pygit2.Oid(hex=name)
    if not repository.odb.exists(identity):
        return False
    objects = Path(repository.path) / "objects"
    if is_cut_off(objects, name):
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


def read_tree(repository: pygit2.Repository, tree: pygit2.Tree, prefix: str = "") -> dict[str, BlobId]:
    """All files of a tree: path from ``prefix`` on -> content id, in git's order of paths.

    Raises ArchiveError where a tree object is missing or damaged.
    """
    files: dict[str, BlobId] = {}
    check_end(repository, str(tree.id))
    try:
        entries = list(tree)
    except (KeyError, ValueError, pygit2.GitError):
        raise ArchiveError(
            f"the folder {prefix or '/'} ({tree.id}) is missing from the archive or damaged", hint=DAMAGED
        ) from None
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if isinstance(entry, pygit2.Tree):
            files.update(read_tree(repository, entry, f"{name}/"))
        elif isinstance(entry, pygit2.Blob):
            files[name] = BlobId(str(entry.id))
    return files
