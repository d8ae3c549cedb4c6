"""The files of the last collection, as a tree. Contents that are not in the archive yet are kept in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from gitsnap.capture.sample import Files
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, BlobId, IncompleteKind, TreeInfo
from gitsnap.core.ports import ArchiveWriter, Tree
from gitsnap.core.recording import ChangeDraft


class CollectedTree:
    """A tree whose files are replaced by each collection (ports.Tree)."""

    def __init__(self, info: TreeInfo) -> None:
        self._info = info
        self._incomplete: tuple[IncompleteKind, ...] = ()
        self._head: Tree | None = None
        self._files: Files = {area: {} for area in Area}
        self._known: set[BlobId] = set()
        """Ids of contents that the archive has."""
        self._contents: dict[BlobId, bytes] = {}
        """Contents that the archive may not have."""

    @property
    def info(self) -> TreeInfo:
        """The settings of the collections."""
        return self._info

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """See ports.Tree."""
        return self._incomplete

    def start(self, head: Tree, files: Files) -> None:
        """Begin with the tree of the newest commit of an archive."""
        self._head, self._files, self._contents = head, files, {}
        self._incomplete = head.incomplete
        self._known = {blob for by_path in files.values() for blob in by_path.values()}

    def replace(self, files: Files, incomplete: tuple[IncompleteKind, ...]) -> None:
        """Replace all files. ``incomplete``: see ports.Tree."""
        self._files, self._incomplete = files, incomplete

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """See ports.Tree."""
        return self._files[area]

    def read(self, blob: BlobId) -> bytes:
        """See ports.Tree."""
        if blob in self._contents:
            return self._contents[blob]
        if self._head is None:
            raise ArchiveError(f"the content {blob} is not known")
        return self._head.read(blob)

    def store(self, content: bytes) -> BlobId:
        """Keep a content. Returns its id, which is the same as in the archive."""
        blob = BlobId(hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest())
        if blob not in self._known:
            self._contents[blob] = content
        return blob

    def store_in(self, writer: ArchiveWriter, drafts: Iterable[ChangeDraft]) -> None:
        """Store the contents of some changes in an archive."""
        for draft in drafts:
            for files in draft.files.values():
                for blob in files.values():
                    if blob is not None and blob in self._contents:
                        writer.store(self._contents[blob])
                        self._known.add(blob)

    def forget_contents(self) -> None:
        """Drop the contents that the archive has, and the contents of replaced files."""
        needed = {blob for by_path in self._files.values() for blob in by_path.values()}
        self._known &= needed
        self._contents = {blob: self._contents[blob] for blob in self._contents.keys() & needed - self._known}
