"""Computes the Content-SHA256 of samples one after the other (docs/FORMAT.md).

Successive samples share most files. Of a changed folder only the entries that differ are parsed (``tree_versions``).
The lines of the other files are reused, and the hash continues from its state before the first folder that differs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pygit2

from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.tree_objects import FOLDER_MODES, LINK_MODE, REGULAR_MODES, parse_tree, read_tree_content
from gitsnap.archive.tree_versions import TreeVersion, edited, entry_key, tree_version
from gitsnap.archive.trees import require_sample_size
from gitsnap.core.model import BlobId

if TYPE_CHECKING:
    from hashlib import _Hash

_MOST_CONTENTS = 1_000_000
"""The largest number of blobs whose digests are kept, of about 200 bytes each."""


@dataclass(frozen=True, slots=True)
class TreeContents:
    """What a tree contains."""

    digest: str
    """The Content-SHA256."""
    files: Mapping[str, int]
    """Name of each folder of the root -> number of files in it and below."""
    irregular: tuple[str, ...]
    """Paths of the symbolic links, submodules and executable files."""


@dataclass(frozen=True, slots=True)
class _FolderLines:
    """The lines that a folder and the folders below add to the digest."""

    tree: str
    version: TreeVersion | None
    """The version that the next version is compared with; None if the next version is parsed as a whole."""
    keys: list[bytes]
    """The key of each file and folder directly in this folder (``entry_key``), sorted."""
    parts: list[bytes | _FolderLines]
    """The line of each file, and the lines of each folder, in the order of ``keys``."""
    blocks: tuple[bytes, ...]
    """All lines, in the byte order of their paths. Successive files of one folder are one block."""
    files: int
    """Number of files in this folder and the folders below."""
    entries: int
    """Number of files, submodules and folders in this folder and the folders below, against hostile trees."""
    irregular: tuple[str, ...]
    """Paths of the symbolic links, submodules and executable files in this folder and the folders below."""


class ContentDigests:
    """Computes the digests of trees. The cost of a tree follows its difference to the previous tree."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._contents: dict[str, bytes] = {}
        """Id of a blob -> SHA-256 of its content in hexadecimal digits."""
        self._root: _FolderLines | None = None
        """The lines of the previous tree."""
        self._root_content = "", b""
        """The root tree that ``read_root`` read last: id and bytes."""
        self._entries = 0
        """Number of entries found so far in the folders of the current tree."""
        self._states: list[tuple[bytes, _Hash]] = []
        """The blocks of the previous tree, each with the state of the hash after the block."""

    def read_root(self, tree: str) -> Mapping[str, tuple[str, bool]]:
        """The entries of a root tree: name -> object id, and whether the entry is a folder. Submodules are left out.

        Raises ArchiveError where the tree is missing or damaged.
        """
        self._root_content = tree, read_tree_content(self._repository, tree, "")
        entries = parse_tree(self._repository, self._root_content[1], tree, "")
        return {
            os.fsdecode(name): (child.hex(), mode in FOLDER_MODES) for mode, name, child in entries if mode != LINK_MODE
        }

    def digest(self, tree: str) -> TreeContents:
        """The contents of a root tree.

        Raises ArchiveError where a tree or blob is missing or damaged, or the tree is too large for a sample's.
        """
        self._entries = 0
        if len(self._contents) > _MOST_CONTENTS:
            self._contents.clear()
        root = self._read(tree, b"", self._root)
        require_sample_size("", root.entries)
        self._root = root
        folders = zip(root.keys, root.parts, strict=True)
        files = {os.fsdecode(key[:-1]): part.files for key, part in folders if isinstance(part, _FolderLines)}
        return TreeContents(self._hash(root.blocks), files, root.irregular)

    def _read(self, tree: str, path: bytes, former: _FolderLines | None) -> _FolderLines:
        """The lines of a folder. ``former``: its lines in the previous tree."""
        if former is not None and former.tree == tree:
            self._entries += former.entries
            return former
        prefix = os.fsdecode(path)
        require_sample_size(prefix, self._entries)
        known, content = self._root_content
        if tree != known:
            content = read_tree_content(self._repository, tree, prefix)
        lines = self._edited(tree, content, path, former) if former is not None else None
        return lines or self._parsed(tree, content, path, former)

    def _edited(self, tree: str, content: bytes, path: bytes, former: _FolderLines) -> _FolderLines | None:
        """The lines of a folder, from those in the previous tree; None if the folder is to be parsed as a whole."""
        edits = former.version.edits(content) if former.version is not None else None
        if former.version is None or edits is None:
            return None
        replaced = [former.parts[edit.start] if edit.start < edit.end else None for edit in edits]
        self._entries += former.entries - sum(map(_entry_count, replaced)) + sum(bool(edit.key) for edit in edits)
        new = [
            self._part(path, edit.key, edit.child, before) if edit.key else b""
            for edit, before in zip(edits, replaced, strict=True)
        ]
        version = former.version.edit(content, edits)
        return _joined(tree, version, version.keys, edited(former.parts, edits, new), [])

    def _parsed(self, tree: str, content: bytes, path: bytes, former: _FolderLines | None) -> _FolderLines:
        """The lines of a folder. All its entries are parsed."""
        entries = parse_tree(self._repository, content, tree, os.fsdecode(path))
        irregular = [os.fsdecode(path + name) for mode, name, _ in entries if mode not in REGULAR_MODES]
        known = dict(zip(former.keys, former.parts, strict=True)) if former is not None else {}
        children = sorted((entry_key(entry), entry[2]) for entry in entries if entry[0] != LINK_MODE)
        self._entries += len(entries)
        parts = [self._part(path, key, child, known.get(key)) for key, child in children]
        return _joined(tree, tree_version(content, entries), [key for key, _ in children], parts, irregular)

    def _part(self, path: bytes, key: bytes, child: bytes, former: bytes | _FolderLines | None) -> bytes | _FolderLines:
        """The line of a file, or the lines of a folder. ``path``: of the folder around it."""
        if key.endswith(b"/"):
            return self._read(child.hex(), path + key, former if isinstance(former, _FolderLines) else None)
        return path + key + b"\0" + self._content(BlobId(child.hex())) + b"\n"

    def _content(self, blob: BlobId) -> bytes:
        known = self._contents.get(blob)
        if known is None:
            content = read_blob(self._repository, blob)
            known = self._contents[blob] = hashlib.sha256(content).hexdigest().encode()
        return known

    def _hash(self, blocks: tuple[bytes, ...]) -> str:
        same = 0
        for block, (former, _) in zip(blocks, self._states, strict=False):
            if block is not former:
                break
            same += 1
        del self._states[same:]
        state = self._states[-1][1].copy() if same else hashlib.sha256()
        for block in blocks[same:]:
            state.update(block)
            self._states.append((block, state.copy()))
        return state.hexdigest()


def _entry_count(part: bytes | _FolderLines | None) -> int:
    if isinstance(part, _FolderLines):
        return part.entries + 1
    return 0 if part is None else 1


def _joined(
    tree: str, version: TreeVersion | None, keys: list[bytes], parts: list[bytes | _FolderLines], irregular: list[str]
) -> _FolderLines:
    """The lines of a folder. ``keys``: the key of each part. ``irregular``: paths of entries of the folder itself."""
    entries = len(parts) + len(irregular)
    if _FolderLines not in set(map(type, parts)):
        block = _block(cast("list[bytes]", parts))
        return _FolderLines(tree, version, keys, parts, block, len(parts), entries, tuple(irregular))
    blocks: list[bytes] = []
    files = 0
    own: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            own.append(part)
            continue
        blocks += _block(own)
        blocks += part.blocks
        files += len(own) + part.files
        entries += part.entries
        irregular += part.irregular
        own = []
    blocks += _block(own)
    return _FolderLines(tree, version, keys, parts, tuple(blocks), files + len(own), entries, tuple(irregular))


def _block(lines: Sequence[bytes]) -> tuple[bytes, ...]:
    return (b"".join(lines),) if lines else ()
