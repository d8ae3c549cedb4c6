"""What chain, pin, signature and remote find of what a forger did: each cell of the table in docs/SECURITY.md."""

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
    """What was done -> the words of the four cells."""
    lines = _DOCUMENT.read_text().splitlines()
    start = lines.index("| who can write | and did | chain | pin | signature | remote |")
    rows: dict[str, tuple[str, ...]] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        _, deed, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[deed] = tuple(cells)
    return rows


@dataclass
class _Place:
    """An archive of three signed samples, its remote, an archive of the first two, and one with other content."""

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
        words = ("--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit", "--storage", storage)
        gitsnap(self.folder, "capture", *words, *more, code=0)

    def replace(self, storage: str) -> None:
        """Put the archive of another storage in place of this one; what was pushed is a matter of the volume too."""
        pushed = (self.archive / ".git" / "gitsnap-pushed").read_bytes()
        shutil.rmtree(self.archive)
        shutil.copytree(self.folder / storage / "hourly", self.archive, symlinks=True)
        (self.archive / ".git" / "gitsnap-pushed").write_bytes(pushed)

    def push_again(self, storage: str) -> None:
        """Put an archive's history in place of the remote's."""
        shutil.rmtree(self.folder / "r.git")
        bare_repository(self.folder / "r.git")
        gitsnap(self.folder, "push", "--to", self.remote, "--storage", storage, code=0)

    def found(self, means: str, *, at_remote: bool) -> bool:
        """Whether one means finds something wrong."""
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


def _change_an_older_one(place: _Place) -> None:
    tag = open_archive_at(place.archive).samples()[0].tag
    command = ["git", "-C", str(place.archive)]
    content = subprocess.run([*command, "cat-file", "tag", tag], capture_output=True, check=True).stdout
    changed = content.replace(b"\n\n", b"\n\nForged. ", 1)
    made = subprocess.run(
        [*command, "hash-object", "-t", "tag", "-w", "--stdin"], input=changed, capture_output=True, check=True
    )
    subprocess.run([*command, "update-ref", f"refs/tags/{tag}", made.stdout.decode().strip()], check=True)


def _replace_the_newest(place: _Place) -> None:
    place.capture(9, storage="before")
    place.replace("before")


def _make_anew(place: _Place, *more: str) -> None:
    (place.folder / "forged").mkdir()
    for tier in (7, 8, 9):
        place.capture(tier, *more, storage="forged")


def _make_all_anew(place: _Place) -> None:
    _make_anew(place)
    place.replace("forged")


def _put_another_at_the_remote(place: _Place) -> None:
    _make_anew(place)
    place.push_again("forged")


def _make_both_anew(place: _Place) -> None:
    _make_all_anew(place)
    place.push_again("forged")


def _make_both_anew_signed(place: _Place) -> None:
    _make_anew(place, "--signing-key", "key")
    place.replace("forged")
    place.push_again("forged")


_DEEDS: dict[str, Callable[[_Place], None]] = {
    "changed an older sample": _change_an_older_one,
    "put another sample in place of the newest": _replace_the_newest,
    "made the whole history anew": _make_all_anew,
    "removed the newest sample": lambda place: place.replace("before"),
    "added a sample at the end": lambda place: place.capture(9),
    "put another history there": _put_another_at_the_remote,
    "made the whole history anew in both": _make_both_anew,
    "made the whole history anew in both, signed": _make_both_anew_signed,
}


def test_the_table_is_about_these_deeds() -> None:
    """Each row has a test, and each test a row; a cell says one of two words."""
    table = _table()
    assert list(table) == list(_DEEDS)
    assert {cell for cells in table.values() for cell in cells} == {"found", "-"}
    assert {len(cells) for cells in table.values()} == {len(_MEANS)}


def test_of_an_archive_that_nobody_touched_nothing_is_found(place: _Place) -> None:
    """Else what is found of the others would prove nothing."""
    assert [means for means in _MEANS if place.found(means, at_remote=False)] == []
    assert [means for means in _MEANS if place.found(means, at_remote=True)] == []


@pytest.mark.parametrize("deed", list(_DEEDS))
def test_each_cell(place: _Place, deed: str) -> None:
    """What the table promises is found, and what it says that nobody finds is not found either."""
    _DEEDS[deed](place)

    found = {means: place.found(means, at_remote=deed == "put another history there") for means in _MEANS}

    assert found == {means: cell == "found" for means, cell in zip(_MEANS, _table()[deed], strict=True)}
