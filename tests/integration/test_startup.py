"""A command loads only what it needs: most of the time of a short command is that of loading libraries."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import gitsnap

_CONTENT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {a: b}\n"
_LIBRARIES = {"kubernetes", "pyrage", "croniter", "prometheus_client", "ruamel.yaml"}


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
    """Neither the Kubernetes client nor encryption, schedules, metrics, or a parser for YAML that people wrote."""
    loaded = _loaded(place, *words.split())

    assert "pygit2" in loaded
    assert not loaded & _LIBRARIES


def test_the_help_loads_no_adapter(place: Path) -> None:
    """The help is answered without git, a cluster, or a parser."""
    assert not _loaded(place, "--help") & {"kubernetes", "pygit2", "pyrage", "ruamel.yaml"}
