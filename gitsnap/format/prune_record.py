"""The record of what retention took, between the removal and the next sample's tag that tells of it (docs/FORMAT.md).

It is written before anything is removed, so it may name samples that are still there: only those that are gone count.
This module must not know refs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import TagId

_FORMAT = "format 1"
_PRUNED = re.compile(r"([1-9]\d{0,17}) [0-9a-f]{64}\Z", re.ASCII)
_SINCE = re.compile(r"since (\d{1,18})\Z")
_ENTRY = re.compile(r"([0-9a-f]{40}) ([^\x00-\x20\x7f]+)\Z")


@dataclass(frozen=True, slots=True, order=True)
class PrunedSample:
    """A sample that retention takes."""

    tag: str
    tag_id: TagId


@dataclass(frozen=True, slots=True)
class PruneRecord:
    """What retention takes or has taken since a sample, which no later sample's tag tells of yet."""

    since: int
    """Sequence of the newest sample at that time."""
    samples: tuple[PrunedSample, ...]


def pruned_text(samples: Iterable[PrunedSample]) -> str:
    """``<count> <digest>`` for the line ``Gitsnap-Pruned`` of a tag, ``""`` for nothing."""
    lines = sorted(b"%s\0%s\n" % (one.tag.encode(), one.tag_id.encode()) for one in samples)
    return f"{len(lines)} {hashlib.sha256(b''.join(lines)).hexdigest()}" if lines else ""


def pruned_count(text: str) -> int | None:
    """How many samples a line ``Gitsnap-Pruned`` tells of: 0 for no line, None for a damaged line."""
    match = _PRUNED.match(text)
    return int(match[1]) if match else None if text else 0


def prune_record_to_bytes(record: PruneRecord) -> bytes:
    """The content that the archive keeps."""
    entries = (f"{one.tag_id} {one.tag}\n" for one in sorted(record.samples))
    return f"{_FORMAT}\nsince {record.since}\n{''.join(entries)}".encode()


def prune_record_from_bytes(content: bytes) -> PruneRecord:
    """The inverse. Raises ArchiveError."""
    lines = content.decode("utf-8", "replace").splitlines()
    since = _SINCE.match(lines[1]) if lines[:1] == [_FORMAT] and len(lines) > 1 else None
    entries = [_ENTRY.match(line) for line in lines[2:]]
    if since is None or not all(entries):
        raise ArchiveError(
            "the record of what retention took is damaged, or was written by a newer gitsnap",
            hint="Use a newer gitsnap, or look at it with `git show refs/gitsnap/pruned/BRANCH`.",
        )
    return PruneRecord(int(since[1]), tuple(PrunedSample(one[2], TagId(one[1])) for one in entries if one))
