"""Full disks, read-only disks and other users: errors are clear, and the archive loses nothing.

A file system can be mounted, and a user be given up, only by root: elsewhere these tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitsnap.archive import list_archives
from gitsnap.archive.reader import GitTree
from gitsnap.core.model import Area
from tests.support.commands import gitsnap

_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  tier: {}\n"
)
_CAPTURE = ("capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")
_NOBODY = 54321
"""An unknown user and group, as OpenShift assigns them to pods."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a cluster and an empty storage."""
    for folder in ("cluster", "storage"):
        (tmp_path / folder).mkdir()
    _fill(tmp_path, 0)
    return tmp_path


def _fill(place: Path, tier: int) -> None:
    (place / "cluster" / "a.yaml").write_text(_PROFILE.format(tier))


def _fill_up(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb") as filler:
        while True:
            os.write(filler.fileno(), bytes(4096))


def _touch_many(folder: Path) -> None:
    """Create files until the disk has no more inodes."""
    for number in range(1000):
        (folder / str(number)).touch()


@contextmanager
def _mounted(*words: str | Path) -> Iterator[None]:
    """A mount at the last argument. Skips the test if mounting is not possible."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting needs root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", words[-1]], check=True)


def _contents(place: Path) -> list[dict[str, bytes]]:
    """The contents of each sample, oldest first. Fails if the archive check finds a fault."""
    (archive,) = list_archives(place / "storage")
    trees: list[GitTree] = [archive.tree(sample) for sample in archive.samples()]
    assert not [finding for finding in archive.check() if finding.wrong]
    return [{path: tree.read(blob) for path, blob in tree.files(Area.CONFIGURATION).items()} for tree in trees]


def test_a_full_disk(place: Path) -> None:
    """On a full disk there is no new sample, and the exit code is 6. With free space, the next capture succeeds."""
    with _mounted("-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", place / "storage"):
        gitsnap(place, *_CAPTURE, code=0)
        before = _contents(place)
        _fill(place, 1)
        filler = place / "storage" / "filler"
        with pytest.raises(OSError, match="space"):
            _fill_up(filler)

        full = gitsnap(place, *_CAPTURE)
        during = _contents(place)
        listed = gitsnap(place, "list", "--storage", "storage", code=0)
        filler.unlink()
        gitsnap(place, *_CAPTURE, code=0)

        assert (full.returncode, "space" in full.stderr) == (6, True), full.stderr
        assert "Free space" in full.stderr
        assert during == before
        assert listed.stdout.count("hourly") == 1
        assert _contents(place)[:1] == before
        assert len(_contents(place)) == 2


def test_a_disk_without_inodes(place: Path) -> None:
    """A disk without inodes behaves like a full disk."""
    with _mounted("-t", "tmpfs", "-o", "nr_inodes=150,mode=755", "tmpfs", place / "storage"):
        gitsnap(place, *_CAPTURE, code=0)
        before = _contents(place)
        _fill(place, 1)
        fillers = place / "storage" / "fillers"
        fillers.mkdir()
        with pytest.raises(OSError, match="space"):
            _touch_many(fillers)

        full = gitsnap(place, *_CAPTURE)
        during = _contents(place)
        shutil.rmtree(fillers)
        gitsnap(place, *_CAPTURE, code=0)

        assert (full.returncode, "space" in full.stderr) == (6, True), full.stderr
        assert during == before
        assert _contents(place)[0] == before[0]


def test_a_read_only_volume(place: Path) -> None:
    """Reading works. A capture and a mark fail with a clear error."""
    gitsnap(place, *_CAPTURE, code=0)
    gitsnap(place, *_CAPTURE, code=0)
    storage = place / "storage"
    with _mounted("--bind", storage, storage):
        subprocess.run(["mount", "-o", "remount,ro,bind", storage], check=True)
        before = _contents(place)
        written = [
            gitsnap(place, *words, code=6)
            for words in (
                _CAPTURE,
                ("keep", "--storage", "storage", "latest"),
            )
        ]
        read = [
            gitsnap(place, *words, "--storage", "storage", code=0)
            for words in (("list",), ("show",), ("diff",), ("verify",))
        ]

        assert all("storage" in done.stderr and done.stdout == "" for done in written), written
        assert all(done.returncode == 0 for done in read)
        assert _contents(place) == before


_GIVING_UP_ROOT = """
import contextlib, io, os, sys
from gitsnap.cli import main
_, copy, user, *words = sys.argv
sys.argv = ["gitsnap", *words]
place = os.getcwd()
os.chdir(copy)
output = io.StringIO()
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
    main()
os.chdir(place)
os.setgroups([])
os.setgid(int(user))
os.setuid(int(user))
main()
"""
"""A program that gives up root. It first runs the command as root on a copy to load modules that only root can read."""


def _as_nobody(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run gitsnap as a user without a name and a home. Skips the test if the user cannot be changed."""
    if os.geteuid() != 0:
        pytest.skip("another user's process needs root")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(place, Path(scratch) / "copy")
        done = subprocess.run(
            [sys.executable, "-c", _GIVING_UP_ROOT, str(Path(scratch) / "copy"), str(_NOBODY), *words],
            cwd=place, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "HOME": "/nonexistent"},
        )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def _give(folder: Path, owner: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)


def _open_the_way(place: Path) -> None:
    """Open the temporary folders of pytest, which only their user can enter."""
    for folder in (place, *place.parents[:3]):
        if folder.stat().st_uid == os.geteuid() and folder != Path(folder.anchor):
            folder.chmod(folder.stat().st_mode | 0o055)


def test_a_volume_of_another_owner(place: Path) -> None:
    """Only its owner can use an archive, and the error says so. Other contents of the storage do no harm."""
    _open_the_way(place)
    (place / "storage" / "lost+found").mkdir(mode=0o700)
    gitsnap(place, *_CAPTURE, code=0)
    before = _contents(place)

    refused = _as_nobody(place, *_CAPTURE)
    listed = _as_nobody(place, "list", "--storage", "storage")

    assert refused.returncode in (6, 7), refused.stderr
    assert "storage" in refused.stderr
    assert listed.returncode in (5, 6), listed.stderr
    assert _contents(place) == before


def test_a_random_user_with_the_group_of_the_volume(place: Path) -> None:
    """The user owns the folders and root the mount point, as with fsGroup. Capture, git commands and verify work."""
    _open_the_way(place)
    (place / "storage").chmod(0o777)
    first = _as_nobody(place, *_CAPTURE)
    _fill(place, 1)
    second = _as_nobody(place, *_CAPTURE)
    verified = _as_nobody(place, "verify", "--storage", "storage")

    assert (first.returncode, second.returncode, verified.returncode) == (0, 0, 0), first.stderr + verified.stderr
    assert len(_contents(place)) == 2
    assert (place / "storage" / "hourly").stat().st_uid == _NOBODY


def test_git_does_not_find_the_ownership_dubious(place: Path) -> None:
    """Root uses an archive of another user. The git commands of gitsnap work without a safe.directory setting."""
    if os.geteuid() != 0:
        pytest.skip("giving files away needs root")
    gitsnap(place, *_CAPTURE, code=0)
    _give(place / "storage", _NOBODY)
    _fill(place, 1)

    own_git = subprocess.run(
        ["git", "-C", place / "storage" / "hourly", "status"], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(place)},
    )  # fmt: skip
    taken = gitsnap(place, *_CAPTURE, HOME=str(place))
    verified = gitsnap(place, "verify", "--storage", "storage", HOME=str(place))

    assert "dubious ownership" in own_git.stderr
    assert (taken.returncode, verified.returncode) == (0, 0), taken.stderr + verified.stderr
    assert len(_contents(place)) == 2
