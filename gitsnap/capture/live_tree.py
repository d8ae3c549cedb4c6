"""The cluster as it is now, as a tree in memory: the other side of ``diff --to-sample live``.

This module must not write anything anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from gitsnap.capture.collector import READING_SECONDS, Collected, Progress, collect
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.model import Area, BlobId, IncompleteKind, SecretsInfo, SecretsMode, TreeInfo
from gitsnap.core.ports import Cluster, SecretsKeeper, Tree
from gitsnap.sveltos import kinds


class MemoryTree:
    """A tree whose contents are in memory (ports.Tree)."""

    def __init__(self, collected: Collected, contents: Mapping[BlobId, bytes]) -> None:
        self._collected = collected
        self._contents = contents

    @property
    def info(self) -> TreeInfo:
        """What the capture asked for."""
        return self._collected.info

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """Kinds that could not be read."""
        return self._collected.incomplete

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the area -> content id, sorted by path."""
        return self._collected.files[area]

    def read(self, blob: BlobId) -> bytes:
        """The content behind an id."""
        return self._contents[blob]


def live_tree(
    cluster: Cluster,
    info: TreeInfo,
    *,
    keeper: SecretsKeeper | None,
    previous: Tree | None = None,
    progress: Progress = lambda _what, _count: None,
) -> Tree:
    """The cluster now, with the scope and mode of ``info``; comparable with samples of the same archive.

    Nothing is encrypted here: Secrets are compared by their fingerprints, so ``keeper`` must hold the archive's key.
    Without a keeper they are left out, which a comparison reports as *not covered*.
    """
    contents: dict[BlobId, bytes] = {}

    def store(content: bytes) -> BlobId:
        """Keep a content under the id that git would give it, without a repository."""
        header = b"blob %d\0" % len(content)
        blob = BlobId(hashlib.sha1(header + content, usedforsecurity=False).hexdigest())
        contents[blob] = content
        return blob

    with cluster.reading_within(READING_SECONDS):
        collected = collect(
            cluster,
            _comparable(info, keeper),
            keeper=keeper,
            previous=previous,
            store=store,
            unchanged=Unchanged(info, seen=None, previous=None, now=0),
            progress=progress,
        )
    return MemoryTree(collected, contents)


def _comparable(info: TreeInfo, keeper: SecretsKeeper | None) -> TreeInfo:
    if info.secrets.mode not in (SecretsMode.ENCRYPT, SecretsMode.REDACT):
        return info
    if keeper is None:
        without = tuple(kind for kind in info.kinds if kind != kinds.SECRET)
        return replace(info, kinds=without, secrets=SecretsInfo(SecretsMode.OMIT))
    return replace(info, secrets=replace(info.secrets, mode=SecretsMode.REDACT, recipients=()))
