"""Lanes: a row of time for each managed cluster and each profile, with a mark for each change.

The coordinates are whole numbers, so that the same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitsnap.history.timeline import PeriodChange, Timeline

WIDTH = 1000
"""The width of a lane in its own units."""
_HEIGHT = 16
_ALL_MARKS = 30_000
"""The largest number of marks that the lanes of one list share."""
_FINEST = 4
"""The smallest distance between two marks."""


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the time, in units of a lane."""

    start: int
    width: int


@dataclass(frozen=True, slots=True)
class Lane:
    """The marks of one lane, as data of SVG paths; ``""`` for none."""

    changes: str
    rollbacks: str


class Axis:
    """The time of all lanes, from the first to the last sample or change of the period."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.first = timeline.start
        """The moment at position 0. None for a period without samples and changes."""
        self.last = timeline.end
        """The moment at position WIDTH."""
        self._seconds = (self.last - self.first).total_seconds() if self.last and self.first else 0.0

    def position(self, time: datetime) -> int:
        """Return the position of a moment, from 0 to WIDTH."""
        if self.first is None or self._seconds <= 0:
            return WIDTH // 2
        share = (time - self.first).total_seconds() / self._seconds
        return round(min(max(share, 0.0), 1.0) * WIDTH)

    def incomplete(self) -> list[Band]:
        """Return the times during which a kind or an object could not be read, sorted and without overlaps."""
        runs = [(run.first.time, run.last.time) for run in self._timeline.incomplete]
        return _joined((self.position(first), self.position(last)) for first, last in runs)

    def unknown(self) -> list[Band]:
        """Return the time whose changes were not compared, because the report shows only the newest changes."""
        older = self._timeline.older
        return _joined([(self.position(older.first.time), self.position(older.last.time))]) if older else []

    def lane(self, changes: Iterable[PeriodChange], lanes: int) -> Lane:
        """Return the marks of changes. ``lanes``: the number of lanes in the list, which share the marks."""
        step = max(_FINEST, -(-lanes * WIDTH // _ALL_MARKS))
        marks: tuple[set[int], set[int]] = set(), set()
        for change in changes:
            metadata = getattr(change.sample, "metadata", None)  # a change between samples has no trigger
            is_rollback = metadata is not None and "rollback" in str(metadata.trigger)
            marks[is_rollback].add(min(round(self.position(change.sample.time) / step) * step, WIDTH))
        return Lane(_path(sorted(marks[False] - marks[True])), _path(sorted(marks[True])))


def _path(positions: Sequence[int]) -> str:
    return "".join(f"M{position} 2v{_HEIGHT - 4}" for position in positions)


def _joined(spans: Iterable[tuple[int, int]]) -> list[Band]:
    """Return the spans as bands of a visible width; spans that meet are one band."""
    bands: list[Band] = []
    for start, end in sorted(spans):
        band = _visible(start, end)
        if bands and band.start <= bands[-1].start + bands[-1].width:
            first = bands.pop()
            band = Band(first.start, max(band.start + band.width, first.start + first.width) - first.start)
        bands.append(band)
    return bands


def _visible(start: int, end: int) -> Band:
    """Return a band that is wide enough to be seen and ends inside the lane."""
    start = min(start, WIDTH - _FINEST)
    return Band(start, max(end - start, _FINEST))
