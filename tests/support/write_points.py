"""Runs gitsnap so that the process dies, or the disk fails, at exactly the n-th call that changes a file.

A server process with a preloaded C library (``write_points.c``) forks for each run, so that a run does not start a new
Python. ``python -m tests.support.write_points`` is the server; it reads the runs from its standard input.
This module must not be imported by the package.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import mmap
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from gitsnap import cli
from gitsnap.core.model import Trigger

_SOURCE = Path(__file__).with_name("write_points.c")
_PATH_MAX = 4096


class Fault(IntEnum):
    """The fault at the point."""

    NONE = 0
    KILL = 1
    """SIGKILL for gitsnap and its git process."""
    FAIL = 2
    """This call and all later calls fail with the error of the run."""


class _Control(ctypes.Structure):
    """``struct control`` of the library."""

    _fields_ = (
        ("count", ctypes.c_long),
        ("limit", ctypes.c_long),
        ("action", ctypes.c_int),
        ("error", ctypes.c_int),
        ("log", ctypes.c_int),
        ("below", ctypes.c_char * _PATH_MAX),
    )


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of a run."""

    code: int
    """The exit code, or the negative number of the signal that ended the process."""
    points: int
    """The number of calls that changed a file below the folder."""
    said: str
    """Standard output and standard error."""
    calls: tuple[tuple[str, str, str], ...] = ()
    """Name, path and second path of each call, if they were requested."""


class WritePoints:
    """The server, and the folder below which calls are counted."""

    def __init__(self, place: Path, library: Path) -> None:
        self.place = place
        self.below = place / "runs"
        self.below.mkdir()
        self._control = place / "control"
        self._control.write_bytes(bytes(ctypes.sizeof(_Control)))
        self._log = place / "control.log"
        variables = f"LD_PRELOAD='{library}' WRITE_POINTS='{self._control}'"
        wrapper = place / "bin" / "git"
        wrapper.parent.mkdir()
        # gitsnap starts git with a clean environment, so a wrapper in PATH preloads the library.
        wrapper.write_text(f'#!/bin/sh\n{variables} exec "{shutil.which("git")}" "$@"\n')
        wrapper.chmod(0o755)
        environment = {**os.environ, "LD_PRELOAD": str(library), "WRITE_POINTS": str(self._control)}
        environment["PATH"] = f"{wrapper.parent}:{os.environ['PATH']}"
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.write_points"],
            cwd=Path(__file__).parents[2], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(
        self,
        *words: str,
        fault: Fault = Fault.NONE,
        at: int = 0,
        error: int = 0,
        log: bool = False,
        scheduled: bool = False,
        settings: Mapping[str, float] | None = None,
    ) -> Ran:
        """Run ``gitsnap WORDS`` below the folder. ``at`` is the number of the point, from 1.

        ``scheduled``: retention may remove the sample of a capture.
        ``settings``: other values for constants of the archive, for a small archive (``_SETTINGS``).
        """
        self._log.unlink(missing_ok=True)
        request = {
            "words": words,
            "below": str(self.below),
            "fault": fault,
            "at": at,
            "error": error,
            "log": log,
            "scheduled": scheduled,
            "settings": settings or {},
        }
        pipe_in, pipe_out = self._server.stdin, self._server.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps(request) + "\n")
        pipe_in.flush()
        answer = json.loads(pipe_out.readline())
        calls = self._log.read_text().splitlines() if log else []
        return Ran(
            answer["code"],
            answer["points"],
            answer["said"],
            tuple((name, path, other) for name, path, other in (line.split("\t") for line in calls)),
        )

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()


def compile_library(place: Path) -> Path | None:
    """Compile the library in a new folder. None without a C compiler or without a way to preload a library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    place.mkdir()
    library = place / "write_points.so"
    subprocess.run([compiler, "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE], check=True)
    return library


class ArmedProcess:
    """A running process in which a point can be set. The process group ends at this point."""

    def __init__(self, place: Path, library: Path) -> None:
        self._file = place / "control"
        self._file.write_bytes(bytes(ctypes.sizeof(_Control)))
        self.environment = {"LD_PRELOAD": str(library), "WRITE_POINTS": str(self._file)}
        """The variables of the process."""

    def arm(self, below: Path, point: int) -> None:
        """Kill the process at its next call with this number, from 1, that changes a file below a folder."""
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), ctypes.sizeof(_Control)) as shared:
            control = _Control.from_buffer(shared)
            control.below = b""
            control.count, control.limit, control.action = 0, point, Fault.KILL
            control.below = str(below).encode()
            del control

    def disarm(self) -> int:
        """Count no further calls. Returns the number of calls since ``arm``."""
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), ctypes.sizeof(_Control)) as shared:
            control = _Control.from_buffer(shared)
            control.below, count = b"", control.count
            del control
            return int(count)


@contextlib.contextmanager
def write_points(place: Path) -> Iterator[WritePoints | None]:
    """The server in its own folder. None without a C compiler or without a way to preload a library."""
    library = compile_library(place)
    if library is None:
        yield None
        return
    server = WritePoints(place, library)
    try:
        yield server
    finally:
        server.close()


# The server -----------------------------------------------------------------------------------------------------------

_SETTINGS = {
    "loose_tags": "gitsnap.archive.maintenance.LOOSE_TAGS",
    "most_loose": "gitsnap.archive.object_writer._MOST_LOOSE",
    "settled": "gitsnap.archive.leftovers._SETTLED_SECONDS",
}
_SCHEDULED = SimpleNamespace(MANUAL=Trigger.SCHEDULE)
"""Replaces the enumeration in the command line, because captures of the command line are never scheduled."""
_REHEARSED = (
    ("capture", "--create", "--from-dir", "cluster", "--snapshot", "hourly"),
    ("capture", "--create", "--from-dir", "cluster", "--snapshot", "hourly"),
    ("prune", "--keep-last", "1", "--yes"),
)


def _rehearse() -> None:
    """Run each command once in another folder to load its modules, which takes five times as long as a later run."""
    here, out, err = Path.cwd(), sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as scratch, Path(os.devnull).open("w") as nothing:
        (Path(scratch) / "cluster").mkdir()
        os.chdir(scratch)
        sys.stdout = sys.stderr = nothing
        try:
            for words in _REHEARSED:
                with contextlib.suppress(SystemExit):
                    cli.main(words)
        finally:
            sys.stdout, sys.stderr = out, err
            os.chdir(here)


def _serve() -> None:
    """Answer requests until the input ends."""
    _rehearse()
    shared = Path(os.environ["WRITE_POINTS"])
    with shared.open("r+b") as file:
        control = _Control.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(_Control)))
    said = shared.with_name("said")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line), control, said)
        _, status = os.waitpid(child, 0)
        control.below = b""
        code, text = os.waitstatus_to_exitcode(status), said.read_text(errors="replace")
        print(json.dumps({"code": code, "points": control.count, "said": text}), flush=True)


def _run(request: dict[str, Any], control: _Control, said: Path) -> NoReturn:
    """Run a command in its own process group."""
    code = 70
    try:
        os.setsid()
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(request["below"])
        if request["scheduled"]:
            command: Any = importlib.import_module("gitsnap.cli.commands.capture")
            command.Trigger = _SCHEDULED
        for name, value in request["settings"].items():
            owner, _, attribute = _SETTINGS[name].rpartition(".")
            setattr(pkgutil.resolve_name(owner), attribute, value)
        control.count, control.limit = 0, request["at"]
        control.action, control.error, control.log = request["fault"], request["error"], request["log"]
        control.below = request["below"].encode()
        cli.main(request["words"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        control.below = b""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
