"""The record of pruned samples, kept until the tag of the next sample mentions them (docs/FORMAT.md).

The record is written before any sample is removed, so it may name samples that still exist. Only samples that
no longer exist count as pruned.
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
    """A sample that retention removes."""

    tag: str
    tag_id: TagId


@dataclass(frozen=True, slots=True)
class PruneRecord:
    """The samples that retention has removed, or is removing, since the newest sample was recorded."""

    since: int
    """Sequence number of the newest sample."""
    samples: tuple[PrunedSample, ...]


def pruned_text(samples: Iterable[PrunedSample]) -> str:
    """The value of ``Gitsnap-Pruned`` in a tag, ``<count> <digest>``; ``""`` without samples."""
    lines = sorted(b"%s\0%s\n" % (sample.tag.encode(), sample.tag_id.encode()) for sample in samples)
    return f"{len(lines)} {hashlib.sha256(b''.join(lines)).hexdigest()}" if lines else ""


def pruned_count(text: str) -> int | None:
    """The number of samples in a value of ``Gitsnap-Pruned``: 0 for ``""``, None for a damaged value."""
    match = _PRUNED.match(text)
    return int(match[1]) if match else None if text else 0


def prune_record_to_bytes(record: PruneRecord) -> bytes:
    """The content of the blob ``refs/gitsnap/pruned/BRANCH``."""
    entries = (f"{sample.tag_id} {sample.tag}\n" for sample in sorted(record.samples))
    return f"{_FORMAT}\nsince {record.since}\n{''.join(entries)}".encode()


def prune_record_from_bytes(content: bytes) -> PruneRecord:
    """The inverse of ``prune_record_to_bytes``. Raises ArchiveError for a damaged record."""
    lines = content.decode("utf-8", "replace").splitlines()
    since = _SINCE.match(lines[1]) if lines[:1] == [_FORMAT] and len(lines) > 1 else None
    entries = [_ENTRY.match(line) for line in lines[2:]]
    if since is None or not all(entries):
        raise ArchiveError(
            "the record of pruned samples is damaged, or was written by a newer gitsnap",
            hint="Use a newer gitsnap, or look at the record with `git show refs/gitsnap/pruned/BRANCH`.",
        )
    return PruneRecord(int(since[1]), tuple(PrunedSample(entry[2], TagId(entry[1])) for entry in entries if entry))
