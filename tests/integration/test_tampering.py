"""The manipulations that chain, pin, signature and remote detect: each cell of the table in docs/SECURITY.md."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitsnap.archive import open_archive_at
from tests.support.commands import gitsnap
from tests.support.remotes import bare_repository, generate_key

_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  tier: {}\n"
)
_DOCUMENT = Path(__file__).parents[2] / "docs" / "SECURITY.md"
_MEANS = ("chain", "pin", "signature", "remote")


def _table() -> dict[str, tuple[str, ...]]:
    """Manipulation -> the four cells of its row."""
    lines = _DOCUMENT.read_text().splitlines()
    start = lines.index("| who can write | and did | chain | pin | signature | remote |")
    rows: dict[str, tuple[str, ...]] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        _, manipulation, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[manipulation] = tuple(cells)
    return rows


@dataclass
class _Place:
    """An archive of three signed samples, its remote, and a copy of the archive after two samples."""

    folder: Path
    pin: str = ""

    @property
    def archive(self) -> Path:
        return self.folder / "hourly"

    @property
    def remote(self) -> str:
        return f"file://{self.folder / 'r.git'}"

    def capture(self, tier: int, *more: str, storage: str = ".") -> None:
        cluster = self.folder / "cluster"
        cluster.mkdir(exist_ok=True)
        (cluster / "a.yaml").write_text(_PROFILE.format(tier))
        words = (
            "--from-dir",
            "cluster",
            "--snapshot",
            "hourly",
            "--secrets-mode",
            "omit",
            "--storage",
            storage,
            "--create",
        )
        gitsnap(self.folder, "capture", "--create", *words, *more, code=0)

    def replace(self, storage: str) -> None:
        """Replace the archive by that of another storage, with the record of pushes of this volume."""
        pushed = (self.archive / ".git" / "gitsnap-pushed").read_bytes()
        shutil.rmtree(self.archive)
        shutil.copytree(self.folder / storage / "hourly", self.archive, symlinks=True)
        (self.archive / ".git" / "gitsnap-pushed").write_bytes(pushed)

    def push_again(self, storage: str) -> None:
        """Replace the history of the remote by that of an archive."""
        shutil.rmtree(self.folder / "r.git")
        bare_repository(self.folder / "r.git")
        gitsnap(self.folder, "push", "--to", self.remote, "--storage", storage, code=0)

    def detects(self, means: str, *, at_remote: bool) -> bool:
        """Whether a means of verification detects a manipulation."""
        words = {
            "chain": (),
            "pin": ("--pinned", self.pin),
            "signature": ("--allowed-signers", "signers"),
            "remote": ("--remote", self.remote),
        }[means]
        where = ("--archive", self.remote) if at_remote and means != "remote" else ("--snapshot", "hourly")
        cache = str(self.folder / f"cache-{means}")
        done = gitsnap(self.folder, "verify", *where, *words, XDG_CACHE_HOME=cache)
        assert done.returncode in (0, 5), done.stderr
        return done.returncode == 5


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """See _Place."""
    place = _Place(tmp_path)
    (tmp_path / "signers").write_text(f"team@example.org {generate_key(tmp_path / 'key')}")
    for tier in (1, 2):
        place.capture(tier, "--signing-key", "key")
    (tmp_path / "before").mkdir()
    shutil.copytree(place.archive, tmp_path / "before" / "hourly", symlinks=True)
    place.capture(3, "--signing-key", "key")
    bare_repository(tmp_path / "r.git")
    gitsnap(tmp_path, "push", "--to", place.remote, code=0)
    listed = json.loads(gitsnap(tmp_path, "verify", "-o", "json", code=0).stdout)
    place.pin = listed["archives"][0]["newest"]["id"]
    return place


def _change_an_older_sample(place: _Place) -> None:
    tag = open_archive_at(place.archive).samples()[0].tag
    command = ["git", "-C", str(place.archive)]
    content = subprocess.run([*command, "cat-file", "tag", tag], capture_output=True, check=True).stdout
    changed = content.replace(b"\n\n", b"\n\nForged. ", 1)
    made = subprocess.run(
        [*command, "hash-object", "-t", "tag", "-w", "--stdin"], input=changed, capture_output=True, check=True
    )
    subprocess.run([*command, "update-ref", f"refs/tags/{tag}", made.stdout.decode().strip()], check=True)


def _replace_the_newest_sample(place: _Place) -> None:
    place.capture(9, storage="before")
    place.replace("before")


def _create_forged_archive(place: _Place, *more: str) -> None:
    (place.folder / "forged").mkdir()
    for tier in (7, 8, 9):
        place.capture(tier, *more, storage="forged")


def _replace_archive(place: _Place) -> None:
    _create_forged_archive(place)
    place.replace("forged")


def _replace_remote(place: _Place) -> None:
    _create_forged_archive(place)
    place.push_again("forged")


def _replace_both(place: _Place) -> None:
    _replace_archive(place)
    place.push_again("forged")


def _replace_both_signed(place: _Place) -> None:
    _create_forged_archive(place, "--signing-key", "key")
    place.replace("forged")
    place.push_again("forged")


_MANIPULATIONS: dict[str, Callable[[_Place], None]] = {
    "changed an older sample": _change_an_older_sample,
    "put another sample in place of the newest": _replace_the_newest_sample,
    "made the whole history anew": _replace_archive,
    "removed the newest sample": lambda place: place.replace("before"),
    "added a sample at the end": lambda place: place.capture(9),
    "put another history there": _replace_remote,
    "made the whole history anew in both": _replace_both,
    "made the whole history anew in both, signed": _replace_both_signed,
}


def test_the_table_lists_the_manipulations() -> None:
    """Each row has a test, and each test has a row. A cell is `found` or `-`."""
    table = _table()
    assert list(table) == list(_MANIPULATIONS)
    assert {cell for cells in table.values() for cell in cells} == {"found", "-"}
    assert {len(cells) for cells in table.values()} == {len(_MEANS)}


def test_nothing_is_detected_in_an_intact_archive(place: _Place) -> None:
    """Without this check, the other tests would prove nothing."""
    assert [means for means in _MEANS if place.detects(means, at_remote=False)] == []
    assert [means for means in _MEANS if place.detects(means, at_remote=True)] == []


@pytest.mark.parametrize("manipulation", list(_MANIPULATIONS))
def test_each_cell(place: _Place, manipulation: str) -> None:
    """A manipulation is detected exactly by the means that the table lists."""
    _MANIPULATIONS[manipulation](place)

    found = {means: place.detects(means, at_remote=manipulation == "put another history there") for means in _MEANS}

    assert found == {means: cell == "found" for means, cell in zip(_MEANS, _table()[manipulation], strict=True)}
