"""Runs programs as child processes that end when this process ends, however it ends.

A child and all that it starts are one session of their own. A shell in that session waits for the end of a pipe whose
other end only this process holds. The kernel closes it also after SIGKILL; then the shell ends the session. So ssh,
which git starts, ends as well: PR_SET_PDEATHSIG reaches no grandchildren, and setting it needs code between fork and
exec, which is unsafe in a process with threads. A session has no terminal: a program that wants to ask somebody there
fails at once instead of waiting. This module must not know what the programs do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from gitsnap.core.files import temporary_folder, write_temporary

_GRACE_SECONDS = 2.0
"""How long a session may take to end after SIGTERM. git removes its lock files and temporary packs meanwhile."""

_SESSION = """\
{ trap '' TERM INT HUP; read -r _ <"$1"; kill -TERM 0; sleep 2; kill -KILL 0; } </dev/null >/dev/null 2>&1 &
guard=$!
shift
"$@"
code=$?
kill -KILL $guard
wait $guard 2>/dev/null
exit $code
"""
"""$1: the pipe. The rest: the command. A command that a signal ended gives 128 and the signal's number."""


def run_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    given: bytes = b"",
    passed: Sequence[int] = (),
    seconds: float | None = None,
    guarded: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, with ``given`` on its standard input and nothing of this process's environment.

    The input is a file, not a pipe: a program that outlives this process must not read half of it for the whole.
    ``passed``: descriptors that the program inherits. After ``seconds``, and when this call is interrupted, the whole
    session is ended. Not ``guarded``: a program that finishes what it began, should this process be killed.
    Raises OSError, subprocess.TimeoutExpired.
    """
    if not given:
        with Path(os.devnull).open("rb") as source:
            return _run(command, source, environment=environment, passed=passed, seconds=seconds, guarded=guarded)
    with temporary_folder() as folder, write_temporary(folder / "input", given).open("rb") as source:
        return _run(command, source, environment=environment, passed=passed, seconds=seconds, guarded=guarded)


def _run(
    command: Sequence[str],
    source: IO[bytes],
    *,
    environment: Mapping[str, str],
    passed: Sequence[int],
    seconds: float | None,
    guarded: bool,
) -> subprocess.CompletedProcess[bytes]:
    lifeline, held = os.pipe()
    guard = ("/bin/sh", "-c", _SESSION, "sh", f"/dev/fd/{lifeline}") if guarded else ()
    try:
        process = subprocess.Popen(
            [*guard, *command],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            pass_fds=(lifeline, *passed) if guarded else passed,
            start_new_session=True,
        )
        os.close(lifeline)
        lifeline = -1
        with process:
            try:
                out, err = process.communicate(timeout=seconds)
            except BaseException:
                _end(process)
                raise
    finally:
        os.close(held)
        if lifeline >= 0:
            os.close(lifeline)
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the session of a child: SIGTERM, and SIGKILL for what is still there after a while."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_GRACE_SECONDS)  # until nobody has its output open
        os.killpg(process.pid, signal.SIGKILL)
