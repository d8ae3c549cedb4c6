"""Output to a terminal and to a pipe: width, colour, progress."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitsnap.cli import terminal as output
from gitsnap.cli.commands.list import MIN_WIDTHS
from gitsnap.render import render_table
from tests.support.commands import gitsnap
from tests.support.terminal import on_terminal
from tests.support.trees import W, cluster, config_map, policy_ref, profile

_NAME = "a-config-map-with-a-name-that-is-far-longer-than-any-column-of-a-terminal-has-room-for"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of two samples; a ConfigMap with a long name changed between them."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "cluster").mkdir()
    for value in ("b", "c"):
        objects = [cluster(W), profile("base", {"policyRefs": [policy_ref(_NAME)]}, W), config_map(_NAME, {"a": value})]
        for number, document in enumerate(objects):
            (folder / "cluster" / f"{number}.json").write_text(json.dumps(document))
        gitsnap(folder, "capture", "--from-dir", "cluster", "--secrets-mode", "omit", code=0)
    return folder


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("words", ["diff", "list --wide", "log", "show"])
def test_tables_fit_the_terminal(place: Path, words: str, columns: int) -> None:
    """No line is longer than the terminal is wide, and the long name is complete."""
    shown = on_terminal(place, *words.split(), columns=columns)

    assert max(map(len, shown.splitlines())) <= columns
    rows = [line.split("|") for line in shown.splitlines() if line.startswith("|")]
    columns_of_text = ["".join(row[place].strip() for row in rows if len(row) > place) for place in range(9)]
    assert words == "list --wide" or any(_NAME in text for text in columns_of_text)


@pytest.mark.parametrize("words", ["", "secrets", "snapshot"])
def test_no_summary_is_cut(tmp_path: Path, words: str) -> None:
    """At 80 columns the summary of each command fits into one line."""
    shown = on_terminal(tmp_path, *words.split(), "--help", columns=80)

    commands = shown.partition("\nCommands:\n")[2].splitlines()
    assert len(commands) > 1
    assert all(re.fullmatch(r"  [a-z]+ +[A-Z].*\.", line) and not line.endswith("...") for line in commands)


@pytest.mark.parametrize(
    ("policy", "date", "lines"),
    [("hourly", "2026-11-26:13:37:40", 2), ("production-clusters", "2026-11-26:13:37:40-2", 5)],
)
def test_a_date_stays_on_one_line(policy: str, date: str, lines: int) -> None:
    """`list --wide` at 80 columns wraps other columns, and a row takes few lines."""
    header = ["snapshot policy", "date", "changes", "objects", "complete", "commit", "trigger", "kept"]
    row = [policy, date, "+1 ~12", "5000", "yes", "fbbc4ef63127", "schedule", ""]

    table = render_table(header, [row], columns=80, least=MIN_WIDTHS)

    assert max(map(len, table.splitlines())) <= 80
    assert f"|{date}|" in table
    assert len(table.split("+\n|")[-1].splitlines()) - 1 <= lines


def test_progress_of_git(place: Path) -> None:
    """git reports no progress: after a second a line shows what gitsnap waits for, and is removed at the end."""
    slow = place / "slow"
    slow.mkdir()
    (slow / "git").write_text(
        '#!/bin/sh\ncase "$*" in *ls-remote*|*fsck*|*--raw*) sleep 1.5;; esac\n'
        f'PATH={shlex.quote(os.environ["PATH"])} exec git "$@"\n'
    )
    (slow / "git").chmod(0o755)
    subprocess.run(["git", "init", "-q", "--bare", str(place / "remote.git")], check=True)
    path = f"{slow}:{os.environ['PATH']}"

    for words, text in (("push --to remote.git", "pushing"), ("verify", "verifying"), ("log", "reading the history")):
        shown = on_terminal(place, *words.split(), columns=80, PATH=path)
        assert re.search(rf"\r{text}[^\r]* \(\d+ s\) *\r", shown), shown
        assert text not in shown.splitlines()[-1].rpartition("\r")[2]


def test_a_pipe_gets_whole_lines(place: Path) -> None:
    """Lines are not wrapped in a pipe."""
    assert f"| {_NAME} |" in gitsnap(place, "diff", code=0).stdout


def test_colour_is_for_terminals(place: Path) -> None:
    """A raw diff has colours on a terminal, unless NO_COLOR is set or the terminal has no colours. A pipe gets none."""
    words = ("diff", "--raw-diff")
    assert "\x1b[32m+  a: c" in on_terminal(place, *words, columns=80)
    assert "\x1b" not in on_terminal(place, *words, columns=80, NO_COLOR="1")
    assert "\x1b" not in on_terminal(place, *words, columns=80, TERM="dumb")
    assert "\x1b" not in gitsnap(place, *words, code=0).stdout


def test_progress_is_for_terminals_and_for_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Progress appears after a second and only on a terminal, and the line is removed at the end."""
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
