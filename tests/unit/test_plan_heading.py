"""The heading of a plan: date, age and trigger of the sample, and the rollback that it was taken for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gitsnap.core.model import ObjectKey, Sample, Trigger
from gitsnap.core.text import age
from gitsnap.format import Result, RollbackRecord, record_lines
from gitsnap.render.plan_heading import heading_lines, origin_sentences
from gitsnap.rollback import SampleOrigin, origin_of
from gitsnap.sveltos import kinds
from tests.support.plans import CLUSTER
from tests.support.samples import NOON, sample

_OBJECTS = (("update", ObjectKey(kinds.CONFIG_MAP, "default", "a")),)
_MINUTE = timedelta(minutes=1)


def _recorded(taken: Sample, record: RollbackRecord) -> Sample:
    return replace(taken, metadata=replace(taken.metadata, extra=record_lines(record)))


def _rollback(number: int, time: datetime, **fields: str) -> list[Sample]:
    """Return the samples before and after a rollback that user `me` made."""
    before = sample(number, time, Trigger.BEFORE_ROLLBACK)
    record = RollbackRecord(target="hourly/old", objects=_OBJECTS, user="me")
    before = _recorded(before, replace(record, **fields))  # type: ignore[arg-type]
    after = sample(number + 1, time + _MINUTE, Trigger.AFTER_ROLLBACK)
    return [before, _recorded(after, RollbackRecord(target="hourly/old", before=before.tag, result=Result.DONE))]


def _sentences(chosen: Sample, samples: list[Sample], *, undo: bool = False) -> str:
    return " ".join(origin_sentences(origin_of(chosen, samples), now=NOON + 3 * _MINUTE, user="me", undo=undo))


def test_the_sample_before_the_last_rollback() -> None:
    """The heading says that `gitsnap undo` goes back to this state."""
    samples = [sample(1, NOON - timedelta(hours=3)), *_rollback(2, NOON)]
    lines = heading_lines(CLUSTER, origin_of(samples[1], samples), now=NOON + 3 * _MINUTE, user="me", undo=False)
    assert lines == [
        "cluster: https://127.0.0.1:6443 (context test, id uid-of-kube-system)",
        f"sample:  {samples[1].tag}",
        "         2026-01-01 12:00:00 UTC, 3 min ago, taken before a rollback",
        "         This sample is the state before your rollback of 12:00 UTC to hourly/old.",
        "         `gitsnap undo` goes back to it.",
    ]


def test_a_sample_that_no_rollback_took() -> None:
    """Date, age and trigger."""
    samples = [sample(1, NOON - timedelta(hours=3)), *_rollback(2, NOON)]
    lines = heading_lines(CLUSTER, origin_of(samples[0], samples), now=NOON, user="me", undo=False)
    assert lines[2:] == ["         2026-01-01 09:00:00 UTC, 3 h ago, taken on schedule"]


def test_whose_rollback_and_when() -> None:
    """Another user and another day are named. An undo is called an undo, and a killed rollback is not finished."""
    theirs = _rollback(2, NOON - timedelta(days=1), user="alice")
    undone = _rollback(4, NOON, undoes=theirs[0].tag)
    samples = [*theirs, *undone]
    before = "This sample is the state before"
    assert _sentences(theirs[0], samples) == (
        f"{before} the rollback of 2025-12-31 12:00 UTC by alice to hourly/old. "
        f"`gitsnap undo --of {theirs[0].tag}` goes back to it."
    )
    assert _sentences(undone[0], samples) == f"{before} your undo of 12:00 UTC. `gitsnap undo` goes back to it."
    assert _sentences(undone[0], samples, undo=True) == f"{before} your undo of 12:00 UTC."
    assert _sentences(undone[1], samples) == "This sample is the state after your undo of 12:00 UTC."
    killed = samples[:3]
    assert _sentences(killed[2], killed) == (
        f"{before} your undo of 12:00 UTC, which was not finished. `gitsnap undo` goes back to it."
    )


def test_a_sample_after_a_rollback_whose_other_sample_is_gone() -> None:
    """Nothing is said about a rollback that the archive does not record."""
    before, after = _rollback(2, NOON)
    assert _sentences(after, [after]) == ""
    assert origin_of(before, []) == SampleOrigin(before)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3600, "in the future"),
        (-5, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (47 * 3600, "47 h ago"),
        (48 * 3600, "2 days ago"),
        (400 * 86400, "400 days ago"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    """Minutes, hours up to two days, then days."""
    assert age(timedelta(seconds=seconds)) == text
