"""Tables fit the terminal for any content, and all content is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.render import cut, render_table
from gitsnap.render.terminal_text import width, wrap

_HEADER = ["snapshot policy", "date", "changes", "objects", "complete", "commit", "trigger", "kept"]
_ROW = ["hourly", "2026-11-26:13:37:40-2", "+1 ~2", "5", "ConfigMap carried, 2 missing", "fbbc4ef63127", "manual", "x"]
_VISIBLE = st.characters(codec="utf-8", exclude_characters="|", exclude_categories=["C", "Z", "M"])
_CELLS = st.lists(st.text(_VISIBLE, min_size=1, max_size=40), max_size=4).map(" ".join)


def _columns(table: str, count: int) -> list[str]:
    """The text of each column, joined from its wrapped lines."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [line[1:-1].split("|") for line in lines]
    return ["".join(row[column].strip() for row in cells) for column in range(count)]


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_widest_table_fits_a_terminal(columns: int) -> None:
    """`list --wide` fits 80 columns. Date and commit are on one line, and headers wrap between words."""
    table = render_table(_HEADER, [_ROW], columns=columns, group="snapshot policy")

    assert max(map(width, table.splitlines())) <= columns
    words = {word.upper() for name in _HEADER for word in name.split()}
    assert words | {_ROW[0], _ROW[1], _ROW[5]} <= set(table.replace("|", " ").split())


def test_the_order_of_the_changes_to_a_wide_table() -> None:
    """Empty columns are left out first, then sentences wrap, then the frame loses its blanks. Names do not break."""
    header = ["name", "namespace", "type", "message"]
    row = ["redis-follower", "", "io/ClusterProfile", "see the raw diff of these lines"]

    def lines(columns: int, *more: list[str]) -> list[str]:
        return render_table(header, [row, *more], columns=columns).splitlines()

    assert lines(90)[3] == "| redis-follower |           | io/ClusterProfile | see the raw diff of these lines |"
    assert lines(80)[3] == "| redis-follower | io/ClusterProfile | see the raw diff of these lines |"
    assert lines(61)[3] == "| redis-follower | io/ClusterProfile | see the raw diff of  |"
    assert lines(60)[3] == "|redis-follower|io/ClusterProfile|see the raw diff of these|"
    assert [line[34:] for line in lines(42)[3:7]] == ["see the|", "raw    |", "diff of|", "these  |"]
    assert lines(41) == [
        "NAME       redis-follower",
        "TYPE       io/ClusterProfile",
        "MESSAGE    see the raw diff of these",
        "           lines",
    ]
    assert "|         |" in lines(72, ["a", "b", "c", "d"])[3]  # a column with a value stays


def test_the_values_of_one_column_become_headings() -> None:
    """The values become headings if the table does not fit otherwise and rows with the same value are adjacent."""
    header = ["cluster", "name", "action"]
    rows = [["default/capi--one", name, "modified"] for name in ("redis-follower", "redis-leader")]
    other = ["default/capi--two", "redis-follower", "modified"]

    table = render_table(header, [*rows, other], columns=30, group="cluster")

    assert table.splitlines() == [
        "CLUSTER  default/capi--one",
        "+----------------+----------+",
        "| NAME           | ACTION   |",
        "+----------------+----------+",
        "| redis-follower | modified |",
        "| redis-leader   | modified |",
        "+----------------+----------+",
        "",
        "CLUSTER  default/capi--two",
        "+----------------+----------+",
        "| NAME           | ACTION   |",
        "+----------------+----------+",
        "| redis-follower | modified |",
        "+----------------+----------+",
    ]
    assert render_table(header, [*rows, other], group="cluster").count("default/capi--one") == 2
    assert render_table(header, [rows[0], other, rows[1]], columns=30, group="cluster").startswith("CLUSTER  default/")
    assert render_table(header, [rows[0], other, rows[1]], columns=30, group="cluster").count("ACTION   modified") == 3


def test_rows_become_paragraphs_if_no_table_fits() -> None:
    """A paragraph has no empty values. A value that does not fit beside its heading is on the next line."""
    rows = [_ROW, [*_ROW[:-1], ""]]

    first, second = (text.splitlines() for text in render_table(_HEADER, rows, columns=50).split("\n\n"))

    assert first == [f"{name.upper():<17}{cell}" for name, cell in zip(_HEADER, _ROW, strict=True)]
    assert second == first[:-1]
    long = "default/capi--clusterapi-workload"
    assert render_table(["cluster", "name"], [[long, "a"]], columns=36).splitlines() == [
        "CLUSTER",
        f"  {long}",
        "NAME     a",
    ]
    assert f"\n  {long * 2}\n" in render_table(["cluster", "name"], [[long * 2, "a"]], columns=36)


def test_a_table_without_rows_has_its_headings() -> None:
    """A table without rows has its headings even on a narrow terminal."""
    assert _columns(render_table(_HEADER, [], columns=40), len(_HEADER))[1] == "DATE"


def test_without_a_terminal_every_row_is_a_line() -> None:
    """In a file or a pipe, rows are not wrapped, so that grep works."""
    table = render_table(_HEADER, [_ROW])

    assert len(table.splitlines()) == 5
    assert "ConfigMap carried, 2 missing" in table


@given(rows=st.lists(st.tuples(_CELLS, _CELLS, _CELLS), max_size=4), columns=st.integers(20, 120))
def test_no_word_breaks(rows: list[tuple[str, str, str]], columns: int) -> None:
    """Each word of each cell is in the output, unbroken. A line is too long only for a word that is too long."""
    table = render_table(["a", "b", "c"], rows, columns=columns, group="a")

    lines = table.splitlines()
    words = [word for row in rows for cell in row for word in cell.split()]
    shown = table.replace("|", " ").split()
    assert all(word in shown for word in words)
    assert all(width(line) <= columns or set(line.split()) & set(words) == set(line.split()) for line in lines)


def test_words_break_only_where_a_text_has_no_columns() -> None:
    """Names break after a slash, a dash, a colon or a dot. Prose breaks between words, and not within an option."""
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


@pytest.mark.parametrize("text", ["short", "a" * 50, "漢字" * 30, "a" + "漢" * 30, "e" + "\u0301" * 200, ""])
@pytest.mark.parametrize("size", [3, 7, 40])
def test_a_value_is_cut_by_columns(text: str, size: int) -> None:
    """A wide character takes two columns, and a character without width is no reason for an endless cell."""
    shown = cut(text, size)
    assert width(shown) <= size
    assert len(shown) <= 2 * size
    assert text.startswith(shown.removesuffix("…"))
    assert shown == text or shown.endswith("…")
