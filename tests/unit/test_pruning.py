"""Pruning of a real archive: the removed tags, the repository as plain git sees it, and the record in later samples."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive, removal
from gitsnap.capture import prune
from gitsnap.core.errors import ArchiveError, ConflictError, StorageError
from gitsnap.core.files import remove_abandoned_folders
from gitsnap.core.model import Area, Kind, Sample, SecretsInfo, SecretsMode, TagId, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.format import PrunedSample, encode, pruned_text
from gitsnap.policy.retention import Rules
from gitsnap.policy.snapshot import Retention

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_TWO = Rules(Retention(keep_last=2))


@pytest.fixture
def hourly(tmp_path: Path) -> GitArchive:
    """A new archive."""
    return archive.create_archive(tmp_path, "hourly")


def _take(to: GitArchive, count: int = 1, trigger: Trigger = Trigger.SCHEDULE, target: TagId | None = None) -> Sample:
    sample = None
    for _ in range(count):
        number = (to.samples()[-1].metadata.sequence if to.samples() else 0) + 1
        with to.writer() as writer:
            files = {"default/ConfigMap/a.yaml": writer.store(encode({"data": str(number // 2)}))}
            moment = _NOON + number * timedelta(hours=1)
            draft = SampleDraft(_INFO, {Area.CONFIGURATION: files}, moment, trigger, "cluster-1", target=target)
            sample = writer.record(draft).sample
    assert sample is not None
    return sample


def _prune(of: GitArchive, rules: Rules = _TWO) -> list[Sample]:
    with of.writer() as writer:
        return [decision.sample for decision in prune.prune(writer, rules) if not decision.keep]


def _sequences(of: GitArchive) -> list[int]:
    return [sample.metadata.sequence for sample in of.samples()]


def _git(of: GitArchive, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", of.location, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def _record_of(samples: list[Sample]) -> str:
    return pruned_text(PrunedSample(sample.tag, sample.tag_id) for sample in samples)


@pytest.mark.parametrize("refs", ["loose", "packed"])
def test_pruning_removes_tags_and_keeps_commits(hourly: GitArchive, refs: str) -> None:
    """Pruning removes loose and packed tags. The commits stay, and git reports no damage."""
    _take(hourly, 6)
    commits = _git(hourly, "rev-list", "hourly")
    if refs == "packed":
        _git(hourly, "pack-refs", "--all")

    gone = _prune(hourly)

    assert [sample.metadata.sequence for sample in gone] == [1, 2, 3, 4]
    assert _sequences(hourly) == [5, 6]
    assert len(_git(hourly, "tag", "-l").split()) == 2
    assert _git(hourly, "rev-list", "hourly") == commits
    assert _git(hourly, "fsck", "--strict", "--full", "--no-dangling") == ""
    assert _git(hourly, "status", "--porcelain") == ""


def test_the_next_sample_records_the_removed_samples(hourly: GitArchive) -> None:
    """One sample has the count and digest of all removed samples. `Previous` names the newest sample before."""
    _take(hourly, 6)
    gone = _prune(hourly, Rules(Retention(keep_last=4))) + _prune(hourly)
    last = hourly.samples()[-1]

    first, second = _take(hourly), _take(hourly)

    assert first.metadata.pruned == _record_of(gone)
    assert first.metadata.previous == last.tag_id
    assert (second.metadata.pruned, second.metadata.previous) == ("", first.tag_id)
    assert [sample.metadata.sequence for sample in _prune(hourly)] == [5, 6]


def test_pruning_twice_removes_nothing_more(hourly: GitArchive) -> None:
    """The second prune does not add to the record."""
    _take(hourly, 5)
    gone = _prune(hourly)

    assert _prune(hourly) == []
    assert _take(hourly).metadata.pruned == _record_of(gone)


def test_a_limit_does_not_prevent_the_first_sample(tmp_path: Path) -> None:
    """SVELTOS.md §6 defect 1: with a limit, the old feature never took a sample. gitsnap prunes after the capture."""
    fresh = archive.create_archive(tmp_path, "hourly")
    assert _prune(fresh) == []

    kept = []
    for _ in range(4):
        _take(fresh)
        _prune(fresh)
        kept.append(_sequences(fresh))

    assert kept == [[1], [1, 2], [2, 3], [3, 4]]


def test_marks_and_unfinished_rollbacks_keep_samples(hourly: GitArchive) -> None:
    """A mark is a ref beside the tag. Without the mark, retention applies to the sample again."""
    _take(hourly, 6)
    first, second = hourly.samples()[:2]
    _take(hourly, trigger=Trigger.BEFORE_ROLLBACK, target=second.tag_id)
    with hourly.writer() as writer:
        writer.mark(first)
        writer.mark(first)
    assert _git(hourly, "rev-parse", f"refs/gitsnap/keep/{first.tag}").strip() == first.tag_id
    assert hourly.marked() == {first.tag}

    _prune(hourly)
    held = _sequences(hourly)
    _take(hourly, trigger=Trigger.AFTER_ROLLBACK)
    with hourly.writer() as writer:
        writer.unmark(first)
        writer.unmark(first)
    _prune(hourly)

    assert held == [1, 2, 5, 6, 7]
    assert _sequences(hourly) == [5, 6, 7, 8]
    assert hourly.marked() == frozenset()


def test_the_newest_is_never_removed(hourly: GitArchive) -> None:
    """A request to remove the newest sample is an error."""
    newest = _take(hourly, 2)

    with hourly.writer() as writer, pytest.raises(ArchiveError, match="newest"):
        writer.remove(hourly.samples())
    assert hourly.samples()[-1] == newest


def test_only_confirmed_samples_are_removed(hourly: GitArchive) -> None:
    """A sample that became surplus after the confirmation is kept until the next prune."""
    _take(hourly, 4)
    shown = {decision.sample.tag for decision in prune.plan(hourly, _TWO) if not decision.keep}
    _take(hourly)

    with hourly.writer() as writer:
        decisions = prune.prune(writer, _TWO, only=shown)

    assert [decision.keep for decision in decisions] == [False, False, True, True, True]
    assert decisions[2].reasons == ("not confirmed",)


def test_a_locked_tag_prevents_every_removal(hourly: GitArchive) -> None:
    """All tags are removed or none. The next writer removes a stale lock file, and the record stays correct."""
    _take(hourly, 5)
    lock = Path(hourly.location) / ".git" / "refs" / "tags" / f"{hourly.samples()[1].tag}.lock"
    lock.touch()

    with pytest.raises(ConflictError, match="Run the command again"):
        _prune(hourly)
    assert _sequences(hourly) == [1, 2, 3, 4, 5]
    after_failure = _take(hourly)
    assert not lock.exists()  # The lock file is old after the wait of git, and no process has it open.
    gone = _prune(hourly)

    assert after_failure.metadata.pruned == ""
    assert [sample.metadata.sequence for sample in gone] == [1, 2, 3, 4]
    assert _take(hourly).metadata.pruned == _record_of(gone)


def test_a_missing_git_removes_nothing(hourly: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the missing program."""
    _take(hourly, 5)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(StorageError, match="program git"):
        _prune(hourly)
    assert _sequences(hourly) == [1, 2, 3, 4, 5]


def test_hooks_and_global_settings_are_ignored(
    hourly: GitArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks of the repository and the global configuration of git do not affect a removal."""
    _take(hourly, 3)
    hooks = Path(hourly.location) / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "reference-transaction").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "reference-transaction").chmod(0o755)
    _git(hourly, "config", "core.hooksPath", str(hooks))
    broken = tmp_path / "gitconfig"
    broken.write_text("[broken")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(broken))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))

    assert len(_prune(hourly)) == 1


@pytest.mark.parametrize("at", ["record", "transaction", "half", "after"])
def test_a_prune_killed_at_any_point_is_recorded(hourly: GitArchive, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """A kill before the record, or before, during or after the removal: the next sample records the removed samples."""
    _take(hourly, 6)
    before = list(hourly.samples())
    remove, delete = removal.remove, removal._delete

    class KilledError(BaseException):
        """Stands for kill -9."""

    def killed_before(*_arguments: object, **_more: object) -> None:
        raise KilledError

    def killed_while(repository: pygit2.Repository, refs: list[tuple[str, str]], *, lock: int) -> None:
        if done := {"transaction": 0, "half": 2, "after": len(refs)}[at]:
            delete(repository, refs[:done], lock=lock)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(removal, "remove", killed_before if at == "record" else remove)
        patch.setattr(removal, "_delete", killed_while)
        with pytest.raises(KilledError):
            _prune(hourly)
    gone = [sample for sample in before if sample not in hourly.samples()]
    assert len(gone) == {"record": 0, "transaction": 0, "half": 2, "after": 4}[at]

    following = _take(hourly)
    rest = _prune(hourly)

    assert following.metadata.pruned == _record_of(gone)
    assert _take(hourly).metadata.pruned == _record_of(rest)
    assert _sequences(hourly) == [6, 7, 8]


@pytest.mark.slow
def test_a_killed_process_leaves_no_unrecorded_tag(hourly: GitArchive) -> None:
    """kill -9 at twelve moments: exactly one sample records each removed tag, and the archive needs no repair."""
    _take(hourly, 4)
    seen = {sample.tag_id: sample for sample in hourly.samples()}
    records: list[str] = []
    gone_by_now: set[str] = set()
    for turn in range(12):
        _take(hourly, 2)
        seen.update({sample.tag_id: sample for sample in hourly.samples()})
        _kill_a_prune(hourly, after=0.1 + turn * 0.05)
        gone = {tag_id for tag_id in seen if tag_id not in {sample.tag_id for sample in hourly.samples()}} - gone_by_now
        newest = _take(hourly)
        seen[newest.tag_id] = newest
        records.append(newest.metadata.pruned)
        assert newest.metadata.pruned == _record_of([seen[tag_id] for tag_id in gone])
        gone_by_now |= gone

    assert _git(hourly, "fsck", "--strict", "--full", "--no-dangling") == ""
    _make_locks_old(hourly)
    _prune(hourly)
    assert len(_sequences(hourly)) == 2


def test_a_git_that_outlives_gitsnap_holds_the_lock(hourly: GitArchive, tmp_path: Path) -> None:
    """The next writer waits for this git, and does not remove its lock files as stale."""
    _take(hourly, 3)
    slow, entered, go_on = tmp_path / "bin" / "git", tmp_path / "entered", tmp_path / "go-on"
    slow.parent.mkdir()
    slow.write_text(
        f'#!/bin/sh\ntouch {entered}\nuntil [ -e {go_on} ]; do sleep 0.05; done\nexec {shutil.which("git")} "$@"\n'
    )
    slow.chmod(0o755)
    process = _start_a_prune(hourly, path=f"{slow.parent}:{os.environ['PATH']}")
    while not entered.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()

    with pytest.raises(ConflictError), hourly.writer(patience=0.3):
        pass
    remove_abandoned_folders()  # Each start of gitsnap does so. git still needs its working folder.
    go_on.touch()
    with hourly.writer(patience=10) as writer:
        assert [sample.metadata.sequence for sample in writer.samples()] == [2, 3]


@pytest.mark.slow
def test_no_removed_tag_returns_during_pack_refs(hourly: GitArchive) -> None:
    """During `git pack-refs` of an operator, removed tags stay removed, and kept tags stay visible."""
    stop = threading.Event()

    def pack() -> None:
        while not stop.is_set():
            subprocess.run(["git", "-C", hourly.location, "pack-refs", "--all"], capture_output=True, check=False)

    packing = threading.Thread(target=pack)
    packing.start()
    try:
        for _ in range(15):
            _retry(lambda: _take(hourly, 3))
            _retry(lambda: _prune(hourly))
    finally:
        stop.set()
        packing.join()
    _prune(hourly)

    newest = hourly.samples()[-1].metadata.sequence
    assert _sequences(hourly) == [newest - 1, newest]
    assert len(_git(hourly, "for-each-ref", "refs/tags").splitlines()) == 2


def _retry(attempt: Callable[[], object]) -> None:
    """Repeat the attempt while git reports that a ref is locked by `git pack-refs`."""
    for _ in range(100):
        try:
            attempt()
        except (ConflictError, StorageError):
            continue
        return


def _kill_a_prune(of: GitArchive, *, after: float) -> None:
    process = _start_a_prune(of, path=os.environ["PATH"])
    time.sleep(after)
    process.kill()
    process.wait()
    with of.writer(patience=10):
        pass  # The git of the killed process may still run, and holds the lock.
    _make_locks_old(of)


def _start_a_prune(of: GitArchive, *, path: str) -> subprocess.Popen[bytes]:
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from gitsnap import archive
        from gitsnap.capture.prune import prune
        from gitsnap.policy.snapshot import Retention
        from gitsnap.policy.retention import Rules
        with archive.open_archive_at(Path({of.location!r})).writer() as writer:
            prune(writer, Rules(Retention(keep_last=2)))
        """
    )
    environment = {**os.environ, "PATH": path}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)


def _make_locks_old(of: GitArchive) -> None:
    for lock in (Path(of.location) / ".git").rglob("*.lock"):
        os.utime(lock, (0, 0))
