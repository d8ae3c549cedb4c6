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
from gitsnap.core.states import State, is_commit_id
from gitsnap.rollback.records import PastRollback, past_rollbacks

FindSample = Callable[[Sequence[Sample], datetime], State | None]
"""Finds the sample or the change that a name stands for, given the samples and the time (UTC); None for none."""

FindChange = Callable[[str], State | None]
"""Finds the change with a commit id; None if there is none."""

_LONGEST_QUESTION = timedelta(minutes=15)
"""The longest time between the lookup of a name and the first sample of the rollback: the user reads the plan."""


@dataclass(frozen=True, slots=True)
class ShiftedName:
    """A relative name that stands for the state before a rollback."""

    past: PastRollback
    former: State | None
    """The sample or the change that the name stood for before the rollback; None if there was none."""


def find_shift(
    samples: Sequence[Sample], chosen: State, find: FindSample, find_change: FindChange = lambda _commit: None
) -> ShiftedName | None:
    """Return how a rollback shifted the name of the sample or change ``chosen``; None if the name is safe to use.

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
            chosen.tag != past.record.target and _is_between(_target(past, earlier, find_change), earliest, latest)
        ):
            return ShiftedName(past, latest)
    return None


def _target(past: PastRollback, samples: Sequence[Sample], find_change: FindChange) -> State | None:
    """The target of a past rollback; None if it is not among the samples, and is no change."""
    name = past.record.target
    return find_change(name) if is_commit_id(name) else next((sample for sample in samples if sample.tag == name), None)


def _is_between(state: State | None, first: State | None, last: State | None) -> bool:
    """Whether a state is one of those from ``first`` to ``last``; without ``first``, from the oldest."""
    if state is None or last is None:
        return False
    return (first is None or first.order <= state.order) and state.order <= last.order
