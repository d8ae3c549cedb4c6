"""Tables in the look of the Sveltos CLI; long cells wrap, nothing is cut off.

This module must not know what a column means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from operator import gt
from types import MappingProxyType

from gitsnap.render.text import visible, width, wrap

_NARROW = 8
"""Columns give way down to this, unless a word of their header is longer …"""
_NARROWEST = 4
"""… and down to this where the table would not fit otherwise."""
_NOTHING: Mapping[str, int] = MappingProxyType({})


def render_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    columns: int = 0,
    least: Mapping[str, int] = _NOTHING,
) -> str:
    """A table with a trailing newline. ``columns`` is the width of the terminal, 0 for as wide as it takes.

    ``least``: by header, down to what width a column gives way; narrower only where the table would not fit otherwise.
    """
    cells = [[cell if cell.isprintable() else visible(cell).replace("\n", " ") for cell in row] for row in rows]
    sizes = [[width(cell) for cell in row] for row in cells]
    natural = [max([width(name), *(row[position] for row in sizes)]) for position, name in enumerate(header)]
    widths = natural
    if columns:
        floor = [max(_NARROWEST, least.get(name, 0)) for name in header]
        words = [_longest(name) for name in header]
        inner = [max([_NARROWEST, *(_longest(row[position]) for row in cells)]) for position in range(len(header))]
        for wanted in ([max(_NARROW, word) for word in words], words, inner, floor):
            widths = _fitted(widths, [max(pair) for pair in zip(wanted, floor, strict=True)], columns)
        widths = _fitted(widths, [_NARROWEST] * len(widths), columns)
    rule = "+" + "+".join("-" * (size + 2) for size in widths) + "+"
    names = [name.upper() for name in header]
    lines = [rule, *_row(names, list(map(width, names)), widths), rule]
    for row, own in zip(cells, sizes, strict=True):
        lines += _row(row, own, widths)
    lines.append(rule)
    return "\n".join(lines) + "\n"


def _longest(text: str) -> int:
    """Width of the longest word."""
    return max(map(width, text.split()), default=0)


def _fitted(natural: list[int], least: list[int], columns: int) -> list[int]:
    """Column widths that fit, if they can: the widest column gives way first, as far as it may."""
    widths = list(natural)
    frame = 3 * len(widths) + 1
    while sum(widths) + frame > columns:
        shrinkable = [place for place, size in enumerate(widths) if size > least[place]]
        if not shrinkable:
            break
        widest = max(shrinkable, key=lambda place: (widths[place], -place))
        widths[widest] -= 1
    return widths


def _row(cells: Sequence[str], sizes: Sequence[int], widths: Sequence[int]) -> list[str]:
    """The lines of one row: one, unless a cell is wider than its column. ``sizes``: the widths of the cells."""
    if not any(map(gt, sizes, widths)):
        return [_line(cells, sizes, widths)]
    wrapped = [
        [cell] if own <= size else wrap(cell, size) for cell, own, size in zip(cells, sizes, widths, strict=True)
    ]
    return [_line(parts, list(map(width, parts)), widths) for parts in zip_longest(*wrapped, fillvalue="")]


def _line(parts: Sequence[str], sizes: Sequence[int], widths: Sequence[int]) -> str:
    padded = [part + " " * (size - own) for part, own, size in zip(parts, sizes, widths, strict=True)]
    return f"| {' | '.join(padded)} |"
