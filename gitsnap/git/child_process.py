"""Runs programs as child processes that end when this process ends, even after SIGKILL.

Each child runs in a session of its own, together with the processes that it starts. A shell in that session reads from
a pipe whose other end only this process holds. When this process dies, the kernel closes the pipe, and the shell ends
the session. This also ends grandchildren, such as the ssh that git starts. PR_SET_PDEATHSIG would not: it applies to
direct children only, and it needs code between fork and exec, which is unsafe in a process with threads. The session
has no terminal, so a program that prompts for input fails at once instead of waiting.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from gitsnap.core.files import temporary_folder, write_temporary

_GRACE_SECONDS = 2.0
"""How long a session may take to end after SIGTERM. In this time git removes its lock files and temporary packs."""

_STDERR = 2

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
"""Shell script. $1 is the pipe, the other arguments are the command.

The exit code of a command that a signal ended is 128 plus the signal's number.
"""


def run_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
    seconds: float | None = None,
    guarded: bool = True,
    shows_output: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program and wait for its end.

    Args:
        command: The program and its arguments.
        environment: The whole environment of the program. Nothing is inherited from this process.
        stdin: Standard input. The program reads it from a file, not from a pipe: a program that outlives this process
            must not take half of the input for the whole.
        pass_fds: Descriptors that the program inherits.
        seconds: Time limit. The session is ended after it, and when this call is interrupted.
        guarded: Whether the session ends when this process dies. False for a program that must finish what it began.
        shows_output: Whether both outputs of the program go to the standard error of this process.

    Returns:
        The exit code, standard output and standard error. The outputs are None with ``shows_output``.

    Raises:
        OSError: The program could not be started.
        subprocess.TimeoutExpired: The program did not end within the time limit.
    """
    options = _Options(environment, pass_fds, seconds, guarded, subprocess.PIPE if not shows_output else _STDERR)
    if not stdin:
        with Path(os.devnull).open("rb") as source:
            return _run(command, source, options)
    with temporary_folder() as folder, write_temporary(folder / "input", stdin).open("rb") as source:
        return _run(command, source, options)


class _Options(NamedTuple):
    """The options of ``run_child``."""

    environment: Mapping[str, str]
    pass_fds: Sequence[int]
    seconds: float | None
    guarded: bool
    output: int
    """The descriptor for both outputs of the program, or subprocess.PIPE."""


def _run(command: Sequence[str], source: IO[bytes], options: _Options) -> subprocess.CompletedProcess[bytes]:
    read_end, write_end = os.pipe()
    guard = ("/bin/sh", "-c", _SESSION, "sh", f"/dev/fd/{read_end}") if options.guarded else ()
    try:
        process = subprocess.Popen(
            [*guard, *command],
            stdin=source,
            stdout=options.output,
            stderr=options.output,
            env=dict(options.environment),
            pass_fds=(read_end, *options.pass_fds) if options.guarded else options.pass_fds,
            start_new_session=True,
        )
        os.close(read_end)
        read_end = -1
        with process:
            try:
                out, err = process.communicate(timeout=options.seconds)
            except BaseException:  # a timeout, Ctrl-C or a defect: the child must not outlive the call
                _end(process)
                raise
    finally:
        os.close(write_end)
        if read_end >= 0:
            os.close(read_end)
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the session of a child with SIGTERM, and after the grace time with SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_GRACE_SECONDS)  # until no process has its output open
        os.killpg(process.pid, signal.SIGKILL)
