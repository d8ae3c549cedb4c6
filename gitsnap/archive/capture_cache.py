"""What the newest capture saw, kept beside the archive's objects so that the next one need not look again.

It is no part of the archive: it can be deleted at any time, is believed only for the commit that it names, and is
never needed to read a sample (docs/FORMAT.md, "What is not part of the format").
This module must not know what a version means.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitsnap.core.files import replace_file
from gitsnap.core.ports import Seen

_NAME = "gitsnap-seen.json"
UNFINISHED_MEMORY = f".{_NAME}"
_LAYOUT = 1


@dataclass(slots=True)
class Memory:
    """What is known of one commit's files."""

    commit: str = ""
    seen: Seen | None = None
    digests: dict[str, bytes] = field(default_factory=dict)
    """Object id -> SHA-256 of the content."""


def load(git_folder: Path) -> Memory:
    """What was kept; nothing where there is none, or none that can be understood."""
    try:
        document = json.loads((git_folder / _NAME).read_bytes())
        if document["layout"] != _LAYOUT:
            return Memory()
        kept = Seen(
            key=str(document["key"]),
            revision=int(document["revision"]),
            checked_at=int(document["checkedAt"]),
            versions=dict(document["versions"]),
        )
        digests = {blob: bytes.fromhex(digest) for blob, digest in document["digests"].items()}
        return Memory(str(document["commit"]), kept, digests)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Memory()


def save(git_folder: Path, memory: Memory) -> None:
    """Keep it for the next capture. What cannot be written is not kept: that costs time, nothing else."""
    seen = memory.seen
    if seen is None:
        return
    document: Mapping[str, object] = {
        "layout": _LAYOUT,
        "commit": memory.commit,
        "key": seen.key,
        "revision": seen.revision,
        "checkedAt": seen.checked_at,
        "versions": dict(seen.versions),
        "digests": {blob: digest.hex() for blob, digest in memory.digests.items()},
    }
    with contextlib.suppress(OSError):
        content = json.dumps(document, separators=(",", ":")).encode()
        replace_file(git_folder / _NAME, content, temporary=git_folder / UNFINISHED_MEMORY)
