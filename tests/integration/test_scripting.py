"""docs/SCRIPTING.md is true: it lists the exit codes of all errors and the keys of all JSON documents."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitsnap.cli import _run
from gitsnap.cli.app import COMMANDS, GROUPS
from gitsnap.core import errors
from gitsnap.core.consequences import EXIT_CODES, FailureReason, consequence_of, exit_code_of
from gitsnap.core.errors import GitsnapError, InternalError
from tests.support import old_snapshots
from tests.support.commands import gitsnap
from tests.support.remotes import bare_repository

_TEXT = (Path(__file__).resolve().parents[2] / "docs" / "SCRIPTING.md").read_text()


# Exit codes -----------------------------------------------------------------------------------------------------------


def _classes(base: type[GitsnapError] = GitsnapError) -> Iterator[type[GitsnapError]]:
    for error in base.__subclasses__():
        if error.__module__ == errors.__name__:
            yield error
            yield from _classes(error)


def test_every_exit_code_is_documented() -> None:
    """The table has the codes of all errors, those that commands end with otherwise, and no other."""
    documented = [int(code) for code in re.findall(r"^\| (\d+) \|", _TEXT, re.MULTILINE)]
    named = [value for name, value in vars(errors).items() if name.startswith("EXIT_")]
    signals = {128 + signal.SIGHUP, 128 + signal.SIGTERM}

    assert documented == sorted(set(documented))
    assert set(documented) == {0, *named, *signals, *(exit_code_of(error) for error in _classes())}


def test_the_tree_of_errors_names_every_class() -> None:
    """The tree at the top of errors.py shows every class below its base class."""
    tree = re.findall(r"^    ([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)
    assert sorted(name for _, name in tree) == sorted(error.__name__ for error in _classes())
    depths = {name: len(indent) // 4 for indent, name in tree}
    assert all(depths[error.__name__] == error.__mro__.index(GitsnapError) - 1 for error in _classes())


def test_an_error_without_a_row_follows_its_base_class() -> None:
    """Each class ends in a documented code, and a class that passes by itself is reported as such everywhere."""
    for error in _classes():
        row = consequence_of(error)
        assert row.exit_code in EXIT_CODES
        assert row.transient == (row.run.reason is FailureReason.RETRYING) == (row.push.reason is FailureReason.BEHIND)
    assert exit_code_of(errors.BusyError) == exit_code_of(errors.ClusterUnreachableError)


def test_a_defect_is_no_difference(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An unexpected exception ends with exit code 70, and its message, which may hold a secret, is not printed."""

    def defect() -> None:
        raise KeyError("hunter22")

    monkeypatch.setattr("gitsnap.cli.commands.list.list_", defect)

    assert _run(["list"]) == exit_code_of(InternalError) == 70
    stderr = capsys.readouterr().err
    assert "a defect of gitsnap: KeyError" in stderr
    assert "in defect" in stderr
    assert "hunter22" not in stderr.replace('KeyError("hunter22")', "")  # the line of the program is shown


# Shapes ---------------------------------------------------------------------------------------------------------------

Shape = Any
"""A dictionary of shapes, a list with one shape, or None for a value that is not checked."""


@dataclass
class _Reader:
    """A parser of shapes such as ``{kind: Diff, from: SAMPLE, clusters: [{cluster, name}]}``."""

    words: list[str]

    @classmethod
    def of(cls, text: str) -> _Reader:
        return cls(re.findall(r'[{}\[\],:]|"[^"]*"|[\w-]+', text))

    def shape(self) -> Shape:
        alternatives = [self._alternative()]
        while self.words and self.words[0] == "or":
            self.words.pop(0)
            alternatives.append(self._alternative())
        return next((shape for shape in alternatives if shape is not None), None)

    def _alternative(self) -> Shape:
        word = self.words.pop(0)
        if word == "{":
            return self._fields()
        if word == "[":
            inner = self.shape()
            assert self.words.pop(0) == "]"
            return [inner]
        if self.words[:1] == ["and"]:  # SAMPLE and kept
            self.words.pop(0)
            return {**_SAMPLE, self.words.pop(0): None}
        return {"SAMPLE": _SAMPLE, "OBJECT": {"kind": None, "namespace": None, "name": None}}.get(word)

    def _fields(self) -> Shape:
        fields: dict[str, Shape] = {}
        while True:
            name = self.words.pop(0)
            fields[name] = None
            if self.words[0] == ":":
                self.words.pop(0)
                fields[name] = self.shape()
            if self.words.pop(0) == "}":
                return fields


def _documented(pattern: str) -> Shape:
    match = re.search(pattern + r"`(\{.*?\})`", _TEXT, re.DOTALL)
    assert match is not None, pattern
    return _Reader.of(match[1]).shape()


_SAMPLE: dict[str, Shape] = {}
_SAMPLE.update(_documented(r"- SAMPLE: "))


def _check(value: Any, shape: Shape, place: str) -> None:
    """Assert that the value has the documented keys and no others."""
    if shape is None or value is None or isinstance(value, str):
        return
    if isinstance(shape, list):
        assert isinstance(value, list), place
        for item in value:
            _check(item, shape[0], f"{place}[]")
        return
    assert set(value) == set(shape), place
    for name, inner in shape.items():
        _check(value[name], inner, f"{place}.{name}")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo, with one more sample whose change is not rolled back."""
    folder = tmp_path_factory.mktemp("shapes")
    gitsnap(folder, "demo", "story", code=0)
    database = folder / "story" / "cluster" / "database.yaml"
    database.write_text(database.read_text().replace("port: 6379", "port: 6380"))
    profile = folder / "story" / "cluster" / "guestbook.yaml"
    profile.write_text(profile.read_text().replace("name: database", "name: not-there", 1))
    gitsnap(folder / "story", "capture", "--storage", "archive", "--from-dir", "cluster", "--snapshot", "hourly")
    bare_repository(folder / "story" / "remote.git")
    (folder / "story" / "imported").mkdir()
    old_snapshots.write(folder / "story" / "old", "daily", "2023-08-26:05:00:00")
    return folder / "story"


@pytest.mark.parametrize(
    ("words", "pattern", "more"),
    [
        ("capture --snapshot hourly --from-dir cluster", "- `capture`: ", ""),
        ("list", "- `list`: ", ""),
        ("show", "- `show`: ", ""),
        ("show references ClusterProfile/guestbook", "`show references`: ", ""),
        ("diff", "- `diff` and `drift`: ", ""),
        ("diff --from-sample latest~3 --raw-diff", "- `diff` and `drift`: ", "rawDiff: [{title, text}]"),
        ("drift --from-dir cluster", "- `diff` and `drift`: ", ""),
        ("addons --from-dir cluster", "- `addons`: ", ""),
        ("rollback --from-dir cluster --sample latest~1 --dry-run", "- `rollback` and `undo`: ", ""),
        ("prune --keep-last 1 --dry-run", "- `prune`: ", ""),
        ("forget latest~1 --dry-run --message x", "- `forget`: ", ""),
        ("keep latest~1", "- `keep`: ", ""),
        ("log", "- `log`: ", ""),
        ("log --cluster default/clusterapi-workload", r"with\s+`--cluster` ", ""),
        ("verify", "- `verify`: ", ""),
        ("push --to remote.git", "- `push`: ", ""),
        ("import --from old", "- `import`: ", ""),
    ],
    ids=lambda value: value.split("--from-dir")[0].strip() if isinstance(value, str) else None,
)
def test_json_has_the_documented_shape(
    story: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    pattern: str,
    more: str,
) -> None:
    """Exactly the keys of docs/SCRIPTING.md, at every level."""
    shape = _documented(pattern)
    shape.update(_Reader.of(f"{{{more}}}").shape() if more else {})
    # A copy: a sample that another command keeps or adds would change what relative names stand for.
    monkeypatch.chdir(shutil.copytree(story, tmp_path / "story", symlinks=True))

    code = _run([*words.split(), "--storage", "imported" if "import" in words else "archive", "-o", "json"])

    stdout, stderr = capsys.readouterr()
    assert code == 0, stderr
    printed = json.loads(stdout)
    assert f"{{kind: {printed['kind']}" in _TEXT
    _check(printed, shape, words)


# Help -----------------------------------------------------------------------------------------------------------------

_WORDS = [*COMMANDS, *(f"{group} {word}" for group, (_, words) in GROUPS.items() for word in words)]


@pytest.mark.parametrize("words", _WORDS)
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """The help of each command has an example."""
    assert _run([*words.split(), "--help"]) == 0

    assert re.search(rf"Examples?: gitsnap {words}\b", " ".join(capsys.readouterr().out.split()))


def test_the_kubectl_plugin_is_the_same_program(story: Path) -> None:
    """`kubectl gitsnap list` runs the program kubectl-gitsnap, which has the output of gitsnap."""
    plugin = Path(sysconfig.get_path("scripts")) / "kubectl-gitsnap"
    words = ["list", "--storage", "archive", "-o", "json"]

    done = subprocess.run([plugin, *words], cwd=story, capture_output=True, text=True, check=True)

    assert done.stdout == gitsnap(story, *words, code=0).stdout
