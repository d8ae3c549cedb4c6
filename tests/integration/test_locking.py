"""Cluster, mode and keys are decided under the writer's lock, and one process at a time writes the copy of a remote."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitsnap.archive import create_archive
from gitsnap.archive.lock import exclusive_lock
from tests.support.commands import gitsnap
from tests.support.incomplete_archives import git
from tests.support.remotes import bare_repository

_CLUSTER = """\
apiVersion: v1
kind: Namespace
metadata: {{name: kube-system, uid: {uid}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: default}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: shop, namespace: default}}
data: {{n: "{text}"}}
"""


def _cluster(folder: Path, name: str, *, uid: str = "one", text: str = "1") -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "all.yaml").write_text(_CLUSTER.format(uid=uid, text=text))


def _capture(cluster: str, *more: str) -> tuple[str, ...]:
    return ("capture", "--snapshot", "p", "--from-dir", cluster, "--resources", "ConfigMap", *more)


def _begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gitsnap", *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_until_blocked(lock: Path, process: subprocess.Popen[str]) -> None:
    """Return when the process has opened the lock file and waits for the lock."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            if link.exists() and link.resolve() == lock.resolve():
                return
        time.sleep(0.02)
    raise AssertionError("the process does not wait for the lock")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the open files of a process in /proc")
@pytest.mark.parametrize(
    ("second", "code", "words"),
    [
        (_capture("other"), 11, "belongs to the cluster one"),
        (_capture("cluster"), 0, "p/"),
    ],
)
def test_a_capture_that_waited_for_the_first_sample(
    tmp_path: Path, second: tuple[str, ...], code: int, words: str
) -> None:
    """The capture begins in an empty archive. The first sample decides the mode, and another cluster is refused."""
    _cluster(tmp_path, "cluster", uid="one")
    _cluster(tmp_path, "other", uid="two", text="2")
    archive = create_archive(tmp_path, "p")
    lock = archive.git_folder / "gitsnap.lock"
    made = tmp_path / "made"
    made.mkdir()
    gitsnap(made, *_capture(str(tmp_path / "cluster"), "--secrets-mode", "redact"), code=0)

    with exclusive_lock(lock, subject="the archive", patience=5):
        process = _begin(tmp_path, *second)
        _wait_until_blocked(lock, process)
        for part in ("objects", "refs"):  # another capture records the first sample
            shutil.copytree(made / "p" / ".git" / part, archive.git_folder / part, dirs_exist_ok=True)
        shutil.copytree(made / ".keys", tmp_path / ".keys")
    out, err = process.communicate(timeout=60)

    assert (process.returncode, words in out + err) == (code, True), out + err
    assert "kept" not in err  # no key was made
    opened = create_archive(tmp_path, "p")
    samples = opened.samples()
    assert {sample.metadata.cluster for sample in samples} == {"one"}
    assert {str(opened.tree(sample).info.secrets.mode) for sample in samples} == {"redact"}


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository with the archive p, which has one sample."""
    _cluster(tmp_path, "cluster")
    gitsnap(tmp_path, *_capture("cluster", "--secrets-mode", "omit"), code=0)
    made = bare_repository(tmp_path / "remote.git")
    _push(tmp_path, made)
    return made


def _push(folder: Path, to: Path) -> None:
    gitsnap(folder, "push", "--snapshot", "p", "--to", f"file://{to}", code=0)


def _capture_and_push(folder: Path, to: Path, text: str) -> None:
    _cluster(folder, "cluster", text=text)
    gitsnap(folder, *_capture("cluster"), code=0)
    _push(folder, to)


def _copy_of(cache: Path) -> Path:
    (copy,) = cache.glob("gitsnap/*/*/.git")
    return copy


def test_concurrent_readers_of_one_url(tmp_path: Path, remote: Path) -> None:
    """Every reader gets the answer, even the first ones, for which no copy exists yet."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for text in ("2", "3"):
        words = [sys.executable, "-m", "gitsnap", "list", "--archive", f"file://{remote}", "-o", "json"]
        readers = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) for _ in range(4)]
        answers = {reader.communicate(timeout=120)[0] for reader in readers}
        assert [reader.returncode for reader in readers] == [0] * 4
        assert len(answers) == 1
        _capture_and_push(tmp_path, remote, text)


@pytest.mark.parametrize("damage", ["branch.lock", "config.lock", "HEAD", "objects", "half a copy"])
def test_a_copy_that_a_killed_process_left_damaged(tmp_path: Path, remote: Path, damage: str) -> None:
    """Stale locks are removed, and a copy that cannot be repaired is fetched again."""
    words = ("list", "--archive", f"file://{remote}", "-o", "json")
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    gitsnap(tmp_path, *words, code=0, **environment)
    copy = _copy_of(tmp_path / "cache")
    if damage.endswith(".lock"):
        lock = copy / ("refs/heads/p.lock" if damage == "branch.lock" else damage)
        lock.touch()
        os.utime(lock, (0, 0))
    elif damage == "HEAD":
        (copy / "HEAD").write_bytes(b"")
    elif damage == "objects":
        shutil.rmtree(copy / "objects")
    else:
        copy.parent.rename(copy.parent.with_name(f".making-{copy.parent.name}"))
    _capture_and_push(tmp_path, remote, "2")

    listed = gitsnap(tmp_path, *words, code=0, **environment).stdout

    assert listed.count('"tag"') == 2
    left = [entry.name for entry in copy.parent.parent.iterdir() if entry.name.startswith(".")]
    assert left == []


def test_a_new_copy_keeps_unsent_samples(tmp_path: Path, remote: Path) -> None:
    """Only the copy has a sample of a rollback that the remote does not have yet."""
    words = ("list", "--archive", f"file://{remote}", "-o", "json")
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    gitsnap(tmp_path, *words, code=0, **environment)
    copy = _copy_of(tmp_path / "cache")
    tag = git(copy, "tag")
    content = git(copy, "cat-file", "tag", tag).replace(tag, f"{tag}-1000")
    unsent = git(copy, "hash-object", "-t", "tag", "-w", "--stdin", given=f"{content}\n".encode())
    git(copy, "update-ref", f"refs/gitsnap/unsent/{tag}-1000", unsent)
    (copy / "packed-refs").write_bytes(b"cut of")

    listed = gitsnap(tmp_path, *words, code=0, **environment).stdout

    assert f"{tag}-1000" in listed


def test_a_killed_process_releases_the_lock_of_the_copies(tmp_path: Path, remote: Path) -> None:
    """The kernel releases the lock when the process ends."""
    lock = tmp_path / "cache" / "gitsnap" / "gitsnap.lock"
    lock.parent.mkdir(parents=True)
    script = (
        "import sys, time; from pathlib import Path; from gitsnap.archive.lock import exclusive_lock\n"
        "with exclusive_lock(Path(sys.argv[1]), subject='x', patience=1):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(lock)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()

    words = ("list", "--archive", f"file://{remote}")
    gitsnap(tmp_path, *words, code=0, XDG_CACHE_HOME=str(tmp_path / "cache"))
