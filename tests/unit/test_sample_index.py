"""The index of samples avoids reads of tags. For any content of the index, samples equal their tags."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive, reader
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, Kind, Sample, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.format import encode
from gitsnap.history.samples import TimeIndexed, find_sample

_START = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_COUNT = 5


@pytest.fixture(params=[0, 3, _COUNT], ids=["loose", "mixed", "packed"])
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """The path of the index of an archive with five samples. The clock was set back before the fourth sample.

    The parameter is the number of samples with packed refs.
    """
    monkeypatch.setattr(reader, "_MOST_UNINDEXED", 1)
    made = archive.create_archive(tmp_path, "hourly")
    for number in range(_COUNT):
        _take(made, number, _START + timedelta(hours=number if number < 3 else number - 10))
        if number + 1 == request.param:
            _pack_refs(made.git_folder)
    _reopened(tmp_path / "hourly").samples()
    return made.git_folder / "gitsnap-samples"


def _pack_refs(git_folder: Path) -> None:
    subprocess.run(["git", f"--git-dir={git_folder}", "pack-refs", "--all"], check=True)


def _take(to: GitArchive, number: int, time: datetime) -> None:
    with to.writer() as writer:
        blob = writer.store(encode({"data": str(number)}))
        files = {Area.CONFIGURATION: {"default/ConfigMap/a.yaml": blob}}
        writer.record(SampleDraft(_INFO, files, time, Trigger.MANUAL, "cluster-1"))


def _reopened(folder: Path) -> GitArchive:
    return archive.open_archive_at(folder)


def _facts(of: GitArchive) -> list[tuple[object, ...]]:
    return [
        (sample.tag, sample.tag_id, sample.commit, sample.sequence, sample.time, sample.metadata)
        for sample in of.samples()
    ]


def _with_checksum(whole: bytes) -> bytes:
    """An index with any lines and a valid checksum."""
    head, _, body = whole.partition(b"\n")
    *_, packed, count = head.split(b" ")
    digest = hashlib.blake2b(packed + b" " + count + b"\n" + body, digest_size=32).hexdigest().encode()
    return b" ".join([b"gitsnap samples 2", digest, packed, count]) + b"\n" + body


@pytest.mark.slow
def test_samples_are_the_same_with_and_without_an_index(index: Path) -> None:
    """In the order of their sequence, which differs here from the order of their names."""
    assert index.read_bytes().count(b"\n") == _COUNT + 1
    with_index = _facts(_reopened(index.parent.parent))
    index.unlink()

    assert _facts(_reopened(index.parent.parent)) == with_index
    samples = _reopened(index.parent.parent).samples()
    assert [sample.sequence for sample in reversed(samples)] == [5, 4, 3, 2, 1]
    assert [sample.sequence for sample in (*samples[1:3], samples[-1], *samples[::-2])] == [2, 3, 5, 5, 3, 1]
    with pytest.raises(IndexError):
        samples[_COUNT]
    assert [facts[3] for facts in with_index] == [1, 2, 3, 4, 5]
    assert [facts[0] for facts in with_index] != sorted(str(facts[0]) for facts in with_index)


def test_a_sample_is_found_without_reading_any_other_tag(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, by moment and as the newest; only the newest is read, to know whether newer ones may be missing."""
    read: list[str] = []
    original = reader._read_sample

    def noted(repository: pygit2.Repository, name: str, target: str) -> Sample:
        read.append(name)
        return original(repository, name, target)

    monkeypatch.setattr(reader, "_read_sample", noted)
    samples = _reopened(index.parent.parent).samples()

    newest = find_sample(samples, "latest")
    found = [find_sample(samples, name) for name in ("@2026-01-01T13:30Z", "2026-01-01:14:00:00", "latest~3")]
    assert newest.metadata.sequence == _COUNT
    assert set(read) == {newest.tag}
    assert [sample.sequence for sample in found] == [5, 3, 2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda _whole: b"",
        lambda whole: b"\0" * len(whole),
        lambda whole: whole.replace(b" 4 ", b" 9 "),
        lambda whole: whole.replace(b"samples 2", b"samples 1"),
        lambda whole: whole.replace(b"\n", b"1\n", 1),
    ],
    ids=["cut", "empty", "zeros", "flipped", "other layout", "other count"],
)
def test_a_damaged_index_is_ignored(index: Path, damage: Callable[[bytes], bytes]) -> None:
    """Samples are read from their tags, and the index is written again."""
    before = index.read_bytes()
    index.write_bytes(damage(before))

    assert [sample.sequence for sample in _reopened(index.parent.parent).samples()] == [1, 2, 3, 4, 5]
    assert index.read_bytes() == before


def test_a_forged_index_is_detected(index: Path) -> None:
    """Metadata is read from the tag: where the index differs, the command fails and the index is deleted."""
    whole = index.read_bytes()
    index.write_bytes(_with_checksum(whole.replace(b" 5 ", b" 9 ")))
    opened = _reopened(index.parent.parent)
    sample = find_sample(opened.samples(), "latest")
    assert sample.sequence == 9

    with pytest.raises(ArchiveError, match="index"):
        opened.tree(sample)

    assert not index.exists()
    assert find_sample(_reopened(index.parent.parent).samples(), "latest").sequence == _COUNT


@pytest.mark.parametrize("line", [b"one two three", b"one two three four five"])
def test_a_line_that_gitsnap_did_not_write(index: Path, line: bytes) -> None:
    """The command fails and the index is deleted, although its checksum is valid."""
    lines = index.read_bytes().split(b"\n")
    index.write_bytes(_with_checksum(b"\n".join([*lines[:-2], line, b""])))

    with pytest.raises(ArchiveError, match="did not write"):
        find_sample(_reopened(index.parent.parent).samples(), "latest")

    assert not index.exists()


def test_removed_and_new_samples(index: Path) -> None:
    """The refs decide which samples exist; the index neither restores nor hides a sample."""
    opened = _reopened(index.parent.parent)
    with opened.writer() as writer:
        writer.remove([opened.samples()[1]])
    _take(opened, 9, _START + timedelta(days=1))

    assert [sample.sequence for sample in _reopened(index.parent.parent).samples()] == [1, 3, 4, 5, 6]


def test_the_order_of_samples_does_not_depend_on_packed_refs(index: Path) -> None:
    """A tag in the middle becomes a loose ref again, as after `git tag -f`; later all tags are packed."""
    opened = _reopened(index.parent.parent)
    facts = _facts(opened)
    _pack_refs(index.parent)
    assert _facts(opened) == facts
    second = opened.samples()[1]
    for words in (["-d", f"refs/tags/{second.tag}"], [f"refs/tags/{second.tag}", second.tag_id]):
        subprocess.run(["git", f"--git-dir={index.parent}", "update-ref", *words], check=True)

    assert _facts(_reopened(index.parent.parent)) == facts
    assert _facts(_reopened(index.parent.parent)) == facts
    _pack_refs(index.parent)
    assert _facts(_reopened(index.parent.parent)) == facts


def test_a_loose_ref_takes_precedence_over_a_packed_ref(index: Path) -> None:
    """A tag that was moved by hand counts as it is now; without its loose ref, the packed ref counts."""
    opened = _reopened(index.parent.parent)
    facts = _facts(opened)
    _pack_refs(index.parent)
    assert _facts(opened) == facts
    second, third = opened.samples()[1:3]
    moved = index.parent / "refs" / "tags" / second.tag
    moved.parent.mkdir(exist_ok=True)
    moved.write_text(f"{third.tag_id}\n")

    for _ in range(2):
        found = _reopened(index.parent.parent).samples()
        assert [sample.sequence for sample in found] == [1, 3, 3, 4, 5]
    moved.unlink()
    assert _facts(_reopened(index.parent.parent)) == facts


def test_a_sample_is_found_by_name_where_clocks_went_back(index: Path) -> None:
    """Every sample by each of its names, also where samples are not in the order of their times."""
    samples = _reopened(index.parent.parent).samples()

    for sample in samples:
        for name in (sample.moment, sample.tag, sample.tag.rpartition("/")[2]):
            assert find_sample(samples, name).tag_id == sample.tag_id


@pytest.mark.slow
def test_verify_does_not_trust_the_index(index: Path) -> None:
    """A tag with a missing object is reported, although the index has its content."""
    opened = _reopened(index.parent.parent)
    gone = opened.samples()[2].tag_id
    (index.parent / "objects" / gone[:2] / gone[2:]).unlink()

    assert any(
        finding.wrong and finding.subject == opened.samples()[2].tag
        for finding in _reopened(index.parent.parent).check()
    )


@pytest.mark.slow
def test_the_index_is_private(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other users cannot read the index, and in the archive of another user no index is written."""
    assert stat.S_IMODE(index.stat().st_mode) == 0o600
    index.unlink()
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)

    assert len(_reopened(index.parent.parent).samples()) == _COUNT
    assert not index.exists()
    assert not list(index.parent.glob(".gitsnap-samples*"))


@pytest.mark.parametrize("later", [timedelta(seconds=-1), timedelta(0), timedelta(seconds=1)])
@pytest.mark.slow
def test_the_sample_at_a_moment_equals_a_linear_search(index: Path, later: timedelta) -> None:
    """The newest in the order of samples, although the clock was set back before the fourth."""
    samples = _reopened(index.parent.parent).samples()
    one_by_one = list(samples)

    assert isinstance(samples, TimeIndexed)
    for sample in one_by_one:
        moment = sample.time + later
        expected = [sample for sample in one_by_one if sample.time <= moment][-1:]
        assert samples.until(moment) == (expected[0] if expected else None)
        if expected:
            assert find_sample(samples, f"@{moment:%Y-%m-%dT%H:%M:%SZ}") == expected[0]
            assert find_sample(one_by_one, f"@{moment:%Y-%m-%dT%H:%M:%SZ}") == expected[0]


def test_the_first_sample_of_a_commit(index: Path) -> None:
    """Samples without changes share the commit of an earlier sample."""
    opened = _reopened(index.parent.parent)
    _take(opened, _COUNT - 1, _START + timedelta(days=1))
    samples = list(opened.samples())
    found = opened.first_samples()

    assert samples[-1].commit == samples[-2].commit
    assert dict(found) == {sample.commit: sample for sample in samples[:-1]}
    assert len(found) == _COUNT


def test_a_sample_of_the_index_equals_the_sample_of_its_tag(index: Path) -> None:
    """Also in sets and as a key, and with the same order."""
    indexed = list(_reopened(index.parent.parent).samples())
    plain = [Sample(sample.tag, sample.tag_id, sample.commit, sample.metadata) for sample in indexed]

    assert plain == indexed
    assert set(plain) == set(indexed)
    assert [sample.order for sample in plain] == [sample.order for sample in indexed]
    assert plain[0] != indexed[1]
    assert plain[0] != plain[0].tag
