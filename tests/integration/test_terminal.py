"""What a person sees on a terminal, and what a pipe gets: width, colour, progress."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from gitsnap.cli import output
from tests.support.commands import gitsnap
from tests.support.terminal import on_terminal
from tests.support.trees import W, cluster, config_map, policy_ref, profile

_NAME = "a-config-map-with-a-name-that-is-far-longer-than-any-column-of-a-terminal-has-room-for"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of two samples between which a ConfigMap of a long name changed."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "cluster").mkdir()
    for value in ("b", "c"):
        objects = [cluster(W), profile("base", {"policyRefs": [policy_ref(_NAME)]}, W), config_map(_NAME, {"a": value})]
        for number, one in enumerate(objects):
            (folder / "cluster" / f"{number}.json").write_text(json.dumps(one))
        gitsnap(folder, "capture", "--from-dir", "cluster", "--secrets-mode", "omit", code=0)
    return folder


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("words", ["diff", "list --wide", "log", "show"])
def test_tables_fit_the_terminal(place: Path, words: str, columns: int) -> None:
    """No line is longer than the terminal is wide, and the long name is there whole."""
    shown = on_terminal(place, *words.split(), columns=columns)

    assert max(map(len, shown.splitlines())) <= columns
    rows = [line.split("|") for line in shown.splitlines() if line.startswith("|")]
    columns_of_text = ["".join(row[place].strip() for row in rows if len(row) > place) for place in range(9)]
    assert words == "list --wide" or any(_NAME in text for text in columns_of_text)


def test_a_pipe_gets_whole_lines(place: Path) -> None:
    """However wide the terminal around it is."""
    assert f"| {_NAME} |" in gitsnap(place, "diff", code=0).stdout


def test_colour_is_for_terminals(place: Path) -> None:
    """A raw diff is coloured on a terminal, unless NO_COLOR is set or the terminal knows none; never in a pipe."""
    words = ("diff", "--raw-diff")
    assert "\x1b[32m+  a: c" in on_terminal(place, *words, columns=80)
    assert "\x1b" not in on_terminal(place, *words, columns=80, NO_COLOR="1")
    assert "\x1b" not in on_terminal(place, *words, columns=80, TERM="dumb")
    assert "\x1b" not in gitsnap(place, *words, code=0).stdout


def test_progress_is_for_terminals_and_for_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing within the first second, nothing in a log; what was shown is taken away again."""
    moment = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    for terminal in (True, False):
        moment = 100.0
        monkeypatch.setattr(sys.stderr, "isatty", lambda shown=terminal: shown)
        line = output.ProgressLine()
        line("ConfigMap", 1)
        assert capsys.readouterr().err == ""
        moment = 101.5
        line("ConfigMap", 500)
        assert capsys.readouterr().err == ("\rreading: 500 objects, ConfigMap" if terminal else "")
        line.clear()
        assert capsys.readouterr().err.strip() == ""
