"""No command runs a program that someone planted in an archive, neither commands that read nor captures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitsnap.archive import maintenance, open_archive_at
from gitsnap.archive.lock import writers_lock
from tests.support.commands import gitsnap
from tests.support.hostile_archive import Trap, git, plant_all_settings, plant_programs, sign_newest_commit
from tests.support.remotes import bare_repository, generate_key

_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  tier: {}\n"
)


def _capture(folder: Path, tier: int) -> None:
    (folder / "cluster" / "a.yaml").write_text(_PROFILE.format(tier))
    words = ("--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit", "--signing-key", "key")
    gitsnap(folder, "capture", "--create", *words, code=0)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A storage with an archive of three signed samples, its cluster, allowed signers, a remote with two samples."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "signers").write_text(f"team@example.org {generate_key(tmp_path / 'key')}")
    for tier in range(2):
        _capture(tmp_path, tier)
    remote = bare_repository(tmp_path / "r.git")
    gitsnap(tmp_path, "push", "--to", f"file://{remote}", code=0)
    _capture(tmp_path, 2)
    return tmp_path


def _commands(place: Path) -> list[tuple[str, ...]]:
    """Every command that reads or writes an archive, in an order that gives each command something to do."""
    remote = f"file://{place / 'r.git'}"
    live = ("--from-dir", "cluster")
    return [
        ("list",), ("list", "--archive", str(place / "hourly"), "-o", "json"), ("show",),
        ("show", "ClusterProfile/a"), ("diff",), ("diff", "--raw-diff"), ("diff", "-o", "json"), ("drift", *live),
        ("log",), ("log", "ClusterProfile/a", "-o", "json"), ("addons", "--sample", "latest"),
        ("show", "references", "ClusterProfile/a"),
        ("verify",), ("verify", "--allowed-signers", "signers"), ("verify", "--remote", remote),
        ("push", "--to", remote), ("push", "--to", remote), ("verify", "--remote", remote, "-o", "json"),
        ("list", "--archive", remote), ("keep", "latest~1"),
        ("rollback", "--sample", "latest~1", *live, "--dry-run"),
        ("rollback", "--sample", "latest~1", *live, "--yes", "--signing-key", "key"),
        ("undo", *live, "--yes", "--signing-key", "key"),
        ("prune", "--keep-last", "1", "--yes"), ("push", "--to", remote, "--prune"), ("verify", "--pinned", "0" * 40),
    ]  # fmt: skip


def _run_all(place: Path, trap: Trap) -> None:
    for words in _commands(place):
        done = gitsnap(place, *words, XDG_CACHE_HOME=str(place / "cache"))
        assert trap.ran() == "", words
        expected = (0, 5) if words[0] == "verify" else (0,)
        assert done.returncode in expected, (words, done.stdout, done.stderr)
    _capture(place, 3)
    opened = open_archive_at(place / "hourly")
    with writers_lock(opened.git_folder) as lock:
        commands = maintenance._COMMANDS
        assert maintenance.maintain(opened.git_folder, opened.branch, commands, lock=lock) == ""
    assert trap.ran() == ""


def test_no_setting_of_git_is_obeyed(place: Path, tmp_path: Path) -> None:
    """Every setting of git names the program, even settings that need a number. Nothing runs, and all commands work."""
    trap = Trap.in_folder(tmp_path / "trap")
    assert plant_all_settings(place / "hourly", trap) > 400
    git(place / "hourly", "status", code=128)  # where git wants a number

    _run_all(place, trap)


def test_nothing_that_is_planted_runs(place: Path, tmp_path: Path) -> None:
    """Programs in working settings, in hooks, behind attributes and alternates, and in a submodule."""
    trap = Trap.in_folder(tmp_path / "trap")
    plant_programs(place / "hourly", trap)

    _run_all(place, trap)

    git(place / "hourly", "status", code=None)
    assert trap.ran()  # the programs are still in place: gitsnap did not remove them


def test_plain_git_runs_planted_programs(place: Path, tmp_path: Path) -> None:
    """Plain git runs the programs in the same archive. This proves that the other tests can fail."""
    archive = place / "hourly"
    trap = Trap.in_folder(tmp_path / "trap")
    plant_programs(archive, trap)
    (archive / "README.md").touch()

    for words in (
        ("status",),
        ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "status"),  # in the submodule
        ("fetch", f"file://{place / 'r.git'}"),
        ("push", f"file://{place / 'r.git'}", "hourly:refs/heads/x"),
        ("verify-tag", git(archive, "tag").splitlines()[0]),
        ("update-ref", "refs/heads/x", "hourly"),
    ):
        git(archive, *words, code=None)
        assert trap.ran(), words
    sign_newest_commit(archive, "hourly")
    git(archive, "log", code=None)
    assert trap.ran()


def test_log_does_not_verify_signatures(place: Path, tmp_path: Path) -> None:
    """`log` over a signed commit, where the settings make git verify signatures."""
    trap = Trap.in_folder(tmp_path / "trap")
    plant_programs(place / "hourly", trap)
    sign_newest_commit(place / "hourly", "hourly")

    gitsnap(place, "log", code=0)

    assert trap.ran() == ""


def test_a_capture_ignores_core_worktree(place: Path, tmp_path: Path) -> None:
    """The archive's core.worktree names another folder. A capture writes nothing there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    git(place / "hourly", "config", "core.worktree", str(elsewhere))

    _capture(place, 4)

    assert list(elsewhere.iterdir()) == []
    assert "tier: 4" in next((place / "hourly").rglob("a.yaml")).read_text()


def test_personal_settings_of_an_operator_are_harmless(place: Path) -> None:
    """An identity, a remote, colours, an alias, ignored files: plain git uses them, gitsnap does not."""
    archive = place / "hourly"
    for name, value in {
        "user.name": "Op", "user.email": "op@example.org", "color.ui": "always", "alias.s": "status", "log.date": "iso",
        "remote.origin.url": f"file://{place / 'r.git'}", "branch.hourly.remote": "origin", "core.abbrev": "8",
        "format.pretty": "oneline", "diff.renames": "copies", "status.short": "true", "push.default": "matching",
    }.items():  # fmt: skip
        git(archive, "config", name, value)
    (archive / ".git" / "info").mkdir(exist_ok=True)
    (archive / ".git" / "info" / "exclude").write_text("notes.txt\n")
    (archive / "notes.txt").write_text("mine")

    assert json.loads(gitsnap(place, "verify", "-o", "json", code=0).stdout)["archives"][0]["findings"] == []
    assert len(json.loads(gitsnap(place, "log", "-o", "json", code=0).stdout)["changes"]) >= 2
    gitsnap(place, "push", "--to", f"file://{place / 'r.git'}", code=0)
    git(archive, "fetch", "--quiet", "origin", "hourly")
