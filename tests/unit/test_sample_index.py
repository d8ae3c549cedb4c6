"""The index of samples saves reading tags; whatever is in it, or missing from it, samples are what their tags say."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive, reading
from gitsnap.errors import ArchiveError
from gitsnap.format import encode
from gitsnap.history import find_sample
from gitsnap.model import Area, Kind, Sample, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.ports import SampleDraft

_START = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_COUNT = 5


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the index of an archive of five samples is; the clock went back before the fourth."""
    monkeypatch.setattr(reading, "_WORTH_KEEPING", 1)
    made = archive.create_archive(tmp_path, "hourly")
    for number in range(_COUNT):
        _take(made, number, _START + timedelta(hours=number if number < 3 else number - 10))
    _reopened(tmp_path / "hourly").samples()
    return made.git_folder / "gitsnap-samples"


def _take(to: GitArchive, number: int, time: datetime) -> None:
    with to.writer() as writer:
        blob = writer.store(encode({"data": str(number)}))
        files = {Area.CONFIGURATION: {"default/ConfigMap/a.yaml": blob}}
        writer.record(SampleDraft(_INFO, files, time, Trigger.MANUAL, "cluster-1"))


def _reopened(folder: Path) -> GitArchive:
    return archive.open_path(folder)


def _facts(of: GitArchive) -> list[tuple[object, ...]]:
    return [(one.tag, one.tag_id, one.commit, one.sequence, one.time, one.metadata) for one in of.samples()]


def _with_checksum(body: bytes) -> bytes:
    return f"gitsnap samples 1 {hashlib.sha256(body).hexdigest()}\n".encode() + body


def test_samples_are_the_same_with_and_without_an_index(index: Path) -> None:
    """In the order of their sequence, which is not that of their names here."""
    assert index.read_bytes().count(b"\n") == _COUNT + 1
    with_index = _facts(_reopened(index.parent.parent))
    index.unlink()

    assert _facts(_reopened(index.parent.parent)) == with_index
    assert [facts[3] for facts in with_index] == [1, 2, 3, 4, 5]
    assert [facts[0] for facts in with_index] != sorted(str(facts[0]) for facts in with_index)


def test_a_sample_is_found_without_reading_any_other_tag(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, by moment and as the newest; only the one that is asked what it says is read."""
    read: list[str] = []
    original = reading._sample

    def noted(repository: pygit2.Repository, name: str, target: str) -> Sample:
        read.append(name)
        return original(repository, name, target)

    monkeypatch.setattr(reading, "_sample", noted)
    samples = _reopened(index.parent.parent).samples()

    newest = find_sample(samples, "latest")
    found = [find_sample(samples, name) for name in ("@2026-01-01T13:30Z", "2026-01-01:14:00:00", "latest~3")]
    assert read == []
    assert newest.metadata.sequence == _COUNT
    assert read == [newest.tag]
    assert [one.sequence for one in found] == [5, 3, 2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda _whole: b"",
        lambda whole: b"\0" * len(whole),
        lambda whole: whole.replace(b" 4 ", b" 9 "),
        lambda whole: whole.replace(b"samples 1", b"samples 2"),
        lambda _whole: _with_checksum(b"one two three\n"),
        lambda _whole: _with_checksum(b"one two three four\n"),
    ],
    ids=["cut", "empty", "zeros", "flipped", "other layout", "short line", "no number"],
)
def test_a_damaged_index_is_no_index(index: Path, damage: Callable[[bytes], bytes]) -> None:
    """Samples are read from their tags, and the index is written anew."""
    before = index.read_bytes()
    index.write_bytes(damage(before))

    assert [one.sequence for one in _reopened(index.parent.parent).samples()] == [1, 2, 3, 4, 5]
    assert index.read_bytes() == before


def test_an_index_that_somebody_forged_is_found_out(index: Path) -> None:
    """What a sample says is read from its tag: where the index said something else, nothing is done, and it goes."""
    head, _, body = index.read_bytes().partition(b"\n")
    index.write_bytes(_with_checksum(body.replace(b" 2 ", b" 9 ")))
    assert head != index.read_bytes().partition(b"\n")[0]
    opened = _reopened(index.parent.parent)
    sample = find_sample(opened.samples(), "latest")
    assert sample.sequence == 9

    with pytest.raises(ArchiveError, match="index"):
        opened.tree(sample)

    assert not index.exists()
    assert find_sample(_reopened(index.parent.parent).samples(), "latest").sequence == _COUNT


def test_removed_and_new_samples(index: Path) -> None:
    """The refs say which samples there are; the index never brings one back, nor hides one."""
    opened = _reopened(index.parent.parent)
    with opened.writer() as writer:
        writer.remove([opened.samples()[1]])
    _take(opened, 9, _START + timedelta(days=1))

    assert [one.sequence for one in _reopened(index.parent.parent).samples()] == [1, 3, 4, 5, 6]


def test_verify_does_not_believe_the_index(index: Path) -> None:
    """A tag whose object is gone is found, although the index knows what it said."""
    opened = _reopened(index.parent.parent)
    gone = opened.samples()[2].tag_id
    (index.parent / "objects" / gone[:2] / gone[2:]).unlink()

    assert any(one.wrong and one.subject == opened.samples()[2].tag for one in _reopened(index.parent.parent).check())


def test_the_index_is_its_owner_s_alone(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else may read it, and in somebody else's archive none is written."""
    assert stat.S_IMODE(index.stat().st_mode) == 0o600
    index.unlink()
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)

    assert len(_reopened(index.parent.parent).samples()) == _COUNT
    assert not index.exists()
    assert not list(index.parent.glob(".gitsnap-samples*"))
