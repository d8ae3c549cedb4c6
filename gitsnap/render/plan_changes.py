"""The lines that each step of a plan changes: the first lines by default, all lines on request.

Anybody may have written the lines of an object. Characters that act on a terminal are escaped, and a long line is cut
around the place where it changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gitsnap.core.escapes import one_line
from gitsnap.core.text import plural
from gitsnap.diff.raw_diff import TextPair
from gitsnap.diff.unified import LineDiff
from gitsnap.render.document_names import document_of_hunk
from gitsnap.render.terminal_text import paint_change, split_at, width
from gitsnap.rollback.plan import Plan, Step, changes_lines, step_texts

STEP_LINES = 10
"""How many lines of a step are shown by default."""
PLAN_LINES = 400
"""How many lines of a plan are shown by default, for all steps together."""

_INDENT, _NARROW_INDENT = 13, 5
"""The indentation of lines. Except on a narrow terminal, their text is below the text of the step."""
_NARROW = 70
_GAP = " ..."
"""The mark between two hunks, and in place of removed lines that are left out."""
_SMALLEST = 20
"""The smallest width of a line, in columns."""
_UNLIMITED = 200
"""The length of a line in a pipe, in columns, unless all lines are requested."""
_BEFORE_DIFFERENCE = 10
"""How many characters of a long line are shown before the place where it changes."""


@dataclass(frozen=True, slots=True)
class ChangeView:
    """How a plan shows the lines that change."""

    full: bool = False
    """Whether all lines are shown, as a unified diff."""
    decrypt: bool = False
    """Whether values of Secrets and of sensitive fields are shown."""
    colour: bool = False


class PlanChanges:
    """The lines of each step of a plan, within the limits of the view. Steps are asked for in order."""

    def __init__(self, plan: Plan, view: ChangeView, columns: int) -> None:
        """``columns`` is the width of the terminal; with 0, lines are not wrapped."""
        self._plan = plan
        self._view = view
        self._columns = columns
        self._indent = " " * (_NARROW_INDENT if 0 < columns < _NARROW else _INDENT)
        self._left = PLAN_LINES
        self._left_out = 0
        self.shown = any(map(changes_lines, plan.writes))
        """Whether the plan has lines."""

    def of(self, step: Step) -> list[str]:
        """The lines of a step, ready for a terminal; empty for a step without lines."""
        if not changes_lines(step):
            return []
        if self._view.full:
            return self._all_lines(step)
        if self._left < STEP_LINES:
            self._left_out += 1
            return []
        lines = self._short(step)
        self._left -= len(lines)
        return lines

    @property
    def note(self) -> str:
        """How many steps are shown without lines because the plan is long; ``""`` for none."""
        if not self._left_out:
            return ""
        return f"the lines of {plural(self._left_out, 'step')} are not shown: --full shows all lines"

    def _all_lines(self, step: Step) -> list[str]:
        texts = step_texts(step, self._plan, decrypt=self._view.decrypt)
        sides = _lines_of_sides(texts)
        hunks = LineDiff(texts.before, texts.after).hunks()
        lines = [line for hunk in hunks for line in (f"{hunk[0]} {document_of_hunk(hunk, *sides)}".rstrip(), *hunk[1:])]
        size = max(self._columns - len(self._indent), _SMALLEST)
        return [row for line in lines for row in self._rows(one_line(line), size)]

    def _rows(self, line: str, size: int) -> Iterator[str]:
        """A line on the rows of the terminal that it needs. Rows after the first are indented, and have no sign."""
        first, rest = split_at(line, size) if self._columns else (line, "")
        yield self._indent + self._paint(first, line)
        while rest:
            row, rest = split_at(rest, size - 2)
            yield f"{self._indent}  {self._paint(row, line)}"

    def _short(self, step: Step) -> list[str]:
        texts = step_texts(step, self._plan, decrypt=self._view.decrypt)
        if texts.before is None or texts.after is None:  # the title of the step names the object
            texts = step_texts(step, self._plan, decrypt=self._view.decrypt, identity=False)
        size = max(self._columns - len(self._indent), _SMALLEST) if self._columns else _UNLIMITED
        lines, left_out = _ShortForm(texts).lines()
        shown = [self._indent + self._paint(_fitted(line, differs, size), line) for line, differs in lines]
        return [*shown, f"{self._indent}… {plural(left_out, 'more line')}: --full"] if left_out else shown

    def _paint(self, row: str, line: str) -> str:
        """``row`` is a part of ``line``, whose sign decides the colour."""
        return paint_change(row, line[:1]) if self._view.colour else row


# The short form -------------------------------------------------------------------------------------------------------

_Line = tuple[str, int]
"""A line, and the position of its first difference from the line on the other side; 0 if there is no such line."""


class _ShortForm:
    """Chooses the lines of two texts to show.

    Changed lines get as much context as fits. If not all changed lines fit, both removed and added lines are shown.
    """

    def __init__(self, texts: TextPair) -> None:
        self._diff = LineDiff(texts.before, texts.after)
        self._sides = None if texts.before is None or texts.after is None else _lines_of_sides(texts)
        self._document = ""
        """The manifest that the last gap named."""

    def lines(self) -> tuple[list[_Line], int]:
        """At most STEP_LINES lines, and the number of changed lines that are left out."""
        for context in (3, 1, 0):
            hunks = self._diff.hunks(context)
            if sum(map(len, hunks)) - 1 <= STEP_LINES:
                lines = list(self._cut(hunks, 2 * STEP_LINES))
                if len(lines) <= STEP_LINES:
                    return lines, 0
        hunks = self._diff.hunks(1)
        cut = self._cut(hunks, STEP_LINES)
        while cut and not _is_change(cut[-1][0]):
            cut.pop()
        total = sum(_is_change(line) for hunk in hunks for line in hunk[1:])
        return cut, total - sum(_is_change(line) for line, _ in cut)

    def _cut(self, hunks: Sequence[Sequence[str]], most: int) -> list[_Line]:
        """The first lines. A block that does not fit shows its first removed and its first added lines."""
        lines: list[_Line] = []
        self._document = ""
        for hunk in hunks:
            lines += self._gap(hunk, is_first=not lines)
            for _, group in groupby(hunk[1:], _is_change):
                block, space = _with_differences(_beginning(list(group), most + 1)), max(0, most - len(lines))
                if len(block) >= space:
                    return lines + _shortened_block(block, space)
                lines += block
        return lines

    def _gap(self, hunk: Sequence[str], *, is_first: bool) -> list[_Line]:
        """A gap before a hunk. The gap names the manifest of the hunk, unless a line of the hunk does."""
        former, self._document = self._document, document_of_hunk(hunk, *self._sides) if self._sides else ""
        name = f"name: {re.split('[ /]', self._document)[-1]}"
        if self._document in ("", former) or any(line[1:].strip() == name for line in hunk[1:]):
            return [] if is_first else [(_GAP, 0)]
        return [(f"{_GAP} {one_line(self._document)}", 0)]


def _lines_of_sides(texts: TextPair) -> tuple[list[str], list[str]]:
    """The lines of both texts. A side without the object has one empty line."""
    return (texts.before or "").split("\n"), (texts.after or "").split("\n")


def _shortened_block(block: list[_Line], space: int) -> list[_Line]:
    """At most ``space`` lines of a block. A block with removed and added lines shows some of both, or no line."""
    removed = [line for line in block if line[0].startswith("-")]
    others = block[len(removed) :]
    if not removed or not others or len(block) <= space:
        return block[:space]
    if space < 3:
        return []
    kept = min(len(removed), max(2, space // 2, space - len(others)))
    gap = [(_GAP, 0)] if kept < len(removed) else []
    return [*removed[: kept - len(gap)], *gap, *others[: space - kept]]


def _beginning(block: list[str], most: int) -> list[str]:
    """The first removed lines and the first other lines of a block, as many as can be shown."""
    removed = next((number for number, line in enumerate(block) if not line.startswith("-")), len(block))
    return [*block[: min(removed, most)], *block[removed : removed + most]]


def _is_change(line: str) -> bool:
    return line[:1] in ("-", "+")


def _with_differences(block: list[str]) -> list[_Line]:
    """The lines of a block, escaped. Removed and added lines are paired by their order."""
    lines = [one_line(line) for line in block]
    removed = sum(line.startswith("-") for line in lines)
    partners = {number: removed + number for number in range(min(removed, len(lines) - removed))}
    partners |= {partner: number for number, partner in partners.items()}
    return [
        (line, _first_difference(line[1:], lines[partners[number]][1:]) + 1 if number in partners else 0)
        for number, line in enumerate(lines)
    ]


def _first_difference(text: str, other: str) -> int:
    shorter = min(len(text), len(other))
    if text[:shorter] == other[:shorter]:
        return shorter
    return next(position for position in range(shorter) if text[position] != other[position])


def _fitted(line: str, differs: int, size: int) -> str:
    """A line of at most ``size`` columns. A long line shows its beginning and the place from which it differs."""
    if len(line) <= 2 * size and width(line) <= size:
        return line
    if differs <= size * 2 // 3:
        return split_at(line, size - 1)[0] + "…"
    head = split_at(line, size // 3)[0]
    space = size - width(head) - 1
    start = differs - _BEFORE_DIFFERENCE
    if line.isascii():  # the row is filled where the end of the line is near
        start = min(start, len(line) - space)
    rest = line[start:]
    if len(rest) <= 2 * space and width(rest) <= space:
        return f"{head}…{rest}"
    return f"{head}…{split_at(rest, space - 1)[0]}…"
