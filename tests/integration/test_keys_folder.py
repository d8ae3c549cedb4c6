"""The keys beside the archives: an outer git repository does not add them, and gitsnap warns about the repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.commands import gitsnap
from tests.support.typed import secret


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository of another project, with an empty folder for archives in it, and a cluster beside it."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "password.yaml").write_text(secret("dmFsdWU="))
    folder = tmp_path / "work"
    (folder / "snapshots").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def _capture(storage: Path, policy: str = "p") -> str:
    words = ["--snapshot", policy, "--storage", str(storage), "--from-dir", "cluster", "--resources", "Secret"]
    return gitsnap(storage.parents[1], "capture", "--create", *words, code=0).stderr


def _added_files(work: Path) -> str:
    subprocess.run(["git", "-C", str(work), "add", "-A"], capture_output=True, check=False)
    done = subprocess.run(["git", "-C", str(work), "ls-files"], capture_output=True, text=True, check=True)
    return done.stdout


def test_git_takes_no_key_of_an_outer_repository(work: Path) -> None:
    """Git adds neither keys nor the files that explain them, even if the folder was made without .gitignore."""
    storage = work / "snapshots"
    _capture(storage)
    keys = storage / ".keys"
    assert {file.name for file in keys.iterdir()} == {".gitignore", "README.md", "p"}
    assert {file.stat().st_mode & 0o077 for file in keys.rglob("*")} == {0}
    assert ".keys" not in _added_files(work)

    (keys / ".gitignore").unlink()
    _capture(storage, "another")

    assert ".keys" not in _added_files(work)


def test_an_existing_gitignore_is_kept(work: Path) -> None:
    """A user may have added lines to the file."""
    storage = work / "snapshots"
    _capture(storage)
    (storage / ".keys" / ".gitignore").write_text("*\n# ours\n")

    _capture(storage)

    assert "# ours" in (storage / ".keys" / ".gitignore").read_text()


def test_a_new_archive_inside_a_work_tree_is_warned_about(work: Path) -> None:
    """The warning is printed once and names a remedy. A storage outside a work tree gets no warning."""
    warning = _capture(work / "snapshots")
    assert f"is inside the git work tree {work}" in warning
    assert "add snapshots/ to" in warning
    assert "work tree" not in _capture(work / "snapshots")

    own = work.parent / "elsewhere" / "snapshots"
    own.mkdir(parents=True)
    (own.parents[0] / "cluster").symlink_to(work.parent / "cluster")
    assert "work tree" not in gitsnap(own.parent, "capture", "--storage", str(own), "--from-dir", "cluster").stderr
