"""Computes the Content-SHA256 of samples one after the other (docs/FORMAT.md).

Successive samples share most files. The lines of unchanged files and folders are reused, and the hash continues from
its state before the first folder that differs from the previous sample.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pygit2

from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.trees import MOST_FOLDERS, Entry, Folders, require_sample_size
from gitsnap.core.model import BlobId

if TYPE_CHECKING:
    from hashlib import _Hash


_Line = tuple[bytes, Entry, bytes]
"""Path from the root, with a slash after a folder; the entry of the tree; the line of a file."""


@dataclass(frozen=True, slots=True)
class _FolderLines:
    """The lines that a folder and the folders below add to the digest."""

    tree: str
    entries: Mapping[str, _Line]
    """Name -> line of each file and folder directly in this folder."""
    blocks: tuple[bytes, ...]
    """The lines in the byte order of their paths. Successive files of one folder are one block."""
    files: int


class ContentDigests:
    """Computes the digests of trees. The cost of a tree follows its difference to the previous tree."""

    def __init__(self, repository: pygit2.Repository, folders: Folders) -> None:
        """``folders``: the cache through which folders are read."""
        self._repository = repository
        self._folders = folders
        self._contents: dict[str, bytes] = {}
        """Id of a blob -> SHA-256 of its content in hexadecimal digits."""
        self._lines: dict[str, _FolderLines] = {}
        """Path of a folder -> its lines in the last tree that had the folder."""
        self._files = 0
        """Number of files read so far in the current tree."""
        self._states: list[tuple[bytes, _Hash]] = []
        """The blocks of the previous tree, each with the state of the hash after the block."""

    def digest(self, tree: str) -> tuple[str, Mapping[str, int]]:
        """The Content-SHA256 of a root tree, and the number of files in each of its folders by the folder's name.

        Raises ArchiveError where a tree or blob is missing or damaged, or the tree is too large for a sample's.
        """
        if len(self._lines) > MOST_FOLDERS:
            self._lines.clear()
        self._files = 0
        blocks = self._read(tree, "").blocks
        root = self._folders.entries(tree, "")
        files = {name: self._lines[f"{name}/"].files for name, (_, is_folder) in root.items() if is_folder}
        return self._hash(blocks), files

    def _read(self, tree: str, prefix: str) -> _FolderLines:
        lines = self._lines.get(prefix)
        if lines is None or lines.tree != tree:
            lines = self._lines[prefix] = self._make_lines(tree, prefix, lines)
        else:
            self._files += lines.files
        return lines

    def _make_lines(self, tree: str, prefix: str, former: _FolderLines | None) -> _FolderLines:
        require_sample_size(prefix, self._files)
        known = former.entries if former else {}
        entries: dict[str, _Line] = {}
        for name, entry in self._folders.entries(tree, prefix).items():
            line = known.get(name)
            entries[name] = line if line is not None and line[1] == entry else self._make_line(prefix, name, entry)
        blocks: list[bytes] = []
        own: list[bytes] = []
        files = 0
        for path, (child, is_folder), text in sorted(entries.values()):
            if not is_folder:
                own.append(text)
                continue
            self._files += len(own)
            blocks += _joined(own)
            files += len(own)
            own = []
            below = self._read(child, os.fsdecode(path))
            blocks += below.blocks
            files += below.files
        self._files += len(own)
        return _FolderLines(tree, entries, (*blocks, *_joined(own)), files + len(own))

    def _make_line(self, prefix: str, name: str, entry: Entry) -> _Line:
        child, is_folder = entry
        path = os.fsencode(f"{prefix}{name}")
        # With a slash after the names of folders, the order of the names is the byte order of all paths below.
        return (
            (path + b"/", entry, b"")
            if is_folder
            else (path, entry, path + b"\0" + self._content(BlobId(child)) + b"\n")
        )

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


def _joined(lines: list[bytes]) -> tuple[bytes, ...]:
    return (b"".join(lines),) if lines else ()
