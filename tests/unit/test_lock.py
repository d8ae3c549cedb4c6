"""Lock files of the dependencies: versions with hashes, within the ranges of pyproject.toml, from no named index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("image.txt", "ci.txt")
_PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?P<marker> ;[^\\]+)?(?: \\)?")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked(lock: str) -> dict[str, str]:
    """Name -> version. Each line is a comment, a pinned version or a hash of the version above."""
    found: dict[str, str] = {}
    hashes: dict[str, int] = {}
    for line in (ROOT / "requirements" / lock).read_text().splitlines():
        if line.startswith("#"):
            continue
        if match := _PINNED.fullmatch(line):
            last = match["name"]
            found[last], hashes[last] = match["version"], 0
        else:
            assert _HASH.fullmatch(line), line
            hashes[last] += 1
    assert [name for name, count in hashes.items() if not count] == []
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))


def _fits(version: str, ranges: str) -> bool:
    checks = {">=": lambda a, b: a >= b, "<": lambda a, b: a < b}
    versions = ranges.partition(";")[0]  # without the marker of the platform
    for part in filter(None, versions.split(",")):
        match = re.fullmatch(r"(>=|<)([\d.]+)", part)
        assert match is not None, part
        if not checks[match[1]](_numbers(version), _numbers(match[2])):
            return False
    return True


def _required() -> dict[str, dict[str, str]]:
    """Lock file -> name -> ranges."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    optional = [*extras["audit"], *extras["report"]]
    runtime = [*project["project"]["dependencies"], *optional, *project["build-system"]["requires"]]
    tools = [text for text in extras["dev"] if not text.startswith("gitsnap[")]
    listed = {"image.txt": runtime, "ci.txt": [*runtime, *tools]}
    split = re.compile(r"([A-Za-z0-9._-]+)(.*)")
    found: dict[str, dict[str, str]] = {}
    for lock, texts in listed.items():
        matches = [match for text in texts if (match := split.fullmatch(text))]
        found[lock] = {_normalized(match[1]): match[2] for match in matches}
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked_within_its_range(lock: str) -> None:
    """Run scripts/lock after changing a range."""
    locked = _locked(lock)
    assert {
        name: ranges for name, ranges in _required()[lock].items() if not _fits(locked.get(name, "0"), ranges)
    } == {}
    assert _required()[lock].keys() <= locked.keys()


def test_the_tests_run_with_the_versions_of_the_image() -> None:
    """The tests run with each version that the image has."""
    image, tested = _locked("image.txt"), _locked("ci.txt")
    assert {name: version for name, version in image.items() if tested.get(name) != version} == {}


def test_no_file_names_a_registry() -> None:
    """The installing user configures the source of packages."""
    files = [ROOT / "Dockerfile", ROOT / "pyproject.toml", *(ROOT / "requirements").iterdir()]
    files += [file for file in (ROOT / "scripts").iterdir() if file.is_file()]
    wanted = re.compile(r"pypi\.org|pythonhosted|--(?:extra-)?index-url|--find-links|--trusted-host")
    assert [str(file) for file in files if wanted.search(file.read_text())] == []


def test_image_and_ci_install_by_hash() -> None:
    """With hashes, pip installs only packages of the lock file."""
    assert "--require-hashes -r requirements/image.txt" in (ROOT / "Dockerfile").read_text()
    environment = (ROOT / "scripts" / "environment").read_text()
    assert '--require-hashes -r "$lock"' in environment
    assert "lock=requirements/ci.txt" in environment
