"""Runs gitsnap, or another program, as a child process on a terminal of a given width.

This module must not be imported by the package.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_QUESTION = b"[y/N]: "
_END_OF_INPUT = b"\x04"
"""Ends the input after ``typed``, so that an unexpected question fails the test and does not block it."""


def on_terminal(
    folder: Path,
    *words: str,
    columns: int,
    code: int | None = 0,
    typed: str = "",
    answer: str = "",
    at_question: Callable[[], None] = lambda: None,
    **environment: str,
) -> str:
    """The output of gitsnap on the terminal with standard error, with LF line ends.

    ``typed``: the lines that the user types at the start. ``answer``: the answer to each yes-or-no question.
    ``at_question`` is called before the answer is given.
    """
    command = [sys.executable, "-m", "gitsnap", *words]
    result, text = run_on_terminal(
        folder,
        command,
        columns=columns,
        typed=typed,
        answer=answer,
        at_question=at_question,
        environment={**terminal_environment(), **environment},
    )
    assert code is None or result == code, text
    return text


def terminal_environment() -> dict[str, str]:
    """The environment of the tests without what would replace the properties of the terminal."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**inherited, "TERM": "xterm-256color"}


def run_on_terminal(
    folder: Path,
    command: Sequence[str],
    *,
    columns: int,
    environment: Mapping[str, str],
    typed: str = "",
    answer: str = "",
    at_question: Callable[[], None] = lambda: None,
) -> tuple[int, str]:
    """Run a program on a terminal. Return its exit code, and its output with standard error and LF line ends."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode() + (b"" if answer else _END_OF_INPUT))
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
                if answer and shown.endswith(_QUESTION):
                    at_question()
                    os.write(ours, f"{answer}\n".encode())
        except OSError:  # what Linux gives at the end of a terminal
            pass
    os.close(ours)
    return process.returncode, shown.decode().replace("\r\n", "\n")
