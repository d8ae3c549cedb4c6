"""Tables in the style of the Sveltos CLI. On a terminal, long cells wrap; nothing is cut off.

A table that is too wide is narrowed in steps that keep it readable: prose wraps between words, then names wrap after
their dashes and slashes, then the frame loses its blanks, then the columns in ``least`` break anywhere. A heading never
breaks: if the table still does not fit, each row becomes a paragraph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from operator import gt
from types import MappingProxyType

from gitsnap.core.escapes import one_line
from gitsnap.render.text import pieces, width, wrap

_PROSE = 20
"""Columns with cells of several words are not narrowed below this width to make room for names in other columns."""
_LONGEST_PIECE = 20
"""A longer part of a name, without a dash or slash, may break anywhere."""
_NOTHING: Mapping[str, int] = MappingProxyType({})


def render_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    columns: int = 0,
    least: Mapping[str, int] = _NOTHING,
) -> str:
    """A table with a trailing newline. ``columns`` is the width of the terminal; 0 disables wrapping.

    ``least`` is the minimum width of some columns, by header. If the table does not fit otherwise, the cells of these
    columns break anywhere.
    """
    cells = [[cell if cell.isprintable() else one_line(cell.replace("\n", " ")) for cell in row] for row in rows]
    sizes = [list(map(width, row)) for row in cells]
    natural = [max([width(name), *(row[index] for row in sizes)]) for index, name in enumerate(header)]
    if not columns:
        return _table(header, cells, sizes, natural, " ")
    by_column = list(zip(*cells, strict=True)) if cells else [()] * len(header)
    headings = [max(map(width, name.split())) for name in header]
    floors = [max(heading, least.get(name, 0)) for name, heading in zip(header, headings, strict=True)]
    whole, broken = (
        [max(measure(column), floor) for column, floor in zip(by_column, floors, strict=True)]
        for measure in (_whole, _longest_piece)
    )
    forced = [floor if name in least else size for name, floor, size in zip(header, floors, broken, strict=True)]
    for blank, limits in ((" ", (whole, broken)), ("", (whole, broken, forced))):
        widths = natural
        for limit in limits:
            widths = _fitted(widths, limit, columns - _frame(widths, blank))
        if sum(widths) + _frame(widths, blank) <= columns or not (cells or blank):
            return _table(header, cells, sizes, widths, blank)
    return _paragraphs(header, cells, columns)


def _whole(column: Sequence[str]) -> int:
    """The smallest width at which no word of a column breaks."""
    longest_word = max((width(word) for cell in column for word in cell.split()), default=0)
    longest_prose = max((width(cell) for cell in column if " " in cell), default=0)
    return max(longest_word, min(longest_prose, _PROSE))


def _longest_piece(column: Sequence[str]) -> int:
    """The smallest width at which the words of a column break only after dashes and slashes."""
    widths = (width(piece) for cell in column for word in cell.split() for piece in pieces(word))
    return min(max(widths, default=0), _LONGEST_PIECE)


def _frame(widths: Sequence[int], blank: str) -> int:
    return (1 + 2 * len(blank)) * len(widths) + 1


def _fitted(natural: list[int], least: list[int], space: int) -> list[int]:
    """Column widths whose sum is at most ``space`` if possible. The widest column that may shrink shrinks first."""
    widths = list(natural)
    while sum(widths) > space:
        shrinkable = [index for index, size in enumerate(widths) if size > least[index]]
        if not shrinkable:
            break
        widest = max(shrinkable, key=lambda index: (widths[index], -index))
        widths[widest] -= 1
    return widths


def _table(
    header: Sequence[str],
    cells: Sequence[Sequence[str]],
    sizes: Sequence[Sequence[int]],
    widths: Sequence[int],
    blank: str,
) -> str:
    """``sizes`` are the widths of the cells."""
    rule = "+" + "+".join("-" * (size + 2 * len(blank)) for size in widths) + "+"
    names = [name.upper() for name in header]
    lines = [rule, *_row(names, list(map(width, names)), widths, blank), rule]
    for row, own in zip(cells, sizes, strict=True):
        lines += _row(row, own, widths, blank)
    lines.append(rule)
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str], sizes: Sequence[int], widths: Sequence[int], blank: str) -> Iterator[str]:
    """The lines of one row: more than one if a cell is wider than its column."""
    if not any(map(gt, sizes, widths)):
        yield _line(cells, sizes, widths, blank)
        return
    wrapped = [
        [cell] if own <= size else wrap(cell, size) for cell, own, size in zip(cells, sizes, widths, strict=True)
    ]
    for parts in zip_longest(*wrapped, fillvalue=""):
        yield _line(parts, list(map(width, parts)), widths, blank)


def _line(parts: Sequence[str], sizes: Sequence[int], widths: Sequence[int], blank: str) -> str:
    padded = [part + " " * (size - own) for part, own, size in zip(parts, sizes, widths, strict=True)]
    return f"|{blank}{f'{blank}|{blank}'.join(padded)}{blank}|"


def _paragraphs(header: Sequence[str], cells: Sequence[Sequence[str]], columns: int) -> str:
    """A paragraph for each row, with a line for each cell that is not empty."""
    indent = max(map(width, header)) + 2
    size = max(columns - indent, _PROSE)
    texts = []
    for row in cells:
        lines = []
        for name, cell in zip(header, row, strict=True):
            first, *further = wrap(cell, size)
            if first:
                lines += [f"{name.upper():<{indent}}{first}", *(" " * indent + line for line in further)]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)
