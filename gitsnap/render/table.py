"""Tables in the style of the Sveltos CLI. On a terminal sentences wrap between words; names, dates and ids never break.

A table that is too wide is changed in steps, until it fits: columns without a value are left out, sentences wrap, the
frame loses its blanks, and the values of one column become headings above the rows that share them. If no table fits,
each row becomes a paragraph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, groupby, repeat, zip_longest
from operator import gt
from typing import NamedTuple

from gitsnap.core.escapes import one_line
from gitsnap.render.terminal_text import width, wrap

_PROSE = 20
"""Columns of sentences are not narrower than this, unless the table does not fit otherwise."""
_SPACE = 2
"""The number of blanks between a heading and its value, and before a value below its heading."""


class _Frame(NamedTuple):
    """The text before, between and after the cells of a line."""

    left: str
    gap: str
    right: str

    def size(self, count: int) -> int:
        """The columns that the frame of ``count`` cells takes."""
        return len(self.left) + len(self.gap) * (count - 1) + len(self.right)

    def rule(self, widths: Sequence[int]) -> str:
        """The line above and below the rows."""
        blanks = len(self.gap) - 1
        return "+" + "+".join("-" * (size + blanks) for size in widths) + "+"


_FULL, _TIGHT = _Frame("| ", " | ", " |"), _Frame("|", "|", "|")


class _Columns:
    """The cells of a table by rows, and the widths that its columns can have."""

    def __init__(self, header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        self.header = header
        self.cells = cells
        self.is_ascii = all("".join(row).isascii() for row in [header, *cells])
        """Whether each character takes one column."""
        size = len if self.is_ascii else width
        columns = zip(*cells, strict=True) if cells else repeat(())
        self.natural = [max([size(name), *map(size, column)]) for name, column in zip(header, columns, strict=False)]

    @cached_property
    def sizes(self) -> list[list[int]]:
        """The width of each cell."""
        return [list(map(width, row)) for row in self.cells]

    def least(self, narrowest_sentence: int) -> list[int]:
        """The smallest widths at which no word breaks, and no sentence is narrower than ``narrowest_sentence``."""
        return [max(word, min(sentence, narrowest_sentence)) for word, sentence in self._longest]

    @cached_property
    def _longest(self) -> list[tuple[int, int]]:
        """For each column the widths of its longest word and of its longest sentence."""
        return [
            (
                max(map(width, chain(name.split(), *(row[index].split() for row in self.cells)))),
                max(
                    (sizes[index] for row, sizes in zip(self.cells, self.sizes, strict=True) if " " in row[index]),
                    default=0,
                ),
            )
            for index, name in enumerate(self.header)
        ]

    def only(self, indices: Sequence[int]) -> _Columns:
        """The same table with some of its columns."""
        return _Columns(_pick(self.header, indices), [_pick(row, indices) for row in self.cells])


def render_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, columns: int = 0, group: str = "") -> str:
    """A table with a trailing newline. ``columns`` is the width of the terminal; 0 disables all changes to the table.

    ``group``: the column whose values may become headings. The rows must be sorted by it, or it has no effect.
    """
    cells = [[cell if cell.isprintable() else one_line(cell.replace("\n", " ")) for cell in row] for row in rows]
    whole = _Columns(header, cells)
    if not columns or sum(whole.natural) + _FULL.size(len(header)) <= columns:
        return _table(whole, whole.natural, _FULL)
    filled = whole.only([index for index in range(len(header)) if any(row[index] for row in cells)] if cells else [])
    keys = _group_keys(header, cells, group)
    may_group = bool(keys) and max(map(width, keys)) + len(group) + _SPACE <= columns
    for narrowest, frames in ((_PROSE, (_FULL, _TIGHT)), (0, (_TIGHT,))):
        for frame in frames:
            if widths := _fitted(filled, narrowest, columns - frame.size(len(filled.header))):
                return _table(filled, widths, frame)
        if may_group and (grouped := _grouped(filled, group, columns, narrowest)):
            return grouped
    return _paragraphs(header, cells, columns) if cells else _table(whole, whole.least(0), _TIGHT)


def _group_keys(header: Sequence[str], cells: Sequence[Sequence[str]], group: str) -> list[str]:
    """The values of the column ``group`` in order; none if rows with the same value are not next to each other."""
    if group not in header:
        return []
    values = [value for value, _ in groupby(cells, key=lambda row: row[header.index(group)])]
    return values if len(values) == len(set(values)) and all(values) else []


def _grouped(table: _Columns, group: str, columns: int, narrowest: int) -> str:
    """A table for each value of the column ``group``, below the value; ``""`` if the tables do not fit."""
    key = list(table.header).index(group)
    others = [index for index in range(len(table.header)) if index != key]
    rest = table.only(others)
    for frame in (_FULL, _TIGHT):
        if widths := _fitted(rest, narrowest, columns - frame.size(len(others))):
            return "\n".join(
                f"{group.upper()}{'':{_SPACE}}{value}\n"
                + _table(_Columns(rest.header, [_pick(row, others) for row in rows]), widths, frame)
                for value, rows in groupby(table.cells, key=lambda row: row[key])
            )
    return ""


def _pick(values: Sequence[str], indices: Sequence[int]) -> list[str]:
    return [values[index] for index in indices]


def _fitted(table: _Columns, narrowest: int, space: int) -> list[int]:
    """Column widths whose sum is at most ``space``; none if words would break. The widest column shrinks first."""
    widths, least = list(table.natural), table.least(narrowest)
    if not widths or sum(least) > space:
        return []
    while sum(widths) > space:
        shrinkable = [index for index, size in enumerate(widths) if size > least[index]]
        widths[max(shrinkable, key=lambda index: (widths[index], -index))] -= 1
    return widths


def _table(table: _Columns, widths: Sequence[int], frame: _Frame) -> str:
    rule = frame.rule(widths)
    names = [name.upper() for name in table.header]
    lines = [rule, *_row(names, list(map(width, names)), widths, frame), rule]
    if table.is_ascii and not any(map(gt, table.natural, widths)):
        template = f"{frame.left}{frame.gap.join(f'%-{size}s' for size in widths)}{frame.right}"
        lines += [template % tuple(row) for row in table.cells]
    else:
        for row, own in zip(table.cells, table.sizes, strict=True):
            lines += _row(row, own, widths, frame)
    lines.append(rule)
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str], sizes: Sequence[int], widths: Sequence[int], frame: _Frame) -> Iterator[str]:
    """The lines of one row: more than one if a cell is wider than its column."""
    if not any(map(gt, sizes, widths)):
        yield _line(cells, sizes, widths, frame)
        return
    wrapped = [
        [cell] if own <= size else wrap(cell, size) for cell, own, size in zip(cells, sizes, widths, strict=True)
    ]
    for parts in zip_longest(*wrapped, fillvalue=""):
        yield _line(parts, list(map(width, parts)), widths, frame)


def _line(parts: Sequence[str], sizes: Sequence[int], widths: Sequence[int], frame: _Frame) -> str:
    padded = [part + " " * (size - own) for part, own, size in zip(parts, sizes, widths, strict=True)]
    return f"{frame.left}{frame.gap.join(padded)}{frame.right}"


def _paragraphs(header: Sequence[str], cells: Sequence[Sequence[str]], columns: int) -> str:
    """A paragraph for each row, with the heading and the value of each cell that is not empty.

    A value with a word that does not fit beside the headings is on its own line. A word that is longer than the line
    is not broken: the terminal wraps it, and a copy has no line break.
    """
    column = max(map(width, header)) + _SPACE
    texts = []
    for row in cells:
        lines = []
        for name, cell in zip(header, row, strict=True):
            if not cell:
                continue
            longest = max(map(width, cell.split()))
            beside = longest <= columns - column
            indent = " " * (column if beside else _SPACE)
            first, *further = wrap(cell, max(columns - len(indent), longest))
            lines += [f"{name.upper():<{column}}{first}"] if beside else [name.upper(), indent + first]
            lines += [indent + line for line in further]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)
