"""Tables fit the terminal, whatever is in them, and nothing of it gets lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.render import render_table
from gitsnap.render.text import width

_HEADER = ["snapshot policy", "date", "changes", "objects", "complete", "commit", "trigger", "kept"]
_ROW = ["hourly", "2026-11-26:13:37:40-2", "+1 ~2", "5", "ConfigMap carried, 2 missing", "fbbc4ef63127", "manual", "x"]
_VISIBLE = st.characters(codec="utf-8", exclude_characters="|", exclude_categories=["C", "Z", "M"])
_CELLS = st.text(_VISIBLE, max_size=90)


def _columns(table: str, count: int) -> list[str]:
    """The text of each column, without what wrapping puts in between."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [line[2:-2].split(" | ") for line in lines]
    return ["".join(row[place].strip() for row in cells) for place in range(count)]


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_widest_table_fits_a_terminal(columns: int) -> None:
    """All columns of `list --wide` are there at 80 columns; headers wrap between words."""
    table = render_table(_HEADER, [_ROW], columns=columns)

    assert max(map(width, table.splitlines())) <= columns
    expected = [f"{name.upper()}{cell}".replace(" ", "") for name, cell in zip(_HEADER, _ROW, strict=True)]
    assert [text.replace(" ", "") for text in _columns(table, len(_HEADER))] == expected


def test_without_a_terminal_every_row_is_a_line() -> None:
    """A file or a pipe gets whole lines, so that grep finds what it looks for."""
    table = render_table(_HEADER, [_ROW])

    assert len(table.splitlines()) == 5
    assert "ConfigMap carried, 2 missing" in table


@given(rows=st.lists(st.tuples(_CELLS, _CELLS, _CELLS), max_size=4), columns=st.integers(30, 120))
def test_every_character_is_shown(rows: list[tuple[str, str, str]], columns: int) -> None:
    """Cells without spaces come back whole from the lines that they were broken into, and no line is too long."""
    table = render_table(["a", "b", "c"], rows, columns=columns)

    assert _columns(table, 3) == ["ABC"[place] + "".join(row[place] for row in rows) for place in range(3)]
    assert {width(line) for line in table.splitlines()} == {width(table.splitlines()[0])}
    assert width(table.splitlines()[0]) <= columns


def test_a_word_breaks_where_a_reader_would_break_it() -> None:
    """Behind a slash, a dash, a colon or a dot rather than within a name."""
    table = render_table(["name"], [["default/capi--clusterapi-workload"]], columns=20)

    assert re.findall(r"\| (\S+) ", table) == ["NAME", "default/capi--", "clusterapi-", "workload"]
