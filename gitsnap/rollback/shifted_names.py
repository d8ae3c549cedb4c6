"""Detects sample names that a rollback shifted: the same command, given again, would restore another sample.

A rollback adds samples. After a rollback to ``latest~1``, the name stands for the sample before the rollback, which has
the state that the user replaced.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gitsnap.core.model import Sample
from gitsnap.rollback.records import PastRollback, past_rollbacks

FindSample = Callable[[Sequence[Sample], datetime], Sample | None]
"""Finds the sample that a name stands for, given the samples and the time (UTC); None if there is none."""

_LONGEST_QUESTION = timedelta(minutes=15)
"""The longest time between the lookup of a name and the first sample of the rollback: the user reads the plan."""


@dataclass(frozen=True, slots=True)
class ShiftedName:
    """A relative name that stands for the state before a rollback."""

    past: PastRollback
    former: Sample | None
    """The sample that the name stood for before the rollback; None if there was none."""


def find_shift(samples: Sequence[Sample], chosen: Sample, find: FindSample) -> ShiftedName | None:
    """Return how a rollback shifted the name of the sample ``chosen``; None if the name is safe to use.

    A name is shifted if it stands for the sample before a rollback. It is also shifted if it stood for the target of a
    rollback, and now stands for another sample that is not newer than the rollback. ``samples`` are oldest first.
    """
    for past in reversed(past_rollbacks(samples)):
        if chosen.order > past.last_former_state.order:
            return None  # newer than the remaining rollbacks, which are older
        position = bisect_left(samples, past.before.order, key=lambda sample: sample.order)
        earlier, began = samples[:position], past.before.time
        latest, earliest = find(earlier, began), find(earlier, began - _LONGEST_QUESTION)
        if chosen.order >= past.before.order or (
            chosen.tag != past.record.target and _is_between(past.record.target, earlier, earliest, latest)
        ):
            return ShiftedName(past, latest)
    return None


def _is_between(tag: str, samples: Sequence[Sample], first: Sample | None, last: Sample | None) -> bool:
    """Whether a sample is one of those from ``first`` to ``last``; without ``first``, from the oldest."""
    if last is None:
        return False
    orders = [sample.order for sample in samples if sample.tag == tag]
    return any((first is None or first.order <= order) and order <= last.order for order in orders)
