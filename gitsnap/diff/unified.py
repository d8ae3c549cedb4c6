"""Unified diffs of two texts, with a bounded cost.

The time of ``difflib`` grows with the square of the changed lines, or worse: 36 s for a rewritten text of 1 MB. It is
used for short texts only, since its hunks are good. Long texts are cut at lines that occur once on both sides (patience
diff), and the lines between two cuts are compared with Myers' algorithm within a budget of steps. Where the budget is
spent, all lines are shown as removed and added, which is correct but not minimal.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

_CONTEXT = 3
_SHORT = 500
"""The longest text, in lines, that is compared by ``difflib``."""
_STEPS = 1_000_000
"""The budget of Myers' algorithm for one pair of texts: about one second."""
_MAX_DEPTH = 16
"""How often a text is cut again between two cuts, at lines that are unique there."""

_Match = tuple[int, int, int]
"""Equal lines: the first line on both sides, from 0, and the number of lines."""

_Path = tuple["_Path", int, int, int] | None
"""The matches that an edit keeps: the matches before, and the last match. None at the start."""


class LineDiff:
    """The lines in which two texts differ. A text that is None has no lines."""

    def __init__(self, before: str | None, after: str | None) -> None:
        self._old, self._new = _lines(before), _lines(after)
        self._matches = _matches(self._old, self._new)

    def hunks(self, context: int = _CONTEXT) -> list[list[str]]:
        """Return the hunks with ``context`` equal lines around each change. The first line of a hunk is its header."""
        return list(_hunks(self._matches, self._old, self._new, context))


def unified_diff(before: str | None, after: str | None, before_title: str, after_title: str) -> str:
    """Return the diff with two header lines and a final newline, ``""`` if the lines are equal. None has no lines."""
    lines = [line for hunk in LineDiff(before, after).hunks() for line in hunk]
    return "\n".join((f"--- {before_title}", f"+++ {after_title}", *lines, "")) if lines else ""


def _lines(text: str | None) -> list[str]:
    """Split at line feeds, as git does. Other line separators of Unicode are text."""
    return text.removesuffix("\n").split("\n") if text else []


# Hunks ----------------------------------------------------------------------------------------------------------------


def _hunks(matches: Sequence[_Match], old: Sequence[str], new: Sequence[str], context: int) -> Iterator[list[str]]:
    """Yield the changes with the lines around them. Changes whose context overlaps or touches share a hunk."""
    ends = [(0, 0, 0), *matches, (len(old), len(new), 0)]
    changes = [
        (first + size, next_first, second + size, next_second)
        for (first, second, size), (next_first, next_second, _) in pairwise(ends)
        if first + size < next_first or second + size < next_second
    ]
    groups: list[list[tuple[int, int, int, int]]] = []
    for change in changes:
        if groups and change[0] - groups[-1][-1][1] <= 2 * context:
            groups[-1].append(change)
        else:
            groups.append([change])
    for group in groups:
        yield _hunk(group, old, new, context)


def _hunk(
    changes: Sequence[tuple[int, int, int, int]], old: Sequence[str], new: Sequence[str], context: int
) -> list[str]:
    lead = min(context, changes[0][0])
    start, end = changes[0][0] - lead, min(len(old), changes[-1][1] + context)
    other, other_end = changes[0][2] - lead, changes[-1][3] + end - changes[-1][1]
    lines = [f"@@ -{_range(start, end)} +{_range(other, other_end)} @@"]
    at = start
    for first, last, other_first, other_last in changes:
        lines += [f" {line}" for line in old[at:first]]
        lines += [f"-{line}" for line in old[first:last]]
        lines += [f"+{line}" for line in new[other_first:other_last]]
        at = last
    return lines + [f" {line}" for line in old[at:end]]


def _range(start: int, end: int) -> str:
    """Return a range as in a hunk header of git: ``12``, ``12,4``. An empty range gives the line before it."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


# Equal lines ----------------------------------------------------------------------------------------------------------


def _matches(old: Sequence[str], new: Sequence[str]) -> list[_Match]:
    """Return the matches in order. No two matches touch on both sides."""
    if max(len(old), len(new)) <= _SHORT:
        blocks = SequenceMatcher(None, old, new).get_matching_blocks()
        return [(block.a, block.b, block.size) for block in blocks if block.size]
    numbers: dict[str, int] = {}
    a, b = ([numbers.setdefault(line, len(numbers)) for line in side] for side in (old, new))
    return _join(sorted(_LongTexts(a, b).pairs()))


def _join(pairs: Sequence[tuple[int, int]]) -> list[_Match]:
    """Join pairs of equal lines to matches."""
    starts = [0] + [
        at for at, (last, following) in enumerate(pairwise(pairs), 1) if following != (last[0] + 1, last[1] + 1)
    ]
    return [(*pairs[start], end - start) for start, end in pairwise([*starts, len(pairs)]) if end > start]


class _LongTexts:
    """Finds equal lines in two long texts. Each line is a number, equal for equal lines."""

    def __init__(self, a: Sequence[int], b: Sequence[int]) -> None:
        self._a = a
        self._b = b
        self._steps = _STEPS

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the positions of equal lines in both texts, in no particular order."""
        ranges = [(0, len(self._a), 0, len(self._b), 0)]
        while ranges:
            a_from, a_to, b_from, b_to, depth = ranges.pop()
            while a_from < a_to and b_from < b_to and self._a[a_from] == self._b[b_from]:
                yield a_from, b_from
                a_from, b_from = a_from + 1, b_from + 1
            while a_from < a_to and b_from < b_to and self._a[a_to - 1] == self._b[b_to - 1]:
                a_to, b_to = a_to - 1, b_to - 1
                yield a_to, b_to
            if a_from == a_to or b_from == b_to:
                continue
            cuts = self._cuts(a_from, a_to, b_from, b_to) if depth < _MAX_DEPTH else []
            if not cuts:
                yield from self._shortest_edit(a_from, a_to, b_from, b_to)
                continue
            yield from cuts
            ends = [(a_from - 1, b_from - 1), *cuts, (a_to, b_to)]
            ranges += [(start[0] + 1, end[0], start[1] + 1, end[1], depth + 1) for start, end in pairwise(ends)]

    def _cuts(self, a_from: int, a_to: int, b_from: int, b_to: int) -> list[tuple[int, int]]:
        """Return the longest series of lines that occur once on both sides, in the same order on both."""
        a_counts, b_counts = Counter(self._a[a_from:a_to]), Counter(self._b[b_from:b_to])
        positions_in_b = {
            line: position
            for position, line in enumerate(self._b[b_from:b_to], b_from)
            if a_counts[line] == b_counts[line] == 1
        }
        common = [
            (position, positions_in_b[line])
            for position, line in enumerate(self._a[a_from:a_to], a_from)
            if line in positions_in_b
        ]
        # The longest increasing subsequence of the positions in b, by patience sorting.
        ends: list[int] = []  # by length of a series: the smallest position in b at which it ends
        last: list[int] = []  # the indexes in ``common`` of these ends
        previous: list[int] = []  # for each entry of ``common``, the index of the entry before it in its series
        for index, (_, position) in enumerate(common):
            length = bisect_left(ends, position)
            previous.append(last[length - 1] if length else -1)
            ends[length : length + 1] = [position]
            last[length : length + 1] = [index]
        series, index = [], last[-1] if last else -1
        while index >= 0:
            series.append(common[index])
            index = previous[index]
        return series[::-1]

    def _shortest_edit(self, a_from: int, a_to: int, b_from: int, b_to: int) -> list[tuple[int, int]]:
        """Return the lines that the shortest edit keeps (Myers), none if the budget is spent."""
        a, b = self._a[a_from:a_to], self._b[b_from:b_to]
        ends: dict[int, tuple[int, _Path]] = {1: (0, None)}  # diagonal -> how far a path got in a, and the path
        for edits in range(len(a) + len(b) + 1):
            self._steps -= edits + 1
            if self._steps < 0:
                return []
            for diagonal in range(-edits, edits + 1, 2):
                if diagonal == -edits or (diagonal != edits and ends[diagonal - 1][0] < ends[diagonal + 1][0]):
                    x, path = ends[diagonal + 1]
                else:
                    x, path = ends[diagonal - 1]
                    x += 1
                start = x
                while x < len(a) and x - diagonal < len(b) and a[x] == b[x - diagonal]:
                    x += 1
                if x > start:
                    self._steps -= x - start
                    path = (path, a_from + start, b_from + start - diagonal, x - start)
                ends[diagonal] = x, path
                if x >= len(a) and x - diagonal >= len(b):
                    return list(_lines_of(path))
        return []


def _lines_of(path: _Path) -> Iterator[tuple[int, int]]:
    """Yield the positions of the lines that a path keeps, from its end."""
    while path is not None:
        path, first, second, length = path
        yield from ((first + at, second + at) for at in range(length))
