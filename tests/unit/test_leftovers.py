"""Lock files and temporary files of a killed git are removed as soon as no process can be using them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive, leftovers
from gitsnap.core.model import Area, Kind, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import RecordedSample, SampleDraft
from gitsnap.format import encode

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_LEFT = (
    "index.lock",
    "HEAD.lock",
    "packed-refs.lock",
    "packed-refs.new",
    "refs/heads/hourly.lock",
    "refs/tags/hourly/2026-01-01T12-00-00Z.lock",
    "refs/gitsnap/pruned/hourly.lock",
    "objects/pack/tmp_pack_abc123",
    "objects/pack/.tmp-17-pack-0123456789abcdef0123456789abcdef01234567.pack",
    "objects/info/commit-graphs/commit-graph-chain.lock",
)


@pytest.fixture
def hourly(tmp_path: Path) -> GitArchive:
    """A new archive."""
    return archive.create_archive(tmp_path, "hourly")


def _take(to: GitArchive, text: str) -> RecordedSample:
    with to.writer() as writer:
        files = {"default/ConfigMap/a.yaml": writer.store(encode({"data": text}))}
        return writer.record(SampleDraft(_INFO, {Area.CONFIGURATION: files}, _NOON, Trigger.MANUAL, "cluster-1"))


def _leave(of: GitArchive, name: str, *, age: float) -> Path:
    file = of.git_folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def test_leftovers_of_a_killed_git_are_removed(hourly: GitArchive) -> None:
    """All leftovers are removed, so the capture succeeds and nothing piles up."""
    left = [_leave(hourly, name, age=60) for name in _LEFT]

    taken = _take(hourly, "1")

    assert taken.worktree_error == ""
    assert [file for file in left if file.exists()] == []


def test_folders_that_a_killed_capture_had_not_shown(hourly: GitArchive) -> None:
    """They are made again: they may hold incomplete files, or files of a sample that does not exist."""
    half = _leave(hourly, "gitsnap-folders.tmp/1/ConfigMap/a.yaml", age=0)

    assert _take(hourly, "1").worktree_error == ""

    assert not half.parents[2].exists()
    assert Path(hourly.location, "configuration/default/ConfigMap/a.yaml").read_bytes() == encode({"data": "1"})


def test_a_folder_that_somebody_makes_at_the_same_time(hourly: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder stays as it is, the result says so, and no temporary folder is left."""
    theirs = Path(hourly.location, "configuration", "theirs.txt")
    rename = os.rename

    def make_first(source: str, target: str) -> None:
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_text("somebody's")
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", make_first)
        assert "the working tree was not updated" in _take(hourly, "1").worktree_error

    assert not (hourly.git_folder / "gitsnap-folders.tmp").exists()
    assert _take(hourly, "2").worktree_error == ""
    assert theirs.read_text() == "somebody's"
    assert Path(hourly.location, "configuration/default/ConfigMap/a.yaml").read_bytes() == encode({"data": "2"})


def test_a_young_lock(hourly: GitArchive) -> None:
    """A young lock may belong to a running git; the capture waits until the lock is old enough."""
    _leave(hourly, "refs/heads/hourly.lock", age=0)

    assert _take(hourly, "1").new_commit


def test_a_file_that_a_process_has_open_is_not_touched(hourly: GitArchive) -> None:
    """A file that a process has open stays, however old it is."""
    file = _leave(hourly, "objects/pack/tmp_pack_abc123", age=3600)

    with file.open("rb") as opened:
        other = subprocess.Popen(["sleep", "600"], stdin=opened)
    try:
        _take(hourly, "1")
        assert file.exists()
    finally:
        other.kill()
        other.wait()
    _take(hourly, "2")
    assert not file.exists()


@pytest.mark.slow
def test_the_lock_of_a_git_at_work_is_not_touched(hourly: GitArchive) -> None:
    """`git commit` with an open editor holds the lock of the index without having the file open."""
    _take(hourly, "1")
    place = Path(hourly.location)
    (place / "configuration/default/ConfigMap/a.yaml").write_text("by hand\n")
    editor = place.parent / "editor"
    editor.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[0] + '.open', 'w').close()\nsys.stdin.read()\n"
                      "open(sys.argv[1], 'w').write('by hand')\n")  # fmt: skip
    editor.chmod(0o755)
    identity = ["-c", "user.name=op", "-c", "user.email=op@example.org", "-c", f"core.editor={editor}"]
    commit = subprocess.Popen(
        ["git", *identity, "commit", "-a", "-q"], cwd=place, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not editor.with_name("editor.open").exists():
        time.sleep(0.02)
    lock = hourly.git_folder / "index.lock"
    os.utime(lock, (0, 0))

    taken = _take(hourly, "2")
    was_there = lock.exists()
    _, said = commit.communicate(timeout=60)

    assert was_there
    assert "working tree was not updated" in taken.worktree_error
    # The branch moved while the editor was open, so that git refuses the commit in words; the change is not lost.
    assert b"cannot lock ref" in said
    assert (place / "configuration/default/ConfigMap/a.yaml").read_text() == "by hand\n"
    assert [sample.metadata.sequence for sample in hourly.samples()] == [1, 2]
    assert not [finding for finding in hourly.check() if finding.wrong]


def test_an_unfinished_pack_that_libgit2_takes_for_a_pack(hourly: GitArchive) -> None:
    """A killed `git repack` leaves a temporary pack. The capture removes it, although libgit2 has it open."""
    first = _take(hourly, "1").sample
    subprocess.run(["git", "-C", hourly.location, "repack", "-aq"], check=True)
    subprocess.run(["git", "-C", hourly.location, "prune-packed", "-q"], check=True)
    for file in list((hourly.git_folder / "objects/pack").glob("pack-*")):
        copy = file.with_name(f".tmp-17-{file.name}")
        copy.write_bytes(file.read_bytes())
        os.utime(copy, (0, 0))

    opened = archive.open_archive_at(Path(hourly.location))
    before = opened.tree(first).all_files
    _take(opened, "2")

    assert list((hourly.git_folder / "objects/pack").glob(".tmp-*")) == []
    assert {path: opened.tree(first).read(blob) for path, blob in before.items()}


def test_a_gitsnap_in_the_archives_folder_is_no_git_at_work(hourly: GitArchive) -> None:
    """A process gitsnap is not a git, although its name begins with the same letters. A helper of git is one."""
    sleep = Path("/bin/sleep").resolve()
    for name, at_work in (("gitsnap", False), ("gitea", False), ("git", True), ("git-remote-https", True)):
        program = Path(hourly.location).parent / name
        program.symlink_to(sleep)
        process = subprocess.Popen([program, "600"], executable=program, cwd=hourly.location)
        try:
            while Path(f"/proc/{process.pid}/comm").read_text().strip() != name[:15]:  # Popen returns a moment earlier
                time.sleep(0.01)
            file = _leave(hourly, "refs/heads/hourly.lock", age=60)
            leftovers.remove_git_leftovers(hourly.git_folder, "hourly")
            assert file.exists() is at_work, name
        finally:
            process.kill()
            process.wait()
