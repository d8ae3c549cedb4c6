"""Samples without an archive, for the tests of retention. This module must not be imported by the package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from gitsnap.core.model import CommitId, Sample, SampleMetadata, TagId, Trigger
from gitsnap.format import tag_name

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sample(
    sequence: int, time: datetime, trigger: Trigger = Trigger.SCHEDULE, *, target: TagId | None = None
) -> Sample:
    """A sample of the policy ``hourly``. The sequence makes its tag name unique."""
    tag = tag_name("hourly", time, sequence + 1)
    metadata = SampleMetadata(
        policy="hourly",
        time=time,
        sequence=sequence,
        trigger=trigger,
        cluster="cluster-1",
        objects=1,
        content_sha256="0" * 64,
        target=target,
    )
    return Sample(
        tag, TagId(hashlib.sha1(tag.encode(), usedforsecurity=False).hexdigest()), CommitId("1" * 40), metadata
    )


def every(step: timedelta, count: int, *, start: datetime = NOON) -> list[Sample]:
    """Scheduled samples at equal intervals, oldest first."""
    return [sample(number, start + (number - 1) * step) for number in range(1, count + 1)]


def tags(samples: Iterable[Sample]) -> set[str]:
    """The tag names of samples."""
    return {item.tag for item in samples}
