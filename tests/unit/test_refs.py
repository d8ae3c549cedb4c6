"""Refs that are listed from git's files are those that git lists, also while git packs them."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from gitsnap.archive.refs import list_refs, read_refs


def _git(folder: Path, *arguments: str, stdin: str = "") -> str:
    settings = ["-c", "user.name=op", "-c", "user.email=op@example.org"]
    command = ["git", "-C", str(folder), *settings, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


def _as_git_lists(folder: Path, prefix: str) -> list[tuple[str, str]]:
    lines = _git(folder, "for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return [(name, target) for name, target in (line.split(" ") for line in lines)]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits and no tags yet."""
    folder = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    for subject in ("one", "two"):
        _git(folder, "commit", "-q", "--allow-empty", "-m", subject)
    return folder


def test_packed_loose_moved_and_deleted_refs(repository: Path) -> None:
    """A loose ref takes precedence over a packed ref. Tags of other branches and lock files are left out."""
    for name in ("hourly/a", "hourly/b", "hourly/c", "daily/a", "hourly-2/a"):
        _git(repository, "tag", "-a", "-m", name, name)
    _git(repository, "pack-refs", "--all")
    _git(repository, "tag", "-f", "-a", "-m", "moved", "hourly/b", "HEAD~1")
    _git(repository, "tag", "-d", "hourly/c")
    _git(repository, "tag", "hourly/deep/er", "HEAD")
    (repository / ".git/refs/tags/hourly/d.lock").touch()

    found = list_refs(repository / ".git", "refs/tags/hourly/")

    assert found == _as_git_lists(repository, "refs/tags/hourly/")
    assert [name for name, _ in found] == [f"refs/tags/hourly/{name}" for name in ("a", "b", "deep/er")]
    assert list_refs(repository / ".git", "refs/tags/weekly/") == []


def test_a_working_tree_that_git_added(repository: Path, tmp_path: Path) -> None:
    """A linked working tree has the refs of its repository."""
    _git(repository, "tag", "hourly/a")
    _git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    git_folder = Path(_git(tmp_path / "second", "rev-parse", "--absolute-git-dir").strip())

    assert git_folder != repository / ".git"
    assert list_refs(git_folder, "refs/tags/hourly/") == _as_git_lists(repository, "refs/tags/hourly/")


@pytest.mark.slow
def test_no_ref_is_missed_while_git_packs_them(repository: Path) -> None:
    """During `git pack-refs` a listing has every ref that existed when it began."""
    commit = _git(repository, "rev-parse", "HEAD").strip()
    made: list[str] = []
    done = threading.Event()

    def make_and_pack() -> None:
        for start in range(0, 400, 20):
            names = [f"refs/tags/hourly/{number:04}" for number in range(start, start + 20)]
            _git(repository, "update-ref", "--stdin", stdin="".join(f"create {name} {commit}\n" for name in names))
            made.extend(names)
            _git(repository, "pack-refs", "--all")
        done.set()

    operator = threading.Thread(target=make_and_pack)
    operator.start()
    short = listings = 0
    while not done.is_set():
        expected = set(made)
        found = {name for name, _ in list_refs(repository / ".git", "refs/tags/hourly/")}
        short += not expected <= found
        listings += 1
    operator.join()

    assert (short, listings > 0) == (0, True)
    assert len(list_refs(repository / ".git", "refs/tags/hourly/")) == 400


def test_packed_refs_are_read_again_after_a_change(tmp_path: Path) -> None:
    """A file of the same size that replaces ``packed-refs`` has other refs, and so has a file that is gone."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path)], check=True)
    packed = tmp_path / "packed-refs"
    seen = []
    for digit in "123":
        (tmp_path / "new").write_text(f"{digit * 40} refs/tags/a\n")
        (tmp_path / "new").replace(packed)
        seen += [read_refs(tmp_path, "refs/tags/") for _ in range(2)]
    packed.unlink()
    seen.append(read_refs(tmp_path, "refs/tags/"))

    targets = [refs.unpacked().get("refs/tags/a", "") for refs in seen]
    assert targets == ["1" * 40, "1" * 40, "2" * 40, "2" * 40, "3" * 40, "3" * 40, ""]
    assert len({refs.packed_digest for refs in seen}) == 4
    assert read_refs(tmp_path, "refs/heads/").packed_digest != seen[-1].packed_digest
