"""Tables fit the terminal for any content, and all content is shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.cli.commands.list import MIN_WIDTHS
from gitsnap.render import render_table
from gitsnap.render.text import width, wrap

_HEADER = ["snapshot policy", "date", "changes", "objects", "complete", "commit", "trigger", "kept"]
_ROW = ["hourly", "2026-11-26:13:37:40-2", "+1 ~2", "5", "ConfigMap carried, 2 missing", "fbbc4ef63127", "manual", "x"]
_VISIBLE = st.characters(codec="utf-8", exclude_characters="|", exclude_categories=["C", "Z", "M"])
_CELLS = st.text(_VISIBLE, max_size=90)


def _columns(table: str, count: int) -> list[str]:
    """The text of each column, joined from its wrapped lines."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [line[1:-1].split("|") for line in lines]
    return ["".join(row[column].strip() for row in cells) for column in range(count)]


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_widest_table_fits_a_terminal(columns: int) -> None:
    """`list --wide` fits 80 columns with all its columns. The date is on one line, and headers wrap between words."""
    table = render_table(_HEADER, [_ROW], columns=columns, least=MIN_WIDTHS)

    assert max(map(width, table.splitlines())) <= columns
    expected = [f"{name.upper()}{cell}".replace(" ", "") for name, cell in zip(_HEADER, _ROW, strict=True)]
    assert [text.replace(" ", "") for text in _columns(table, len(_HEADER))] == expected
    words = {word.upper() for name in _HEADER for word in name.split()}
    assert words | {_ROW[1]} <= set(table.replace("|", " ").split())


def test_the_order_in_which_columns_shrink() -> None:
    """Prose wraps first, then names after punctuation. Then the frame loses blanks. At last rows become paragraphs."""
    header, row = (
        ["name", "type", "message"],
        ["redis-follower", "io/ClusterProfile", "see the raw diff of these lines"],
    )

    def first_line(columns: int) -> str:
        return render_table(header, [row], columns=columns).splitlines()[3]

    assert first_line(72) == "| redis-follower | io/ClusterProfile | see the raw diff of these lines |"
    assert first_line(65) == "| redis-follower | io/ClusterProfile | see the raw diff of      |"
    assert first_line(54) == "| redis-follower | io/             | see the raw     |"
    assert first_line(42) == "| redis-    | io/            | see the   |"
    assert first_line(38) == "|redis-    |io/           |see the   |"
    assert render_table(header, [row], columns=32).splitlines() == [
        "NAME     redis-follower",
        "TYPE     io/ClusterProfile",
        "MESSAGE  see the raw diff of",
        "         these lines",
    ]


def test_rows_become_paragraphs_if_no_table_fits() -> None:
    """A paragraph has unwrapped values and no empty values."""
    rows = [_ROW, [*_ROW[:-1], ""]]

    first, second = (
        text.splitlines() for text in render_table(_HEADER, rows, columns=60, least=MIN_WIDTHS).split("\n\n")
    )

    assert first == [f"{name.upper():<17}{cell}" for name, cell in zip(_HEADER, _ROW, strict=True)]
    assert second == first[:-1]


def test_a_table_without_rows_has_its_headings() -> None:
    """A table without rows has its headings even on a narrow terminal."""
    assert _columns(render_table(_HEADER, [], columns=40), len(_HEADER))[1] == "DATE"


def test_without_a_terminal_every_row_is_a_line() -> None:
    """In a file or a pipe, rows are not wrapped, so that grep works."""
    table = render_table(_HEADER, [_ROW])

    assert len(table.splitlines()) == 5
    assert "ConfigMap carried, 2 missing" in table


@given(rows=st.lists(st.tuples(_CELLS, _CELLS, _CELLS), max_size=4), columns=st.integers(30, 120))
def test_every_character_is_shown(rows: list[tuple[str, str, str]], columns: int) -> None:
    """The wrapped lines of each cell contain all its characters, and no line is too long."""
    table = render_table(["a", "b", "c"], rows, columns=columns)

    assert max(map(width, table.splitlines()), default=0) <= columns
    if table.startswith("+"):
        assert _columns(table, 3) == ["ABC"[column] + "".join(row[column] for row in rows) for column in range(3)]
        assert {width(line) for line in table.splitlines()} == {width(table.splitlines()[0])}
    else:
        paragraphs = ["".join(f"{'ABC'[column]}  {row[column]}" for column in range(3) if row[column]) for row in rows]
        assert table.replace("\n", "").replace("   ", "") == "".join(paragraphs)


def test_words_break_after_punctuation() -> None:
    """Names break after a slash, a dash, a colon or a dot. Prose breaks between words, and not within an option."""
    table = render_table(["name"], [["default/capi--clusterapi-workload"]], columns=20)

    assert re.findall(r"\| (\S+) ", table) == ["NAME", "default/capi--", "clusterapi-", "workload"]
    assert wrap("use --raw-diff option", 12) == ["use", "--raw-diff", "option"]
    assert wrap("use --raw-diff option", 7) == ["use", "--raw-", "diff", "option"]


def test_a_wide_character_after_a_blank() -> None:
    """A leading blank is dropped if the wide character would not fit after the blank."""
    assert wrap(" 漢", 2, names=False) == ["漢"]


@given(text=st.text(st.sampled_from("ab -/.é漢"), max_size=40), size=st.integers(2, 20), names=st.booleans())
def test_a_wrapped_text_loses_only_blanks(text: str, size: int, *, names: bool) -> None:
    """All lines fit and contain all characters in order. No line is empty unless the text is empty."""
    lines = wrap(text, size, names=names)

    assert all(width(line) <= size for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(lines) or lines == [""]
