"""Tables in the look of the Sveltos CLI; on a terminal long cells wrap, nothing is cut off.

Columns give way in the order in which a reader misses least: first prose wraps between words, then names behind their
dashes and slashes, then the frame loses its blanks. Only what the caller names is broken anywhere, a heading never:
where it would be, each row becomes a paragraph of its own.
This module must not know what a column means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from operator import gt
from types import MappingProxyType

from gitsnap.render.text import one_line, pieces, width, wrap

_PROSE = 20
"""Cells of several words are not made narrower than this for the sake of names in other columns."""
_LONGEST_PIECE = 20
"""A longer part of a name, without any dash or slash, is broken like the names themselves."""
_NOTHING: Mapping[str, int] = MappingProxyType({})


def render_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    columns: int = 0,
    least: Mapping[str, int] = _NOTHING,
) -> str:
    """A table with a trailing newline. ``columns`` is the width of the terminal, 0 for as wide as it takes.

    ``least``: by header, the width down to which a column gives way: where it could be narrower it is not, and where
    the table does not fit otherwise, its cells are broken anywhere to make it so.
    """
    cells = [[cell if cell.isprintable() else one_line(cell.replace("\n", " ")) for cell in row] for row in rows]
    sizes = [list(map(width, row)) for row in cells]
    natural = [max([width(name), *(row[place] for row in sizes)]) for place, name in enumerate(header)]
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
    """Down to what width no word of a column is broken."""
    longest_word = max((width(word) for cell in column for word in cell.split()), default=0)
    longest_prose = max((width(cell) for cell in column if " " in cell), default=0)
    return max(longest_word, min(longest_prose, _PROSE))


def _longest_piece(column: Sequence[str]) -> int:
    """Down to what width a column breaks only where a reader would break it."""
    found = (width(piece) for cell in column for word in cell.split() for piece in pieces(word))
    return min(max(found, default=0), _LONGEST_PIECE)


def _frame(widths: Sequence[int], blank: str) -> int:
    return (1 + 2 * len(blank)) * len(widths) + 1


def _fitted(natural: list[int], least: list[int], space: int) -> list[int]:
    """Column widths that fit, if they can: the widest column gives way first, as far as it may."""
    widths = list(natural)
    while sum(widths) > space:
        shrinkable = [place for place, size in enumerate(widths) if size > least[place]]
        if not shrinkable:
            break
        widest = max(shrinkable, key=lambda place: (widths[place], -place))
        widths[widest] -= 1
    return widths


def _table(
    header: Sequence[str],
    cells: Sequence[Sequence[str]],
    sizes: Sequence[Sequence[int]],
    widths: Sequence[int],
    blank: str,
) -> str:
    """``sizes``: the widths of the cells."""
    rule = "+" + "+".join("-" * (size + 2 * len(blank)) for size in widths) + "+"
    names = [name.upper() for name in header]
    lines = [rule, *_row(names, list(map(width, names)), widths, blank), rule]
    for row, own in zip(cells, sizes, strict=True):
        lines += _row(row, own, widths, blank)
    lines.append(rule)
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str], sizes: Sequence[int], widths: Sequence[int], blank: str) -> Iterator[str]:
    """The lines of one row: one, unless a cell is wider than its column."""
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
    """For each row a line for each cell that is not empty, with a blank line between rows."""
    indent = max(map(width, header)) + 2
    size = max(columns - indent, _PROSE)
    texts = []
    for row in cells:
        lines = []
        for name, cell in zip(header, row, strict=True):
            first, *further = wrap(cell, size)
            if first:
                lines += [f"{name.upper():<{indent}}{first}", *(" " * indent + one for one in further)]
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)
