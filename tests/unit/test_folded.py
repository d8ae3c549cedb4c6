"""Messages on a terminal: lines break at spaces, and a command that a user may copy has no line break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.render import folded

_HINT = (
    "The archive records another cluster. Name the archive of this cluster with --snapshot, or run "
    "`gitsnap capture --snapshot hourly --adopt` if the cluster was rebuilt."
)


def test_a_hint_is_folded() -> None:
    """The command stays on one line. Further lines are indented, as the further lines of a message are."""
    assert folded(_HINT, 60).split("\n") == [
        "The archive records another cluster. Name the archive of",
        "  this cluster with --snapshot, or run",
        "  `gitsnap capture --snapshot hourly --adopt` if the cluster",
        "  was rebuilt.",
    ]


def test_no_terminal_no_folding() -> None:
    """Scripts read whole lines."""
    assert folded(_HINT, 0) == _HINT


@pytest.mark.parametrize(
    ("label", "command"),
    [
        ("to go on:", "gitsnap rollback --snapshot hourly --storage /var/lib/gitsnap"),
        ("  to go back:", "gitsnap undo --of hourly/2023-08-26T05-00-00Z --snapshot hourly"),
    ],
)
def test_a_command_after_a_colon_is_not_folded(label: str, command: str) -> None:
    """A user copies the command: a line break would run half of it."""
    assert folded(f"{label}   {command}", 40) == f"{label}\n  {command}"


def test_a_name_longer_than_a_line() -> None:
    """A path stays whole, so that a user can copy it."""
    path = "/".join(["", *["folder"] * 10])
    assert folded(f"warning: {path} is read-only", 30).split("\n") == ["warning:", f"  {path}", "  is read-only"]


_WORDS = st.text("ab`:-é中", min_size=1, max_size=12) | st.just("gitsnap")


@given(st.lists(_WORDS, min_size=1, max_size=20), st.integers(1, 40), st.sampled_from(["", "  ", "    "]))
def test_only_spaces_become_line_breaks(words: list[str], columns: int, indent: str) -> None:
    """No character is lost, and each line break replaces a space."""
    line = indent + " ".join(words)

    lines = folded(line, columns).split("\n")

    assert " ".join([lines[0], *(further.strip() for further in lines[1:])]) == line
    assert all(further.startswith(indent or "  ") for further in lines[1:])


@pytest.mark.parametrize("part", ["a: gitsnap ", "` ", "a `", ":  ", "中 ", " "])
def test_a_long_message_takes_no_quadratic_time(part: str) -> None:
    """A server may send any text. With quadratic time, this test would take minutes."""
    assert folded(f"warning:{part * 40_000}end{' ' * 40_000}", 80).split() == f"warning:{part * 40_000}end".split()
