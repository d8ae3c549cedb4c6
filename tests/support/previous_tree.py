"""The tree of a previous sample for tests of captures that must not read a blob."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitsnap.core.model import Area, BlobId, IncompleteKind, TreeInfo


@dataclass
class PreviousTree:
    """The files below ``configuration/`` by their paths (ports.Tree)."""

    info: TreeInfo
    held: Mapping[str, BlobId]
    incomplete: tuple[IncompleteKind, ...] = ()

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """The files of an area."""
        return self.held if area is Area.CONFIGURATION else {}

    def read(self, blob: BlobId) -> bytes:
        """Fail: the content is known from the blob id."""
        raise AssertionError(blob)
