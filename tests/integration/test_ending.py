"""However gitsnap ends, git and ssh end with it, and credentials do not stay behind."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitsnap.core import files as private_files
from gitsnap.git.child_process import run_child
from tests.support.commands import gitsnap
from tests.support.remotes import generate_key

_PROFILE = "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec: {}\n"
_PUSH = """\
import sys
import threading
from pathlib import Path
from gitsnap import cli
from gitsnap.cli import resolve
from gitsnap.cluster import open_directory
resolve.ClusterOptions.open = lambda self: open_directory(Path("cluster"), known_kinds={})
cli.main(["push", "--snapshot", "hourly"])
"""
"""`gitsnap push` with a folder in place of the cluster."""


def _until(condition: Callable[[], bool], *, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def _processes(words: str) -> list[int]:
    """Processes that have this in their command line."""
    numbers = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [number for number in numbers if words in _command(number) and number != os.getpid()]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def _secret(values: dict[str, bytes]) -> str:
    data = {name: base64.b64encode(value).decode() for name, value in values.items()}
    metadata = {"name": "remote", "namespace": "gitsnap"}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})


@pytest.fixture
def place(tmp_path: Path, silent_port: int) -> Path:
    """A storage with a sample, a Snapshot that names the silent server, a Secret, and a folder for temporary files."""
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    (tmp_path / "tmp").mkdir()
    (cluster / "a.yaml").write_text(_PROFILE)
    words = ("--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit")
    gitsnap(tmp_path, "capture", *words, code=0)
    public = generate_key(tmp_path / "key")
    known = f"[127.0.0.1]:{silent_port} {' '.join(public.split()[:2])}\n"
    values = {"identity": (tmp_path / "key").read_bytes(), "known_hosts": known.encode()}
    (cluster / "secret.yaml").write_text(_secret(values))
    (cluster / "snapshot.yaml").write_text(
        "apiVersion: utils.projectsveltos.io/v1beta1\nkind: Snapshot\nmetadata: {name: hourly}\nspec:\n"
        f"  schedule: '@hourly'\n  push:\n    url: ssh://git@127.0.0.1:{silent_port}/x.git\n"
        "    secretRef: {namespace: gitsnap, name: remote}\n"
    )
    return tmp_path


def _keys_left(place: Path) -> list[Path]:
    files = [file for file in (place / "tmp").rglob("*") if file.is_file()]
    return [file for file in files if b"PRIVATE KEY" in file.read_bytes()]


def _push(place: Path, port: int) -> subprocess.Popen[bytes]:
    """A push that waits for the server, with its key on disk and ssh running."""
    environment = {**os.environ, "TMPDIR": str(place / "tmp")}
    command = [sys.executable, "-c", _PUSH]
    process = subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE)
    started = _until(lambda: bool(_keys_left(place)) and bool(_processes(f"-p {port} git@127.0.0.1")))
    assert started, process.communicate(timeout=5)
    return process


@pytest.fixture
def signals_as_at_a_terminal() -> Iterator[None]:
    """Children inherit ignored signals: SIGINT of a shell's background, SIGHUP of nohup."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_at_a_terminal")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_push_that_is_asked_to_end(place: Path, silent_port: int, number: signal.Signals, code: int) -> None:
    """It ends in order: nothing runs on, nothing is left, one sentence says so."""
    process = _push(place, silent_port)

    process.send_signal(number)
    _, said = process.communicate(timeout=20)

    assert process.returncode == code
    assert b"interrupted" in said
    assert b"Traceback" not in said
    assert list((place / "tmp").iterdir()) == []
    assert _until(lambda: not _processes(f"-p {silent_port} git@127.0.0.1"))


def test_a_push_that_is_killed(place: Path, silent_port: int) -> None:
    """ssh ends with it. The key stays, since nobody was there to remove it, until gitsnap runs again."""
    process = _push(place, silent_port)

    process.kill()
    process.communicate(timeout=20)

    assert _until(lambda: not _processes(f"-p {silent_port} git@127.0.0.1"), seconds=10)
    assert _keys_left(place)
    gitsnap(place, "list", TMPDIR=str(place / "tmp"), code=0)
    assert list((place / "tmp").iterdir()) == []


def test_what_another_process_uses_stays(place: Path, silent_port: int) -> None:
    """Only the folders of the dead are removed."""
    process = _push(place, silent_port)
    before = _keys_left(place)

    gitsnap(place, "list", TMPDIR=str(place / "tmp"), code=0)

    assert _keys_left(place) == before
    process.terminate()
    process.communicate(timeout=20)


def test_a_killed_process_takes_all_its_children_with_it() -> None:
    """Also one that a child has started, and one that ignores SIGTERM."""
    sleeper = f"sleep 7{os.getpid()}"
    script = f"trap '' TERM; sh -c 'exec {sleeper}' & exec {sleeper}"
    code = (
        "from gitsnap.git.child_process import run_child\n"
        f"run_child(['sh', '-c', {script!r}], environment={{'PATH': {os.environ['PATH']!r}}})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    assert _until(lambda: len(_sleepers(sleeper)) == 2)

    process.kill()
    process.wait()

    assert _until(lambda: not _sleepers(sleeper), seconds=10)


def _sleepers(command: str) -> list[int]:
    """Processes that are this command, not those that are about to start it."""
    return [number for number in _processes(command) if _command(number).startswith(command)]


def _command(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def test_a_child_that_takes_too_long_is_ended() -> None:
    """With what it has started, and without waiting for one that ignores SIGTERM longer than a moment."""
    sleeper = f"sleep 8{os.getpid()}"
    started = time.monotonic()

    with pytest.raises(subprocess.TimeoutExpired):
        run_child(["sh", "-c", f"trap '' TERM; {sleeper}"], environment={"PATH": os.environ["PATH"]}, seconds=0.5)

    assert time.monotonic() - started < 15
    assert _until(lambda: not _sleepers(sleeper))


def test_a_child_gets_its_input_and_gives_its_output() -> None:
    """Both streams, the exit code, and 128 and the number for a signal."""
    environment = {"PATH": os.environ["PATH"]}

    done = run_child(["sh", "-c", "cat; echo err >&2; exit 7"], environment=environment, stdin=b"x" * 200_000)
    killed = run_child(["sh", "-c", "kill -KILL $$"], environment=environment)

    assert (done.returncode, done.stdout, done.stderr) == (7, b"x" * 200_000, b"err\n")
    assert killed.returncode == 137


def test_a_folder_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner's alone, gone afterwards; what has another name or is a link is nobody's to remove."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "gitsnap-tmp.link").symlink_to(tmp_path.parent)
    (tmp_path / "gitsnap-tmp.file").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "gitsnap-tmp.dead").mkdir()

    with private_files.temporary_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        private_files.remove_abandoned_folders()
        assert folder.exists()

    assert {entry.name for entry in tmp_path.iterdir()} == {"gitsnap-tmp.link", "gitsnap-tmp.file", "other"}


def test_folders_of_a_process_that_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller may have to end while a push still waits: it runs no ``finally``, so it removes them itself."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with private_files.temporary_folder() as first, private_files.temporary_folder() as second:
        private_files.write_temporary(first / "key", b"x")
        private_files.discard_temporary_folders()
        assert not first.exists()
        assert not second.exists()


def test_a_new_folder_is_never_taken_for_an_abandoned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others clear while folders are made: between making a folder and locking it nothing is lost."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    stop = threading.Event()

    def clear() -> None:
        while not stop.is_set():
            private_files.remove_abandoned_folders()

    clearing = [threading.Thread(target=clear) for _ in range(2)]
    for thread in clearing:
        thread.start()
    try:
        for _ in range(300):
            with private_files.temporary_folder() as folder:
                file = private_files.write_temporary(folder / "key", b"x")
                assert file.read_bytes() == b"x"
    finally:
        stop.set()
        for thread in clearing:
            thread.join()
    assert list(tmp_path.iterdir()) == []


def test_where_temporary_folders_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TMPDIR that is not there keeps nobody from reading an archive."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))

    with private_files.temporary_folder() as folder:
        assert folder.parent != tmp_path / "missing"
        assert folder.is_dir()
