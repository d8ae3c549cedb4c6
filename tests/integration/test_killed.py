"""Killed, or without disk space, at every call that changes a file: no sample is lost, and the next run cleans up.

By default the tests try some points; with GITSNAP_EVERY_POINT=1 (scripts/soak) they try all points.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitsnap.archive import GitArchive, list_archives, open_archive_at
from gitsnap.core.model import Area, Sample
from tests.support.write_points import Fault, Ran, WritePoints, write_points

pytestmark = pytest.mark.xdist_group("write points")

_EVERY = os.environ.get("GITSNAP_EVERY_POINT", "") == "1"
_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: {}\nspec:\n  tier: {}\n"
)
_SECRET = (
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  namespace: default\n"
    "type: addons.projectsveltos.io/cluster-profile\ndata:\n  k: {}\n"
)
_QUICK: dict[str, float] = {"settled": 0.0}
"""A lock file without a holder counts as a leftover at once, so that a run does not wait for it."""

_Content = Mapping[tuple[Area, str], bytes]


@dataclass(frozen=True)
class _Scenario:
    """A command and the state of the storage before it."""

    words: tuple[str, ...]
    settings: Mapping[str, float]
    step: int
    """Distance between two tested points, unless all points are tested."""
    samples: int = 2
    """Number of samples before the command."""
    changed: bool = False
    """Whether the cluster changed after the last of these samples."""


_CAPTURE = ("capture", "--create", "--from-dir", "cluster", "--storage", ".", "--snapshot", "hourly")
_PRUNE = ("prune", "--storage", ".", "--keep-last", "1", "--yes")
_SCENARIOS = {
    "first": _Scenario(_CAPTURE, {}, step=71, samples=0),
    "unchanged": _Scenario(_CAPTURE, {}, step=5),
    "changed": _Scenario(_CAPTURE, {}, step=29, changed=True),
    "changed, as a pack": _Scenario(_CAPTURE, {"most_loose": 3}, step=17, changed=True),
    "maintenance": _Scenario(_CAPTURE, {"loose_tags": 1}, step=47, samples=4, changed=True),
    "retention": _Scenario(_PRUNE, {}, step=7, samples=4),
}
_FAILING = {("first", "ENOSPC"), ("changed", "EROFS"), ("maintenance", "ENOSPC"), ("retention", "EACCES")}
"""The combinations that are tested by default. scripts/soak tests all of them."""


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WritePoints]:
    """The server that runs gitsnap."""
    with write_points(tmp_path_factory.mktemp("points") / "server") as server:
        if server is None:
            pytest.skip("a library cannot be preloaded here: no Linux, or no C compiler")
        yield server


def _fill(folder: Path, turn: int) -> None:
    """Write a cluster. Each turn modifies one object, adds one, removes one, and changes a value of a Secret."""
    (folder / "cluster").mkdir(exist_ok=True)
    for name, tier in (("steady", 0), ("modified", turn), (f"turn-{turn}", turn)):
        (folder / "cluster" / f"{name}.yaml").write_text(_PROFILE.format(name, tier))
    (folder / "cluster" / f"turn-{turn - 1}.yaml").unlink(missing_ok=True)
    (folder / "cluster" / "secret.yaml").write_text(_SECRET.format(["aGVsbG8=", "d29ybGQ="][turn % 2]))


def _run(points: WritePoints, scenario: _Scenario, *, fault: Fault = Fault.NONE, at: int = 0, error: int = 0) -> Ran:
    settings = {**_QUICK, **scenario.settings}
    return points.run(*scenario.words, fault=fault, at=at, error=error, settings=settings)


def _prepare(points: WritePoints, scenario: _Scenario) -> Path:
    """Return a folder with the state before the scenario's command, to copy for every run."""
    _clear(points)
    for turn in range(scenario.samples):
        _fill(points.below, turn)
        ran = points.run(*_CAPTURE, scheduled=True, settings=_QUICK)
        assert ran.code == 0, ran.said
    _fill(points.below, scenario.samples if scenario.changed or not scenario.samples else scenario.samples - 1)
    kept = points.place / "prepared"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(points.below, kept, symlinks=True)
    return kept


def _clear(points: WritePoints) -> None:
    shutil.rmtree(points.below, ignore_errors=True)
    points.below.mkdir()


def _restore(points: WritePoints, prepared: Path) -> None:
    shutil.rmtree(points.below)
    shutil.copytree(prepared, points.below, symlinks=True)


def _content(archive: GitArchive, sample: Sample) -> _Content:
    """Return the content of a sample except ciphertexts, which differ between runs."""
    tree = archive.tree(sample)
    areas = (Area.CONFIGURATION, Area.INVENTORY)
    return {(area, path): tree.read(blob) for area in areas for path, blob in tree.files(area).items()}


def _contents(folder: Path) -> dict[str, _Content]:
    """Return the content of each sample, by the id of its tag."""
    if not folder.exists():
        return {}
    archive = open_archive_at(folder)
    return {sample.tag_id: _content(archive, sample) for sample in archive.samples()}


def _leftovers(folder: Path) -> list[str]:
    """Return the temporary files that only an interrupted run leaves.

    Packs with temporary names are not included. This process has them open, so they are kept (test_leftovers.py).
    """
    patterns = (
        "*.lock",
        "*tmp_*",
        ".gitsnap-*",
        "gitsnap-file.tmp",
        "gitsnap-folders.tmp",
        ".making-*",
        "packed-refs.new",
    )
    leftovers = {file for pattern in patterns for file in folder.rglob(pattern)}
    return sorted(str(file.relative_to(folder)) for file in leftovers if file.name != "gitsnap.lock")


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _check_repaired(points: WritePoints, scenario: _Scenario, before: dict[str, _Content], expected: _Content) -> None:
    """After an interrupted run: recorded samples are intact, and the next capture succeeds and cleans up."""
    hourly = points.below / "hourly"
    assert len(list_archives(points.below)) == int(hourly.exists())
    now = _contents(hourly)
    lost = before.keys() - now.keys()
    if scenario.words is not _PRUNE:
        assert not lost
    assert all(now[tag] == before[tag] for tag in now if tag in before)

    again = points.run(*_CAPTURE, settings=_QUICK)

    assert again.code == 0, again.said
    assert "working tree" not in again.said
    archive = open_archive_at(hourly)
    newest = archive.samples()[-1]
    assert _content(archive, newest) == expected
    after = _contents(hourly)
    assert all(after[tag] == now[tag] for tag in now)
    assert archive.check() == []  # git fsck --full --strict among others
    assert _git(hourly, "status", "--porcelain") == ""
    assert _leftovers(points.below) == []


@pytest.mark.parametrize("name", _SCENARIOS)
def test_killed_at_any_point(points: WritePoints, name: str) -> None:
    """Recorded samples stay the same byte for byte, and one more capture repairs the rest without help."""
    scenario = _SCENARIOS[name]
    prepared = _prepare(points, scenario)
    before = _contents(points.below / "hourly")
    whole = _run(points, scenario)
    assert whole.code == 0, whole.said
    archive = open_archive_at(points.below / "hourly")
    expected = _content(archive, archive.samples()[-1])
    numbers = range(1, whole.points + 1, 1 if _EVERY else scenario.step)

    for number in numbers:
        _restore(points, prepared)
        ran = _run(points, scenario, fault=Fault.KILL, at=number)
        assert ran.code in (-9, 0), ran.said  # the calls may differ between runs
        try:
            _check_repaired(points, scenario, before, expected)
        except AssertionError as error:
            raise AssertionError(f"killed at {number} of {whole.points}") from error
    print(f"{name}: killed at {len(numbers)} of {whole.points} points")


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EACCES", "EROFS", "EIO"])
@pytest.mark.parametrize("name", _SCENARIOS)
def test_a_disk_that_fails_at_any_point(points: WritePoints, name: str, error: str) -> None:
    """The error names the cause (full, over quota, read-only, broken), and one more capture repairs the rest.

    A run may succeed if the failed file is not part of a sample: the working tree, a pack, the cache.
    """
    scenario = _SCENARIOS[name]
    if not _EVERY and (name, error) not in _FAILING:
        pytest.skip("tried by scripts/soak")
    prepared = _prepare(points, scenario)
    before = _contents(points.below / "hourly")
    whole = _run(points, scenario)
    archive = open_archive_at(points.below / "hourly")
    expected = _content(archive, archive.samples()[-1])
    numbers = range(1, whole.points + 1, 1 if _EVERY else scenario.step)

    for number in numbers:
        _restore(points, prepared)
        ran = _run(points, scenario, fault=Fault.FAIL, at=number, error=getattr(errno, error))
        try:
            assert ran.code in (0, 6), ran.said
            assert ran.code == 0 or "error: " in ran.said
            assert "Traceback" not in ran.said
            _check_repaired(points, scenario, before, expected)
        except AssertionError as problem:
            raise AssertionError(f"{error} at {number} of {whole.points}: {ran.said}") from problem
    print(f"{name}: {error} at {len(numbers)} of {whole.points} points")
