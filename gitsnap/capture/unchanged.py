"""Which objects are as the capture before saw them: an object with the same uid and resource version has not changed.

Such an object is neither normalized nor encoded again; its files are those of the previous sample. What is remembered
is dropped when anything that an archived object depends on has changed, when the server's revisions went back (a
restored etcd gives versions out twice), and once a day, so that nothing is believed for ever.
This module must not read or write anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

from gitsnap import __version__
from gitsnap.core.model import Area, BlobId, JsonObject, TreeInfo
from gitsnap.core.ports import Seen, Tree
from gitsnap.sveltos import kinds

LONGEST_SECONDS = 24 * 3600
"""How long is believed what was seen, counted from the last capture that looked at everything."""

_LONGEST_REVISION = 19
"""Digits; revisions are etcd's, of 64 bits. Anything else (a folder of files) is no number to compare."""

_CLUSTER_NAMES = frozenset(kind.name for kind in kinds.CLUSTER_KINDS)


class Unchanged:
    """What the previous capture saw, and what this one sees."""

    def __init__(self, info: TreeInfo, *, seen: Seen | None, previous: Tree | None, now: int) -> None:
        self._key = _key(info)
        fresh = seen is not None and seen.key == self._key and 0 <= now - seen.checked_at < LONGEST_SECONDS
        self._seen = seen if fresh and previous is not None else None
        self._before = tuple((area, previous.files(area)) for area in Area) if previous is not None else ()
        self._now = now
        self._revision = 0
        self._versions: dict[str, str] = {}

    def at(self, revision: str) -> None:
        """The revision of a list, as the server gives it: the first one decides whether what was seen is believed."""
        if self._revision:
            return
        self._revision = int(revision) if revision.isdecimal() and len(revision) <= _LONGEST_REVISION else 0
        if self._seen is not None and self._revision < max(self._seen.revision, 1):
            self._seen = None

    @property
    def believes(self) -> bool:
        """Whether anything that was seen counts."""
        return self._seen is not None

    def files(self, path: str, version: str) -> Mapping[Area, BlobId]:
        """The files, by area, of an object that has not changed; none for one that has to be looked at.

        ``path`` is its path below an area, ``version`` what ``version_of`` says of it.
        """
        if self._seen is None or not version or self._seen.versions.get(path) != version:
            return {}
        return {area: blob for area, files in self._before if (blob := files.get(path)) is not None}

    def note(self, versions: Mapping[str, str]) -> None:
        """These objects are in the sample at these versions. Only to be told of lists that were read to their end."""
        before = self._seen.versions if self._seen is not None else {}
        for path, version in versions.items():
            known = before.get(path)
            self._versions[path] = known if known == version else version  # one text for both

    def result(self) -> Seen:
        """What the next capture may believe."""
        since = self._seen.checked_at if self._seen is not None else self._now
        return Seen(self._key, self._revision, since, self._versions)


def _key(info: TreeInfo) -> str:
    """Everything that an archived object depends on besides the object itself."""
    secrets = info.secrets
    parts = [__version__, info.format, info.rules, secrets.mode, secrets.fingerprint_key, *secrets.recipients]
    parts += map(str, secrets.sensitive_fields)
    parts += map(repr, info.resources)  # an entry decides whether objects that a controller owns are kept
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def version_of(raw: JsonObject, controller_labels: Collection[str]) -> str:
    """What changes with the archived form of an object, ``""`` for an object without uid or resource version.

    The API version counts: an object that a server converts to another version keeps its resource version.
    ``controller_labels`` decide what is kept of a cluster's labels.
    """
    metadata = raw["metadata"]
    uid, version = metadata.get("uid"), metadata.get("resourceVersion")
    if not uid or not version:
        return ""
    parts = [uid, version]
    if read_at := str(raw.get("apiVersion", "")).rpartition("/")[2]:
        parts.append(read_at)
    if raw.get("kind") in _CLUSTER_NAMES:
        parts += sorted(controller_labels)
    return " ".join(parts)
