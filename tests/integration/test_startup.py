"""A command imports only what it needs: a short command spends most of its time on imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import gitsnap

_CONTENT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {a: b}\n"
_LIBRARIES = {
    "kubernetes",
    "pyrage",
    "croniter",
    "prometheus_client",
    "pydantic",
    "rich",
    "ruamel.yaml",
    "isal",
    "msgspec",
}
_FOR_WRITERS = {"gitsnap.archive.writer", "gitsnap.archive.verify", "concurrent.futures", "logging", "tempfile"}
_OF_THE_HELP = {
    "gitsnap.cli",
    "gitsnap.cli.app",
    "gitsnap.cli.help",
    "gitsnap.cli.streams",
    "gitsnap.core",
    "gitsnap.core.consequences",
    "gitsnap.core.errors",
    "gitsnap.core.files",
}


def _loaded(folder: Path, *words: str) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-m", "gitsnap", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return set(re.findall(r"^import time: .*\| *(\S+)$", done.stderr, re.MULTILINE))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive of two samples."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "cluster").mkdir()
    for value in ("b", "c"):
        (folder / "cluster" / "all.yaml").write_text(_CONTENT.replace("{a: b}", f"{{a: {value}}}"))
        words = ("--from-dir", "cluster", "--secrets-mode", "omit", "--resources", "ConfigMap")
        gitsnap(folder, "capture", *words, code=0)
    return folder


@pytest.mark.parametrize("words", ["list", "diff", "log ConfigMap/default/a", "show ConfigMap/a"])
def test_questions_to_an_archive_load_no_cluster(place: Path, words: str) -> None:
    """Commands that read an archive import no Kubernetes client, encryption, schedules, metrics or parser of YAML.

    They import no module that writes or checks an archive either.
    """
    loaded = _loaded(place, *words.split())

    assert "pygit2" in loaded
    assert not loaded & (_LIBRARIES | _FOR_WRITERS)


@pytest.mark.parametrize("words", ["list", "show ConfigMap/a"])
def test_what_one_sample_holds_needs_no_comparison(place: Path, words: str) -> None:
    """Commands that show one sample import neither the comparison nor the ports."""
    loaded = _loaded(place, *words.split())

    assert not loaded & {"gitsnap.diff", "gitsnap.sveltos.tree_view", "gitsnap.core.ports"}


def test_a_change_log_loads_nothing_of_what_makes_rows(place: Path) -> None:
    """`gitsnap log` compares single objects and imports nothing that compares whole samples."""
    loaded = _loaded(place, "log", "ConfigMap/default/a")

    assert "gitsnap.diff.object_changes" in loaded
    assert not loaded & {"gitsnap.diff.comparison", "gitsnap.sveltos.tree_view", "gitsnap.sveltos.templates"}


@pytest.mark.parametrize("words", ["--help", "--version", "secrets --help"])
def test_the_help_loads_no_command(place: Path, words: str) -> None:
    """The help comes from a table and imports no command and no library of a command."""
    loaded = _loaded(place, *words.split())

    assert "gitsnap.cli.app" in loaded
    assert {module for module in loaded if module.startswith("gitsnap.")} <= _OF_THE_HELP
    assert not loaded & {*_LIBRARIES, "pygit2"}
