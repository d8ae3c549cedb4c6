"""The current state of a cluster as a tree in memory, for ``diff --to-sample live``. Nothing is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gitsnap.capture.collector import READING_SECONDS, Collected, Progress, collect
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.model import Area, BlobId, IncompleteKind, SecretsInfo, SecretsMode, TreeInfo
from gitsnap.core.ports import Cluster, SecretsKeeper, Tree
from gitsnap.sveltos import kinds


class MemoryBlobs:
    """Contents in memory, under the ids that git would give them."""

    def __init__(self) -> None:
        self._contents: dict[BlobId, bytes] = {}

    def store(self, content: bytes) -> BlobId:
        """Keep a content; returns its id."""
        header = b"blob %d\0" % len(content)
        blob = BlobId(hashlib.sha1(header + content, usedforsecurity=False).hexdigest())
        self._contents[blob] = content
        return blob

    def read(self, blob: BlobId) -> bytes:
        """The content of an id that ``store`` returned."""
        return self._contents[blob]


class MemoryTree:
    """A tree in memory (ports.Tree)."""

    def __init__(self, collected: Collected, blobs: MemoryBlobs) -> None:
        self._collected = collected
        self._blobs = blobs

    @property
    def info(self) -> TreeInfo:
        """The settings of the capture."""
        return self._collected.info

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """Kinds and objects that could not be read, sorted."""
        return self._collected.incomplete

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the area -> id of the content, sorted by path."""
        return self._collected.files[area]

    def read(self, blob: BlobId) -> bytes:
        """The content of an id that ``files`` returned."""
        return self._blobs.read(blob)


@dataclass(frozen=True, slots=True)
class MemoryKeeper:
    """The keys for a tree in memory (ports.SecretsKeeper). Values are not encrypted: no value leaves the process."""

    fingerprint_key: bytes
    recipients: tuple[str, ...] = ()

    def seal(self, plaintext: bytes) -> bytes:
        """The plaintext itself."""
        return plaintext

    def unseal(self, ciphertext: bytes) -> bytes:
        """The inverse of ``seal``."""
        return ciphertext


def live_tree(
    cluster: Cluster,
    info: TreeInfo,
    *,
    keeper: SecretsKeeper | None,
    previous: Tree | None = None,
    progress: Progress = lambda _kind, _count: None,
) -> Tree:
    """The current state of a cluster, with the scope and the secrets mode of ``info``.

    The tree can be compared with samples of the same archive. Nothing is encrypted: Secrets are compared by their
    fingerprints, for which ``keeper`` needs the fingerprint key of the archive. Without a keeper, Secrets are left out,
    and a comparison reports them as *not covered*. With a ``MemoryKeeper``, the tree also has the values of Secrets.
    Raises the errors of ``collect``.
    """
    blobs = MemoryBlobs()
    with cluster.reading_within(READING_SECONDS):
        collected = collect(
            cluster,
            _comparable(info, keeper),
            keeper=keeper,
            previous=previous,
            store=blobs.store,
            unchanged=Unchanged(info, cache=None, previous=None, now=0),
            progress=progress,
        )
    return MemoryTree(collected, blobs)


def _comparable(info: TreeInfo, keeper: SecretsKeeper | None) -> TreeInfo:
    if info.secrets.mode not in (SecretsMode.ENCRYPT, SecretsMode.REDACT):
        return info
    if isinstance(keeper, MemoryKeeper):
        return info
    if keeper is None:
        without_secrets = tuple(kind for kind in info.kinds if kind != kinds.SECRET)
        # The fields are kept, so that a comparison leaves them out.
        secrets = SecretsInfo(SecretsMode.OMIT, sensitive_fields=info.secrets.sensitive_fields)
        return replace(info, kinds=without_secrets, secrets=secrets)
    return replace(info, secrets=replace(info.secrets, mode=SecretsMode.REDACT, recipients=()))
