"""Contents of archived files, decoded and as bytes. Equal blob ids mean equal bytes, so each blob is decoded once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitsnap.core.model import BlobId
from gitsnap.format import UNRESOLVED_FILE, decode, decode_object

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

_MOST_BYTES = 8 * 1024 * 1024
"""The largest size of all bytes that a cache keeps. 5,000 profiles are smaller."""


class ContentCache:
    """Contents by blob id, decoded and as bytes."""

    def __init__(self) -> None:
        self._decoded: dict[BlobId, Any] = {}
        self._contents: dict[BlobId, bytes] = {}
        self._bytes = 0

    def read(self, tree: Tree, blob: BlobId) -> bytes:
        """Return the bytes of a blob of a tree. Cached, because several searches read the same profiles."""
        content = self._contents.get(blob)
        if content is None:
            content = tree.read(blob)
            if self._bytes + len(content) <= _MOST_BYTES:
                self._contents[blob] = content
                self._bytes += len(content)
        return content

    def decode(self, tree: Tree, blob: BlobId, path: str) -> Any:
        """Return the decoded content of a blob of a tree. Raises ArchiveError if it is not an object.

        ``path`` is the path of the blob in the tree, from its root.
        """
        if blob not in self._decoded:
            read = decode if path.endswith(f"/{UNRESOLVED_FILE}") else decode_object
            self._decoded[blob] = read(tree.read(blob), path)
        return self._decoded[blob]
