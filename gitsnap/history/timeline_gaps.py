"""What a timeline cannot know: times without a sample, unreadable kinds, and changes that follow mode missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from statistics import median

from gitsnap.core.model import IncompleteKind, Sample
from gitsnap.core.states import ChangeState, State
from gitsnap.history.timeline import FollowCheck, Gap, IncompleteRun

_FEWEST_SPANS = 3
"""Below this number of times between samples, no time is a gap."""
_LONG = 2
"""A time longer than this multiple of the median is a gap."""
_SHORTEST_GAP = 60
"""Seconds. A shorter time is never a gap: samples around a rollback are seconds apart."""


def find_gaps(pairs: Iterable[tuple[Sample | None, Sample]], history: Sequence[State]) -> tuple[list[Gap], int]:
    """Return the gaps, longest first, and the median of the seconds between consecutive samples.

    ``pairs``: each sample with the sample before it. ``history``: these samples and the changes between them, oldest
    first.
    """
    changes = accumulate((isinstance(state, ChangeState) for state in history), initial=0)
    made = {state.tag: number for state, number in zip(history, changes, strict=False) if isinstance(state, Sample)}
    spans = [
        Gap(before, sample, made.get(sample.tag, 0) - made.get(before.tag, 0))
        for before, sample in pairs
        if before is not None
    ]
    if len(spans) < _FEWEST_SPANS:
        return [], 0
    interval = int(median(span.seconds for span in spans))
    gaps = [span for span in spans if span.seconds > _LONG * interval and span.seconds >= _SHORTEST_GAP]
    return sorted(gaps, key=lambda gap: (-gap.seconds, gap.before.order)), interval


def follow_checks(samples: Iterable[Sample]) -> list[FollowCheck]:
    """Return the samples whose tag tells whether follow mode recorded all changes (docs/FORMAT.md, "Changes")."""
    found = []
    for sample in samples:
        word, _, number = dict(sample.metadata.extra).get("Followed", "").partition(" ")
        if word == "complete":
            found.append(FollowCheck(sample, 0))
        elif word == "missed" and number.isascii() and number.isdigit():
            found.append(FollowCheck(sample, int(number[:9])))
    return found


def incomplete_runs(samples: Iterable[Sample]) -> list[IncompleteRun]:
    """Return what consecutive samples could not read, by the first sample, then by name."""
    runs: list[IncompleteRun] = []
    current: dict[IncompleteKind, IncompleteRun] = {}
    for sample in samples:
        continued = {}
        for incomplete in sample.metadata.incomplete:
            run = current.get(incomplete) or IncompleteRun(incomplete, sample, sample, 0)
            continued[incomplete] = replace(run, last=sample, samples=run.samples + 1)
        runs += [run for incomplete, run in current.items() if incomplete not in continued]
        current = continued
    runs += current.values()
    return sorted(runs, key=lambda run: (run.first.order, run.incomplete))
