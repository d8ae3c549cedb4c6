"""git sees the refs and objects of a repository, and none of its settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitsnap.git.process import common_folder, git_settings, run_git, scratch_repository


def _git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit, a packed tag and a loose tag."""
    folder = tmp_path / "made"
    subprocess.run(["git", "init", "--quiet", "-b", "hourly", folder], check=True)
    _git(folder, "commit", "--quiet", "--allow-empty", "-m", "x")
    _git(folder, "tag", "-m", "x", "first")
    _git(folder, "pack-refs", "--all")
    _git(folder, "tag", "-m", "x", "second")
    return folder


def test_refs_are_read_and_written(repository: Path) -> None:
    """Packed and loose refs, also without a file packed-refs."""
    folder = repository / ".git"
    listed = run_git(folder, "for-each-ref", "--format=%(refname)").stdout.split()
    assert listed == ["refs/heads/hourly", "refs/tags/first", "refs/tags/second"]

    for name in ("first", "second"):
        done = run_git(
            folder, "update-ref", "--stdin", stdin=f"delete refs/tags/{name} {_git(repository, 'rev-parse', name)}\n"
        )
        assert done.returncode == 0, done.stderr
    (folder / "packed-refs").unlink()
    _git(repository, "update-ref", "refs/tags/third", _git(repository, "rev-list", "--all", "--reflog").split()[0])
    assert run_git(folder, "pack-refs", "--all").returncode == 0

    assert "refs/tags/third" in (folder / "packed-refs").read_text()
    assert _git(repository, "tag") == "third"


def test_copies_of_refs_are_not_modified(repository: Path) -> None:
    """For `git fsck`, which reports symbolic links as damage."""
    before = _git(repository, "for-each-ref")

    run_git(repository / ".git", "update-ref", "refs/tags/other", "HEAD", refs="copied")

    assert _git(repository, "for-each-ref") == before
    assert "first" in run_git(repository / ".git", "tag", refs="copied").stdout
    assert run_git(repository / ".git", "tag", refs="none").stdout == ""


@pytest.mark.parametrize("content", ["", "nonsense\n", "1234\n"])
def test_a_damaged_ref_is_found_by_fsck(repository: Path, content: str) -> None:
    """The stand-in directory hides no damage of the refs."""
    (repository / ".git" / "refs" / "tags" / "bad").write_text(content)

    done = run_git(repository / ".git", "fsck", "--full", refs="copied")

    assert done.returncode != 0
    assert "refs/tags/bad" in done.stdout + done.stderr


def test_a_pipe_in_place_of_a_ref_does_not_block(repository: Path) -> None:
    """A named pipe in place of a ref does not block a command."""
    os.mkfifo(repository / ".git" / "refs" / "tags" / "pipe")

    assert run_git(repository / ".git", "fsck", refs="copied", seconds=60).returncode != 0


@pytest.mark.slow
def test_messages_name_the_repository(repository: Path) -> None:
    """Messages name the repository, not the stand-in directory, which no longer exists."""
    folder = repository / ".git"
    (folder / "refs" / "tags" / "second.lock").touch()

    said = run_git(folder, "update-ref", "-d", "refs/tags/second").stderr

    assert f"{folder}/refs/tags/second.lock" in said
    assert "gitsnap-tmp" not in said


def test_a_working_tree_that_git_added(repository: Path, tmp_path: Path) -> None:
    """A linked working tree has its own HEAD, and the refs and objects of the repository."""
    _git(repository, "worktree", "add", "--quiet", str(tmp_path / "added"), "-b", "other")
    folder = repository / ".git" / "worktrees" / "added"

    assert common_folder(folder).resolve() == (repository / ".git").resolve()
    assert run_git(folder, "symbolic-ref", "HEAD").stdout == "refs/heads/other\n"
    assert "refs/tags/first" in run_git(folder, "for-each-ref").stdout


def test_settings_come_from_the_caller_alone(repository: Path) -> None:
    """Settings are not visible in a process list, and never come from the repository."""
    _git(repository, "config", "user.name", "Repository")

    assert run_git(repository / ".git", "config", "user.name").stdout == ""
    given = git_settings({"user.name": "Caller"})
    assert run_git(repository / ".git", "config", "user.name", environment=given).stdout == "Caller\n"


def test_git_does_not_run_in_another_repository(repository: Path, tmp_path: Path) -> None:
    """A fetch would run a git in each alternate repository, with the settings of that repository."""
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", repository, remote], check=True)
    tree = _git(remote, "mktree", "--missing")
    _git(remote, "update-ref", "refs/heads/hourly", _git(remote, "commit-tree", "-m", "new", tree))
    trace = tmp_path / "trace"

    with scratch_repository(repository / ".git", {}) as scratch:
        words = ("fetch", "--quiet", f"file://{remote}", "refs/heads/hourly:refs/heads/hourly")
        done = run_git(scratch, *words, environment={"GIT_TRACE": str(trace)})

    assert done.returncode == 0, done.stderr
    assert "for-each-ref" not in trace.read_text()


def test_a_scratch_repository_has_the_objects_and_keeps_none(repository: Path) -> None:
    """An object that is written to it does not get into the other repository."""
    commit = _git(repository, "rev-parse", "hourly")
    before = sorted((repository / ".git").rglob("*"))

    with scratch_repository(repository / ".git", {"refs/heads/x": commit}) as scratch:
        assert run_git(scratch, "cat-file", "-t", "refs/heads/x").stdout == "commit\n"
        assert run_git(scratch, "hash-object", "-w", "--stdin", stdin="something new").returncode == 0

    assert sorted((repository / ".git").rglob("*")) == before
    assert not scratch.exists()
