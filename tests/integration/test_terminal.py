"""Output to a terminal and to a pipe: width, colour, progress."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from gitsnap.cli import terminal as output
from gitsnap.cli.app import ALIASES, COMMANDS, GROUPS, Command
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


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
@pytest.mark.parametrize("words", ["diff", "list --wide", "log", "show", "prune --dry-run --keep-last 1"])
def test_tables_fit_the_terminal(place: Path, words: str, columns: int) -> None:
    """No line is longer than the terminal is wide, except for one name that is. No name, date or commit is broken."""
    shown = on_terminal(place, *words.split(), columns=columns)

    assert all(len(line) <= columns or line.strip() == _NAME for line in shown.splitlines())
    samples = json.loads(gitsnap(place, "list", "-o", "json", code=0).stdout)["samples"]
    whole = set(shown.replace("|", " ").split())
    assert words in ("diff", "show") or {sample["date"] for sample in samples} & whole
    assert words != "list --wide" or {sample["commit"][:12] for sample in samples} <= whole
    assert words.startswith(("list", "prune")) or _NAME in whole


def test_errors_and_hints_fit_the_terminal(place: Path) -> None:
    """The error and its hint are folded on a terminal, except for commands, and not in a file."""
    words = ("show", "ConfigMap/default/absent")
    shown = on_terminal(place, *words, columns=50, code=None)
    written = gitsnap(place, *words).stderr

    assert [line for line in shown.splitlines() if len(line) > 50 and _NAME not in line] == []
    assert shown.split() == written.split()
    assert len(written.splitlines()) < len(shown.splitlines())


@pytest.mark.parametrize(
    ("words", "commands"),
    [("", COMMANDS), ("secrets", GROUPS["secrets"][1]), ("snapshot", {name: COMMANDS[name] for name in ALIASES})],
)
def test_no_summary_is_cut(tmp_path: Path, words: str, commands: Mapping[str, Command]) -> None:
    """At 80 columns the whole summary of each command is beside its name."""
    shown = " ".join(on_terminal(tmp_path, *words.split(), "--help", columns=80).split())

    assert all(f" {name} {command.summary}" in shown for name, command in commands.items())


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
