"""Tables of ASCII text are formatted by a template, with the same result as cell by cell."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from gitsnap.render import table
from gitsnap.render.table import render_table
from gitsnap.render.terminal_text import width

_CELL = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=12)
_WIDE = st.text(st.sampled_from("aé日%\u0301 "), max_size=6)


@given(st.lists(st.tuples(_CELL, _CELL, _CELL), max_size=6), st.sampled_from([0, 20, 40, 80]))
def test_a_table_of_ascii_text(rows: list[tuple[str, str, str]], columns: int) -> None:
    """At each width of the terminal, the lines are the same."""
    assert render_table(["name", "100%", "date"], rows, columns=columns) == _by_cells(rows, columns)


def _by_cells(rows: list[tuple[str, str, str]], columns: int) -> str:
    class Slow(table._Columns):
        """Columns whose cells are formatted one by one."""

        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            self.is_ascii = False

    with patch.object(table, "_Columns", Slow):
        return render_table(["name", "100%", "date"], rows, columns=columns)


@given(st.lists(st.tuples(_WIDE, _CELL), max_size=5))
def test_characters_of_other_widths(rows: list[tuple[str, str]]) -> None:
    """Each line takes the same number of columns."""
    lines = render_table(["a", "b"], rows).splitlines()

    assert len({width(line) for line in lines}) == 1
