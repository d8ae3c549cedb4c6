"""The capture cache: the object versions of the newest capture, so that the next capture can skip unchanged objects.

The cache is a file in the git directory. It is not part of the archive: it may be deleted at any time, it is valid only
for the commit that it names, and no sample needs it (docs/FORMAT.md, "What is not part of the format").
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gitsnap.core.files import replace_file
from gitsnap.core.recording import CaptureCache

_NAME = "gitsnap-seen.json"
UNFINISHED_CACHE = f".{_NAME}"
_LAYOUT = 2
_BLOB_DIGITS = 40
_ENTRY_DIGITS = _BLOB_DIGITS + 64
"""Hexadecimal digits of a blob id and of the SHA-256 of its content."""


@dataclass
class CachedCommit:
    """What the cache holds about the files of a commit."""

    commit: str = ""
    cache: CaptureCache | None = None
    content: str = ""
    """The Content-SHA256 of the commit."""
    joined_digests: str = ""
    """For each file, the blob id and the SHA-256 of the content, in hexadecimal digits."""

    @cached_property
    def digests(self) -> dict[str, bytes]:
        """Blob id -> SHA-256 of the content. Parsed on first use: an unchanged sample needs no digest."""
        text, length = self.joined_digests, _ENTRY_DIGITS
        with contextlib.suppress(ValueError):
            return {
                text[start : start + _BLOB_DIGITS]: bytes.fromhex(text[start + _BLOB_DIGITS : start + length])
                for start in range(0, len(text), length)
            }
        return {}


def joined(digests: Iterable[tuple[str, bytes]]) -> str:
    """The digests as one text (``CachedCommit.joined_digests``)."""
    return "".join(f"{blob}{digest.hex()}" for blob, digest in digests)


def load(git_folder: Path) -> CachedCommit:
    """Read the cache; an empty one where the file is missing or cannot be read."""
    try:
        document = json.loads((git_folder / _NAME).read_bytes())
        if document["layout"] != _LAYOUT:
            return CachedCommit()
        cache = CaptureCache(
            key=str(document["key"]),
            revision=int(document["revision"]),
            checked_at=int(document["checkedAt"]),
            versions=dict(document["versions"]),
            lists=dict(document.get("lists") or {}),
        )
        digests = str(document["digests"])
        if len(digests) % _ENTRY_DIGITS:
            return CachedCommit()
        return CachedCommit(str(document["commit"]), cache, str(document["content"]), digests)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return CachedCommit()


def save(git_folder: Path, cached: CachedCommit) -> None:
    """Write the cache. A failure to write is ignored: the next capture only takes longer."""
    cache = cached.cache
    if cache is None:
        return
    document: Mapping[str, object] = {
        "layout": _LAYOUT,
        "commit": cached.commit,
        "key": cache.key,
        "revision": cache.revision,
        "checkedAt": cache.checked_at,
        "versions": dict(cache.versions),
        "lists": dict(cache.lists),
        "content": cached.content,
        "digests": cached.joined_digests,
    }
    with contextlib.suppress(OSError):
        content = json.dumps(document, separators=(",", ":")).encode()
        replace_file(git_folder / _NAME, content, temporary=git_folder / UNFINISHED_CACHE)
