"""Operators who work inside an archive during captures: neither their work nor a sample is lost."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import time
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.core.errors import GitsnapError
from gitsnap.core.model import Area, Kind, Sample, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.ports import ArchiveWriter
from gitsnap.core.recording import RecordedSample, SampleDraft
from gitsnap.format import encode
from tests.support.commands import gitsnap

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_A, _B = "default/ConfigMap/a.yaml", "default/ConfigMap/b.yaml"


@pytest.fixture
def hourly(tmp_path: Path) -> GitArchive:
    """An archive of two samples, of the turns 0 and 1."""
    made = archive.create_archive(tmp_path, "hourly")
    for turn in range(2):
        _take(made, turn)
    return made


def _take(to: GitArchive, turn: int) -> RecordedSample:
    """Take a sample of a cluster that changes with each turn."""
    with to.writer() as writer:
        return _record(writer, turn)


def _record(writer: ArchiveWriter, turn: int) -> RecordedSample:
    files = {path: writer.store(encode({"data": f"{turn} {path}"})) for path in (_A, _B)}
    moment = _NOON + timedelta(minutes=turn)
    return writer.record(SampleDraft(_INFO, {Area.CONFIGURATION: files}, moment, Trigger.MANUAL, "cluster-1"))


def _git(of: GitArchive, *words: str, code: int = 0) -> str:
    identity = {f"GIT_{who}_{what}": "op@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", "-C", of.location, *words], env={**os.environ, **identity}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.strip()


def _read(of: GitArchive, sample: Sample) -> Mapping[str, bytes]:
    tree = of.tree(sample)
    return {path: tree.read(blob) for path, blob in tree.files(Area.CONFIGURATION).items()}


def _check(of: GitArchive, turns: int) -> None:
    """Check that every turn has its sample, complete and in order, and that git finds no damage."""
    opened = archive.open_archive_at(Path(of.location))
    samples = opened.samples()
    assert [sample.sequence for sample in samples] == list(range(1, turns + 1))
    for turn, sample in enumerate(samples):
        assert _read(opened, sample) == {path: encode({"data": f"{turn} {path}"}) for path in (_A, _B)}
    assert not [finding for finding in opened.check() if finding.wrong]


def _shown(of: GitArchive, path: str = _A) -> Path:
    return Path(of.location) / "configuration" / path


def test_a_sample_that_is_checked_out(hourly: GitArchive) -> None:
    """`git checkout <tag>`: captures continue, the files stay as they are, and the branch has the newest sample."""
    _git(hourly, "checkout", "-q", hourly.samples()[0].tag)

    for turn in (2, 3):
        assert _take(hourly, turn).worktree_error == ""
        assert "0 " in _shown(hourly).read_text()
    assert _git(hourly, "status", "--porcelain") == ""
    _git(hourly, "checkout", "-q", "hourly")
    assert "3 " in _shown(hourly).read_text()
    assert _take(hourly, 4).left_alone == ()

    assert "4 " in _shown(hourly).read_text()
    assert _git(hourly, "status", "--porcelain") == ""
    _check(hourly, 5)


def test_a_branch_of_an_operator(hourly: GitArchive) -> None:
    """`git checkout -b` with commits: the branch and its files stay, and samples are not built on the branch."""
    _git(hourly, "checkout", "-qb", "mine")
    _shown(hourly).write_text("mine\n")
    _git(hourly, "commit", "-qam", "mine")
    mine = _git(hourly, "rev-parse", "mine")

    taken = _take(hourly, 2)

    assert _git(hourly, "rev-parse", "mine", "HEAD").split() == [mine, mine]
    assert _git(hourly, "symbolic-ref", "HEAD") == "refs/heads/mine"
    assert _shown(hourly).read_text() == "mine\n"
    assert _git(hourly, "rev-parse", "hourly") == taken.sample.commit
    assert mine not in _git(hourly, "rev-list", "hourly")
    _check(hourly, 3)


def test_a_merge_that_is_not_finished(hourly: GitArchive) -> None:
    """Conflicts in the working tree stay, and captures continue."""
    _git(hourly, "checkout", "-qb", "mine", "HEAD~1")
    _shown(hourly).write_text("mine\n")
    _git(hourly, "commit", "-qam", "mine")
    _git(hourly, "checkout", "-q", "hourly")
    _git(hourly, "merge", "mine", code=1)
    conflict = _shown(hourly).read_text()
    assert "<<<<<<<" in conflict

    _take(hourly, 2)

    assert _shown(hourly).read_text() == conflict
    assert (hourly.git_folder / "MERGE_HEAD").exists()
    _git(hourly, "merge", "--abort")
    _take(hourly, 3)
    _check(hourly, 4)


def test_a_rebase_that_is_not_finished(hourly: GitArchive) -> None:
    """HEAD is detached during the rebase. Captures continue, and no sample is lost when the branch moves."""
    _git(hourly, "checkout", "-q", "hourly")
    _shown(hourly).write_text("mine\n")
    _git(hourly, "commit", "-qam", "mine")
    _git(hourly, "checkout", "-qb", "other", "HEAD~2")
    _shown(hourly).write_text("other\n")
    _git(hourly, "commit", "-qam", "other")
    _git(hourly, "checkout", "-q", "hourly")
    _git(hourly, "rebase", "other", code=1)

    taken = _take(hourly, 2)

    assert "<<<<<<<" in _shown(hourly).read_text()
    _git(hourly, "rebase", "--skip", code=1)  # the next commit is in conflict as well
    _git(hourly, "rebase", "--abort")
    _take(hourly, 3)
    assert taken.sample.commit in _git(hourly, "rev-list", "hourly").split()
    _check(hourly, 4)


def test_a_branch_that_was_reset(hourly: GitArchive) -> None:
    """`git reset --hard HEAD~1`: the next capture restores the branch, and keeps a ref to the reset commit."""
    before = _git(hourly, "rev-parse", "hourly")
    _git(hourly, "reset", "-q", "--hard", "HEAD~1")
    older = _git(hourly, "rev-parse", "hourly")

    taken = _take(hourly, 2)

    assert _git(hourly, "rev-parse", f"{taken.sample.commit}^") == before
    assert _git(hourly, "rev-parse", f"refs/gitsnap/foreign/{older}") == older
    # The files differ from the files of the last capture, so they count as changed by an operator.
    assert set(taken.left_alone) == {f"configuration/{_A}", f"configuration/{_B}"}
    _git(hourly, "reset", "-q", "--hard")
    assert _take(hourly, 3).left_alone == ()
    _check(hourly, 4)


def test_changes_that_are_stashed(hourly: GitArchive) -> None:
    """`git stash` before a capture and a restore after it: the change comes back, and the file is the operator's."""
    _shown(hourly).write_text("mine\n")
    (Path(hourly.location) / "notes.txt").write_text("notes\n")
    _git(hourly, "stash", "push", "-q", "--include-untracked")

    assert _take(hourly, 2).left_alone == ()

    assert "2 " in _shown(hourly).read_text()
    _git(hourly, "checkout", "-q", "stash@{0}", "--", f"configuration/{_A}")
    assert _shown(hourly).read_text() == "mine\n"
    assert _take(hourly, 3).left_alone == (f"configuration/{_A}",)
    assert _git(hourly, "stash", "list").count("stash@") == 1
    _check(hourly, 4)


_DELETING = {"gc": ("gc", "-q", "--prune=now"), "prune": ("prune", "--expire=now"), "repack": ("repack", "-adq")}
"""Commands that delete unreferenced objects."""


@pytest.mark.parametrize("setting", ["", "false"], ids=["as it is made", "allowed by an operator"])
@pytest.mark.parametrize("command", _DELETING)
@pytest.mark.parametrize("most_loose", [100, 2], ids=["loose", "as a pack"])
@pytest.mark.parametrize("moment", ["stored", "durable", "branch"])
def test_objects_deleted_at_the_worst_moment(
    hourly: GitArchive, monkeypatch: pytest.MonkeyPatch, moment: str, most_loose: int, command: str, setting: str
) -> None:
    """Git refuses or has nothing to delete. If an operator allows the deletion, no sample is ever broken."""
    monkeypatch.setattr("gitsnap.archive.object_writer._MOST_LOOSE", most_loose)
    outputs: list[str] = []

    def delete() -> None:
        if setting:
            _git(hourly, "config", "extensions.preciousObjects", setting)
        outputs.append(_git(hourly, *_DELETING[command], code=0 if setting or command == "gc" else 128))

    refused: GitsnapError | None = None
    with hourly.writer() as writer:
        if moment == "stored":
            writer.store(encode({"data": f"2 {_A}"}))
            delete()
        else:
            name = "_move_refs" if moment == "durable" else "_save_cache"
            make = getattr(writer, name)

            def after_deleting(*arguments: object) -> object:
                delete()
                return make(*arguments)

            monkeypatch.setattr(writer, name, after_deleting)
        try:
            _record(writer, 2)
        except GitsnapError as error:
            refused = error

    takes = command == "gc" or (command == "repack") == (most_loose == 2)  # prune: loose objects; repack: packs
    assert len(outputs) == 1
    assert (refused is not None) == (bool(setting) and moment == "durable" and takes)
    if refused is not None:
        assert "git prune" in refused.message
        _take(hourly, 2)
        assert _git(hourly, "config", "extensions.preciousObjects") == "true"
    _check(hourly, 3)


def _garbage(of: GitArchive) -> list[Path]:
    """Create unreferenced objects, all in the first folder that git visits."""
    folder = of.git_folder / "objects" / "00"
    folder.mkdir(exist_ok=True)
    files = []
    for number in itertools.count():
        content = b"blob %d\0%d" % (len(str(number)), number)
        name = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        if name.startswith("00"):
            files.append(folder / name[2:])
            files[-1].write_bytes(zlib.compress(content))
            if len(files) == 400:
                return files
    raise AssertionError


def test_a_prune_that_began_before_a_capture(hourly: GitArchive) -> None:
    """A running prune could delete objects that were written meanwhile. In an archive, git refuses to prune."""
    garbage = _garbage(hourly)
    command = ["git", "-C", hourly.location, "prune", "-v", "--expire=now"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pipesize=4096) as pruning:
        # The test does not read the output: the full pipe blocks git in the middle of the first folder.
        while pruning.poll() is None and all(file.exists() for file in garbage):
            time.sleep(0.01)
        _take(hourly, 2)
        errors = pruning.communicate(timeout=60)[1]

    _check(hourly, 3)
    for file in garbage:  # the capture packed the loose objects
        _git(hourly, "cat-file", "-e", f"{file.parent.name}{file.name}")
    assert "precious-objects" in errors


@pytest.mark.parametrize("shape", ["file", "dangling", "folder"])
def test_symbolic_links_of_an_operator(hourly: GitArchive, tmp_path: Path, shape: str) -> None:
    """A link in place of a file or folder of gitsnap is neither followed nor replaced, and is reported."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.yaml").write_text("outside\n")
    (outside / "b.yaml").write_text("outside\n")
    link = _shown(hourly) if shape != "folder" else _shown(hourly).parent
    if shape == "folder":
        shutil.rmtree(link)
        link.symlink_to(outside)
    else:
        link.unlink()
        link.symlink_to(outside / ("a.yaml" if shape == "file" else "missing.yaml"))
    target = link.readlink()

    changed = _take(hourly, 2)
    with hourly.writer() as writer:
        moment = _NOON + timedelta(minutes=3)
        gone = writer.record(SampleDraft(_INFO, {Area.CONFIGURATION: {}}, moment, Trigger.MANUAL, "cluster-1"))

    expected = {_A, _B} if shape == "folder" else {_A}
    assert set(changed.left_alone) == {f"configuration/{path}" for path in expected}
    assert {f"configuration/{path}" for path in expected} >= set(gone.left_alone) != set()
    assert link.readlink() == target
    assert sorted(path.name for path in outside.iterdir()) == ["a.yaml", "b.yaml"]
    assert {path.read_text() for path in outside.iterdir()} == {"outside\n"}
    assert not [finding for finding in hourly.check() if finding.wrong]


def test_a_damaged_tag_of_the_newest_sample(hourly: GitArchive, tmp_path: Path) -> None:
    """Its number is not used again. `list` and `verify` name the tag."""
    newest = _take(hourly, 2).sample
    ref = hourly.git_folder / "refs" / "tags" / newest.tag
    ref.write_text("damaged\n")

    listed = gitsnap(tmp_path, "list", "--storage", ".", code=0)
    taken = _take(hourly, 3).sample

    assert newest.tag in listed.stderr
    assert (newest.sequence, taken.sequence) == (3, 4)
    assert newest.tag in {finding.subject for finding in hourly.check() if finding.wrong}
    ref.write_text(f"{newest.tag_id}\n")
    assert [sample.sequence for sample in archive.open_archive_at(Path(hourly.location)).samples()] == [1, 2, 3, 4]


def test_a_damaged_tag_of_an_older_sample(hourly: GitArchive) -> None:
    """The next sample has the next number."""
    oldest = hourly.samples()[0]
    (hourly.git_folder / "refs" / "tags" / oldest.tag).write_text("damaged\n")

    assert _take(hourly, 2).sample.sequence == 3


def test_a_branch_with_a_damaged_ref(hourly: GitArchive) -> None:
    """The branch names a missing object: the next capture restores the branch to the newest sample."""
    before = _git(hourly, "rev-parse", "hourly")
    ref = hourly.git_folder / "refs" / "heads" / "hourly"
    ref.write_text(f"{'0' * 39}1\n")
    assert [finding for finding in hourly.check() if finding.wrong]

    taken = _take(hourly, 2)

    assert _git(hourly, "rev-parse", f"{taken.sample.commit}^") == before
    _check(hourly, 3)
