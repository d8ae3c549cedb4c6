"""Refs and objects do not pile up, and packing loses nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from gitsnap.archive import GitArchive, create_archive, maintenance
from gitsnap.core.model import Area, BlobId, Kind, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import RecordedSample, SampleDraft
from gitsnap.format import encode

_START = datetime(2026, 1, 1, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))


def _sample(archive: GitArchive, number: int) -> RecordedSample:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
    with archive.writer() as writer:
        blob = writer.store(encode({**document, "data": {"number": str(number)}}))
        files = {Area.CONFIGURATION: {"default/ConfigMap/a.yaml": blob}}
        moment = _START + timedelta(minutes=number)
        return writer.record(SampleDraft(_INFO, files, moment, Trigger.SCHEDULE, cluster="uid"))


def _content(number: int, minute: int) -> bytes:
    random_text = Random(number).randbytes(100).hex()
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{number:05}", "namespace": "default"}}
    return encode({**document, "data": {"minute": str(minute), "text": random_text}})


def _loose_tags(archive: GitArchive) -> int:
    return len(list((archive.git_folder / "refs" / "tags" / "hourly").glob("*")))


def test_loose_refs_and_objects_are_packed_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample can be read, the objects of removed tags stay, and git reports no damage."""
    monkeypatch.setattr(maintenance, "LOOSE_TAGS", 8)
    archive = create_archive(tmp_path, "hourly")
    for number in range(5):
        _sample(archive, number)
    first = archive.samples()[0]
    with archive.writer() as writer:
        writer.remove([first])
    assert _loose_tags(archive) == 4

    for number in range(5, 20):
        assert _sample(archive, number).worktree_error == ""

    assert _loose_tags(archive) < 8
    samples = archive.samples()
    assert [sample.metadata.sequence for sample in samples] == list(range(2, 21))
    assert not [finding for finding in archive.check() if finding.wrong]
    kept = subprocess.run(
        ["git", "-C", tmp_path / "hourly", "cat-file", "-t", first.tag_id], capture_output=True, check=True
    )
    assert kept.stdout == b"tag\n"
    for number, sample in enumerate(samples, start=1):
        tree = archive.tree(sample)
        assert f'"{number}"'.encode() in tree.read(tree.files(Area.CONFIGURATION)["default/ConfigMap/a.yaml"])


@pytest.mark.slow
def test_folders_that_hardly_differ_are_packed_after_a_few_samples(tmp_path: Path) -> None:
    """Ten changes each in two folders of 300 objects: unpacked, each sample adds both trees again."""
    archive = create_archive(tmp_path, "hourly")
    blobs: dict[str, BlobId] = {}

    def capture(minute: int, changed: Iterable[int]) -> None:
        with archive.writer() as writer:
            for number in changed:
                blobs[f"ns-{number % 2}/ConfigMap/{number:03}.yaml"] = writer.store(_content(number, minute))
            moment = _START + timedelta(minutes=minute)
            files = {Area.CONFIGURATION: dict(sorted(blobs.items()))}
            writer.record(SampleDraft(_INFO, files, moment, Trigger.SCHEDULE, cluster="uid"))

    capture(0, range(600))
    before = archive.repository_bytes()
    for minute in range(1, 21):
        capture(minute, range(minute, 600, 60))

    assert archive.repository_bytes() - before < 160_000
    assert not [finding for finding in archive.check() if finding.wrong]


def test_a_failed_maintenance_does_not_fail_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample exists, and the problem is reported."""
    monkeypatch.setattr(maintenance, "LOOSE_TAGS", 1)
    monkeypatch.setattr(maintenance, "_COMMANDS", (("pack-refs", "--nonsense"),))
    archive = create_archive(tmp_path, "hourly")

    recorded = _sample(archive, 1)

    assert "pack-refs" in recorded.worktree_error
    assert [sample.tag for sample in archive.samples()] == [recorded.sample.tag]


def test_paths_are_found_fast_after_an_operator_s_gc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git gc` writes a commit-graph without changed paths; maintenance adds the changed paths of every commit."""
    archive = create_archive(tmp_path, "hourly")
    for number in range(3):
        _sample(archive, number)
    subprocess.run(["git", "-C", archive.location, "-c", "gc.writeCommitGraph=true", "gc", "-q"], check=True)
    graph = archive.git_folder / "objects" / "info" / "commit-graph"
    assert b"BDAT" not in graph.read_bytes()

    monkeypatch.setattr(maintenance, "LOOSE_TAGS", 1)
    assert _sample(archive, 3).worktree_error == ""

    graphs = list((archive.git_folder / "objects" / "info" / "commit-graphs").glob("*.graph"))
    assert [b"BDAT" in graph.read_bytes() for graph in graphs] == [True]  # the chunk of git's format that holds them
    assert not graph.exists()


def test_a_folder_of_tags_that_an_operator_packs_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A concurrent `git pack-refs` removes the folder: nothing is due, and no capture fails."""
    archive = create_archive(tmp_path, "hourly")
    _sample(archive, 1)
    folder = archive.git_folder / "refs" / "tags" / "hourly"
    listdir = os.listdir

    def pack_first(path: Path) -> list[str]:
        if path == folder:
            subprocess.run(["git", "-C", archive.location, "pack-refs", "--all"], check=True)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", pack_first)

    assert not maintenance.due_commands(archive.git_folder, "hourly")
    assert not folder.exists()


def test_the_size_of_an_archive_whose_files_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that disappears between listing and stat does not count, and is no error."""
    archive = create_archive(tmp_path, "hourly")
    _sample(archive, 1)
    whole = archive.repository_bytes()
    objects = archive.git_folder / "objects"
    size = sum(file.stat().st_size for file in objects.rglob("*") if file.is_file())
    lstat = Path.lstat

    def vanish_first(path: Path) -> os.stat_result:
        if objects in path.parents:
            shutil.rmtree(objects, ignore_errors=True)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", vanish_first)

    assert archive.repository_bytes() == whole - size
