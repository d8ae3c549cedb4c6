"""Tables in the look of the Sveltos CLI; long cells wrap, nothing is cut off.

This module must not know what a column means.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from gitsnap.render.text import visible, width, wrap

_NARROW = 8
"""Columns give way down to this, unless a word of their header is longer …"""
_NARROWEST = 4
"""… and down to this where the table would not fit otherwise."""


def render_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, columns: int = 0) -> str:
    """A table with a trailing newline. ``columns`` is the width of the terminal, 0 for as wide as it takes."""
    cells = [[visible(cell).replace("\n", " ") for cell in row] for row in rows]
    natural = [max([width(name), *(width(row[position]) for row in cells)]) for position, name in enumerate(header)]
    widths = natural
    if columns:
        words = [max(map(width, name.split())) for name in header]
        widths = _fitted(widths, [max(_NARROW, word) for word in words], columns)
        widths = _fitted(widths, [max(_NARROWEST, word) for word in words], columns)
        widths = _fitted(widths, [_NARROWEST] * len(widths), columns)
    rule = "+" + "+".join("-" * (size + 2) for size in widths) + "+"
    lines = [rule, *_row([name.upper() for name in header], widths), rule]
    for row in cells:
        lines += _row(row, widths)
    lines.append(rule)
    return "\n".join(lines) + "\n"


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


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    wrapped = [[cell] if width(cell) <= size else wrap(cell, size) for cell, size in zip(cells, widths, strict=True)]
    return [_line(parts, widths) for parts in zip_longest(*wrapped, fillvalue="")]


def _line(parts: Sequence[str], widths: Sequence[int]) -> str:
    padded = [part + " " * (size - width(part)) for part, size in zip(parts, widths, strict=True)]
    return f"| {' | '.join(padded)} |"
