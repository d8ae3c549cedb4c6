"""When gitsnap ends for any reason, git and ssh end as well, and no credentials are left."""

from __future__ import annotations

import base64
import contextlib
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
    """Return the processes whose command line contains these words."""
    numbers = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [number for number in numbers if words in _command(number) and number != os.getpid()]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a server that accepts connections and sends nothing."""
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
    gitsnap(tmp_path, "capture", "--create", *words, code=0)
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
    """The private keys in temporary folders. The running command may remove files and folders meanwhile."""
    files = (Path(folder, name) for folder, _, names in os.walk(place / "tmp") for name in names)
    return [file for file in files if b"PRIVATE KEY" in _content(file)]


def _content(file: Path) -> bytes:
    """Return the content of a file; nothing if the file was removed meanwhile, or is no regular file."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_bytes() if file.is_file() else b""
    return b""


def _push(place: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a push. Return when it waits for the server, with its key on disk and ssh running."""
    environment = {**os.environ, "TMPDIR": str(place / "tmp")}
    command = [sys.executable, "-c", _PUSH]
    process = subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE)
    started = _until(lambda: bool(_keys_left(place)) and bool(_processes(f"-p {port} git@127.0.0.1")))
    assert started, process.communicate(timeout=5)
    return process


@pytest.fixture
def signals_as_at_a_terminal() -> Iterator[None]:
    """Handle SIGINT and SIGHUP, because children inherit signals that a background shell or nohup ignores."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_at_a_terminal")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_push_that_is_terminated(place: Path, silent_port: int, number: signal.Signals, code: int) -> None:
    """No child and no file is left, and one message reports the interruption."""
    process = _push(place, silent_port)

    process.send_signal(number)
    _, output = process.communicate(timeout=20)

    assert process.returncode == code
    assert b"interrupted" in output
    assert b"Traceback" not in output
    assert list((place / "tmp").iterdir()) == []
    assert _until(lambda: not _processes(f"-p {silent_port} git@127.0.0.1"))


def test_a_push_that_is_killed(place: Path, silent_port: int) -> None:
    """ssh ends as well. The key stays until gitsnap runs again."""
    process = _push(place, silent_port)

    process.kill()
    process.communicate(timeout=20)

    assert _until(lambda: not _processes(f"-p {silent_port} git@127.0.0.1"), seconds=10)
    assert _keys_left(place)
    gitsnap(place, "list", TMPDIR=str(place / "tmp"), code=0)
    assert list((place / "tmp").iterdir()) == []


def test_folders_of_a_running_process_stay(place: Path, silent_port: int) -> None:
    """Only the folders of ended processes are removed."""
    process = _push(place, silent_port)
    before = _keys_left(place)

    gitsnap(place, "list", TMPDIR=str(place / "tmp"), code=0)

    assert _keys_left(place) == before
    process.terminate()
    process.communicate(timeout=20)


def test_children_end_with_a_killed_process() -> None:
    """The children include a grandchild, and a child that ignores SIGTERM."""
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
    """Return the processes that run this command, without the shells that are about to start it."""
    return [number for number in _processes(command) if _command(number).startswith(command)]


def _command(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def test_a_child_that_takes_too_long_is_ended() -> None:
    """The child ends with its own children. A child that ignores SIGTERM is killed after a moment."""
    sleeper = f"sleep 8{os.getpid()}"
    started = time.monotonic()

    with pytest.raises(subprocess.TimeoutExpired):
        run_child(["sh", "-c", f"trap '' TERM; {sleeper}"], environment={"PATH": os.environ["PATH"]}, seconds=0.5)

    assert time.monotonic() - started < 15
    assert _until(lambda: not _sleepers(sleeper))


def test_a_child_gets_its_input_and_gives_its_output() -> None:
    """Both streams, the exit code, and 128 plus the number of a signal."""
    environment = {"PATH": os.environ["PATH"]}

    done = run_child(["sh", "-c", "cat; echo err >&2; exit 7"], environment=environment, stdin=b"x" * 200_000)
    killed = run_child(["sh", "-c", "kill -KILL $$"], environment=environment)

    assert (done.returncode, done.stdout, done.stderr) == (7, b"x" * 200_000, b"err\n")
    assert killed.returncode == 137


def test_a_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the owner has access, and the folder is removed. Links and entries with other names stay."""
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
    """If the controller ends while a push waits, no ``finally`` runs, so the controller removes the folders itself."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with private_files.temporary_folder() as first, private_files.temporary_folder() as second:
        private_files.write_temporary(first / "key", b"x")
        private_files.discard_temporary_folders()
        assert not first.exists()
        assert not second.exists()


def test_a_new_folder_is_never_taken_for_an_abandoned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes remove abandoned folders meanwhile. A folder that is not locked yet is never lost."""
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


def test_a_missing_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TMPDIR that does not exist does not stop commands."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))

    with private_files.temporary_folder() as folder:
        assert folder.parent != tmp_path / "missing"
        assert folder.is_dir()
