"""Objects that have not changed since the previous capture: those with the same uid and resource version.

Such an object is neither normalized nor encoded again; its files are those of the previous sample. The cache is ignored
if a setting that affects archived objects has changed, if the resource versions of the server went back (a restored
etcd assigns versions again), and once a day. This module must not read or write anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

from gitsnap import __version__
from gitsnap.capture.list_sizes import HasCopy, ListSizes, has_no_copy
from gitsnap.core.model import Area, BlobId, Kind, ResourceType, TreeInfo
from gitsnap.core.objects import KubeObject, ObjectHead
from gitsnap.core.ports import Tree
from gitsnap.core.recording import CaptureCache
from gitsnap.sveltos import kinds

LONGEST_SECONDS = 24 * 3600
"""How long the cache is used after the last capture that read every object completely."""

_LONGEST_REVISION = 19
"""Digits of a revision of etcd, which has 64 bits. Another text, as for a folder of files, is not compared."""


class Unchanged:
    """The cache of the previous capture, and the cache for the next one."""

    def __init__(
        self,
        info: TreeInfo,
        *,
        cache: CaptureCache | None,
        previous: Tree | None,
        now: int,
        has_copy: HasCopy = has_no_copy,
    ) -> None:
        """``cache``: the cache of the previous capture; ``previous``: its tree; ``now``: seconds since 1970."""
        self.has_copy = has_copy
        self._key = _key(info)
        fresh = cache is not None and cache.key == self._key and 0 <= now - cache.checked_at < LONGEST_SECONDS
        self._cache = cache if fresh and previous is not None else None
        # Plain dictionaries are faster: each object is looked up in each area.
        self._previous_files = (
            tuple((area, dict(previous.files(area).items())) for area in Area)
            if previous is not None and self._cache is not None
            else ()
        )
        self._now = now
        self._revision = 0
        self._versions: dict[str, str] = {}
        known = self._cache.lists if self._cache is not None else {}
        self._lists = {kind: ListSizes.of(document) for kind, document in known.items()}

    def start_at(self, revision: str) -> None:
        """Compare the resource version of a list with the cache's. Only the first list of a capture counts."""
        if self._revision:
            return
        self._revision = int(revision) if revision.isdecimal() and len(revision) <= _LONGEST_REVISION else 0
        if self._cache is not None and self._revision < max(self._cache.revision, 1):
            self._cache = None

    @property
    def is_usable(self) -> bool:
        """Whether the cache of the previous capture may be used."""
        return self._cache is not None

    def files(self, path: str, version: str) -> dict[Area, BlobId]:
        """The files of an object that has not changed, by area; empty for an object that must be archived again.

        ``path`` is the object's path below an area, ``version`` the value of ``version_of``.
        """
        if self._cache is None or not version or self._cache.versions.get(path) != version:
            return {}
        return {area: blob for area, files in self._previous_files if (blob := files.get(path)) is not None}

    def record(self, versions: Mapping[str, str]) -> None:
        """Record the versions of the objects of a list, path -> version, after the list was read to its end."""
        previous = self._cache.versions if self._cache is not None else {}
        for path, version in versions.items():
            known = previous.get(path)
            self._versions[path] = known if known == version else version  # share equal strings: this saves memory

    def list_sizes(self, kind: Kind) -> ListSizes:
        """The sizes of the lists of a kind in the previous capture. The caller records those of this capture."""
        return self._lists.setdefault(str(kind), ListSizes())

    def result(self) -> CaptureCache:
        """The cache for the next capture."""
        checked_at = self._cache.checked_at if self._cache is not None else self._now
        lists = {kind: sizes.document() for kind, sizes in self._lists.items()}
        return CaptureCache(self._key, self._revision, checked_at, self._versions, lists)


def _key(info: TreeInfo) -> str:
    """A digest of the settings that affect archived objects."""
    secrets = info.secrets
    parts = [__version__, info.format, info.rules, secrets.mode, secrets.fingerprint_key, *secrets.recipients]
    parts += map(str, secrets.sensitive_fields)
    parts += map(repr, info.resources)  # an entry decides whether objects that a controller owns are included
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def version_of(obj: KubeObject, controller_labels: Collection[str]) -> str:
    """A text that changes whenever the archived form may change; ``""`` without a uid or resource version.

    It has the API version, because an object that the server converts to another API version keeps its resource
    version. For a cluster it has ``controller_labels``, which decide which labels of the cluster are archived.
    """
    metadata = obj.metadata
    uid, version = metadata.get("uid"), metadata.get("resourceVersion")
    if not uid or not version:
        return ""
    parts = [uid, version]
    if api_version := str(obj.raw.get("apiVersion", "")).rpartition("/")[2]:
        parts.append(api_version)
    if obj.kind in kinds.CLUSTER_KINDS:
        parts += sorted(controller_labels)
    return " ".join(parts)


def version_of_head(head: ObjectHead, resource: ResourceType) -> str:
    """The version of an object that is not a cluster (``version_of``)."""
    if not head.uid or not head.resource_version:
        return ""
    return f"{head.uid} {head.resource_version} {resource.version}"
