"""The metadata of a new sample: its place among the samples, and the record of samples that were removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import pygit2

from gitsnap.archive import removal
from gitsnap.archive.lost_tags import LostTag
from gitsnap.archive.reader import Problem, newest
from gitsnap.core.model import Area, ChangeCounts, CommitId, Sample, SampleMetadata
from gitsnap.core.recording import SampleDraft
from gitsnap.format import pruned_text, tag_name


def sample_metadata(
    draft: SampleDraft,
    *,
    repository: pygit2.Repository,
    branch: str,
    base: str | None,
    samples: Sequence[Sample],
    unreadable: Sequence[Problem],
    lost: LostTag | None,
    changes: ChangeCounts,
    content: str,
) -> SampleMetadata:
    """The metadata of the sample that a draft describes.

    ``base``: the commit that the branch had before the sample. ``samples``: all earlier samples, oldest first.
    ``unreadable``: the tags that cannot be read. ``lost``: the removed tag that the sample follows instead of the
    newest sample; a detached sample follows no removed tag. ``content``: the digest of all files (docs/FORMAT.md).
    """
    last = newest(samples)
    lost = None if draft.detached else lost
    removed = removal.unrecorded_samples(repository, branch, samples)
    return SampleMetadata(
        policy=draft.info.policy,
        time=draft.time.astimezone(UTC).replace(microsecond=0),
        sequence=lost.sequence + 1 if lost else _next_sequence(branch, last, unreadable),
        previous=lost.id if lost else last.tag_id if last else None,
        pruned=pruned_text(removed),
        trigger=draft.trigger,
        target=draft.target,
        detached_from=CommitId(base) if draft.detached and base else None,
        imported=draft.imported,
        message=draft.message,
        cluster=draft.cluster,
        server=draft.server,
        objects=len(draft.files.get(Area.CONFIGURATION, {})),
        changes=changes,
        consistency=draft.consistency,
        incomplete=tuple(sorted(draft.incomplete)),
        unresolved=draft.unresolved,
        content_sha256=content,
        extra=(*draft.extra, *removal.lines_of_forgotten(repository, branch, removed)),
    )


def _next_sequence(branch: str, last: Sample | None, unreadable: Sequence[Problem]) -> int:
    """A sequence number that no sample had.

    A tag that cannot be read may have a number after the last one, unless its name has an earlier time. The number
    may leave a gap, which `gitsnap verify` reports together with these tags. Two samples with the same number would
    have no order.
    """
    number = last.sequence + 1 if last else 1
    earliest = tag_name(branch, last.time) if last else ""
    return number + sum(problem.tag >= earliest for problem in unreadable if not problem.foreign)
