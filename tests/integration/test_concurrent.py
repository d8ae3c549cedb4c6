"""Eight concurrent writers in processes and threads, with readers and retention; writers that die or hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.capture import prune
from gitsnap.core.errors import ConflictError
from gitsnap.core.model import Area, Kind, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.format import encode
from gitsnap.policy.retention import Rules
from gitsnap.policy.snapshot import Retention
from tests.support.commands import gitsnap

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_PROFILE = "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  by: {}\n"
_EACH = 3
_PAUSE = 0.05
"""Seconds between two looks of a reader, so that the writers get the processor."""
_FILES = 5
"""Files of a sample. All have the same text, so a sample with two texts is torn."""


def _take(to: GitArchive, text: str) -> None:
    with to.writer() as writer:
        names = [f"default/ConfigMap/{number}.yaml" for number in range(_FILES)]
        files = {name: writer.store(encode({"name": name, "data": text})) for name in names}
        writer.record(SampleDraft(_INFO, {Area.CONFIGURATION: files}, _NOON, Trigger.SCHEDULE, "cluster-1"))


def _texts(of: GitArchive) -> list[str]:
    """Return the text of each sample, oldest first."""
    sample_texts = []
    for sample in of.samples():
        tree = of.tree(sample)
        files = tree.files(Area.CONFIGURATION)
        assert len(files) == _FILES
        texts = {tree.read(blob).splitlines()[0] for blob in files.values()}
        assert len(texts) == 1
        sample_texts.append(texts.pop().decode())
    return sample_texts


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.integration.test_concurrent import _EACH, _take
from gitsnap import archive
to = archive.create_archive(Path({storage!r}), "hourly")
for number in range(_EACH):
    _take(to, f"process {name} {{number}}")
"""


def _start(storage: Path, name: int) -> subprocess.Popen[bytes]:
    script = _WRITER.format(root=str(Path(__file__).parents[2]), storage=str(storage), name=name)
    return subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)


@contextmanager
def _concurrent_readers(storage: Path) -> Iterator[list[int]]:
    """Run two readers in threads. Yield the number of samples that each look found."""
    done, counts = threading.Event(), []

    def read() -> None:
        seen: list[str] = []
        while not done.is_set():
            if (storage / "hourly").exists():
                now = _texts(archive.open_archive(storage, "hourly"))
                assert now[: len(seen)] == seen  # earlier samples stay, in their order
                counts.append(len(now))
                seen = now
            time.sleep(_PAUSE)

    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            yield counts
        finally:
            done.set()
        for reader in readers:
            reader.result()


def test_eight_writers_create_one_archive(tmp_path: Path) -> None:
    """Every sample of each writer is there once and complete, readers lose no sample, and git finds no damage."""
    processes = [_start(tmp_path, name) for name in range(4)]

    def write(name: int) -> None:
        to = archive.create_archive(tmp_path, "hourly")
        for number in range(_EACH):
            _take(to, f"thread {name} {number}")

    with _concurrent_readers(tmp_path) as counts, ThreadPoolExecutor(4) as pool:
        for written in [pool.submit(write, name) for name in range(4)]:
            written.result()
        errors = [process.communicate()[1] for process in processes]

    assert errors == [b""] * 4
    hourly = archive.open_archive(tmp_path, "hourly")
    expected = [
        f"data: {kind} {name} {number}"
        for kind in ("process", "thread")
        for name in range(4)
        for number in range(_EACH)
    ]
    assert sorted(_texts(hourly)) == sorted(expected)
    assert [sample.metadata.sequence for sample in hourly.samples()] == list(range(1, len(expected) + 1))
    assert hourly.check() == []
    assert [path.name for path in tmp_path.iterdir()] == ["hourly"]
    assert counts


def test_readers_during_retention_and_packing(tmp_path: Path) -> None:
    """Tags are added, removed and packed: each listing has no gap, and each of its samples is complete."""
    hourly = archive.create_archive(tmp_path, "hourly")
    done, looked = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            opened = archive.open_archive_at(tmp_path / "hourly")
            samples = opened.samples()
            sequences = [sample.metadata.sequence for sample in samples]
            assert sequences == list(range(sequences[0], sequences[-1] + 1)) if sequences else True
            for sample in samples:
                assert len(opened.tree(sample).files(Area.CONFIGURATION)) == _FILES
            looked.append(len(samples))
            time.sleep(_PAUSE)

    def pack() -> None:
        while not done.is_set():
            subprocess.run(["git", "-C", hourly.location, "pack-refs", "--all"], capture_output=True, check=False)

    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(read), pool.submit(read), pool.submit(pack)]
        try:
            for number in range(16):
                _take(hourly, str(number))
                if number % 3 == 2:
                    with hourly.writer() as writer:
                        prune.prune(writer, Rules(Retention(keep_last=4)))
        finally:
            done.set()
        for future in futures:
            future.result()

    assert [sample.metadata.sequence for sample in hourly.samples()] == [12, 13, 14, 15, 16]
    assert not [finding for finding in hourly.check() if finding.wrong]
    assert len(looked) > 5


def test_a_writer_that_dies_leaves_no_lock(tmp_path: Path) -> None:
    """The kernel releases the lock when the process ends."""
    hourly = archive.create_archive(tmp_path, "hourly")
    with _lock_holder(hourly) as process:
        with pytest.raises(ConflictError), hourly.writer(patience=0):
            pass
        process.kill()
        process.wait()

    with hourly.writer(patience=0):
        pass


def test_a_writer_that_hangs(tmp_path: Path) -> None:
    """The error names the process, and nothing is written. After the process ends, captures continue."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "a.yaml").write_text(_PROFILE.format("me"))
    command = ["capture", "--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit"]
    gitsnap(tmp_path, *command, code=0)
    hourly = archive.open_archive_at(tmp_path / "hourly")
    with _lock_holder(hourly) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(ConflictError, match=f"pid {process.pid} on ") as refused, hourly.writer(patience=0.3):
            pass
        assert len(hourly.samples()) == 1
        process.kill()
        process.wait()

    assert "end it" in refused.value.hint
    gitsnap(tmp_path, *command, code=0)
    assert hourly.check() == []


@contextmanager
def _lock_holder(hourly: GitArchive) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the writer's lock and has stored an object."""
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from gitsnap.archive import open_archive_at
        with open_archive_at(Path({hourly.location!r})).writer() as writer:
            writer.store(b"unfinished")
            print("ready", flush=True)
            sys.stdin.read()
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
