"""The three streams of the process: whatever they are (closed, full, of another encoding), no command trips over them.

What is lost on stderr is lost. What is lost on stdout is an error of its own, since stdout is the result.
This module must not print.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

from gitsnap.core.errors import OutputError, ReaderGoneError


def prepare() -> None:
    """Make all three streams usable; what cannot be encoded is shown as an escape."""
    for number in (0, 1, 2):
        _open_if_closed(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for good
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, 1)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, 2)


def is_utf8(stream: TextIO) -> bool:
    """Whether a stream takes every character as it is."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


class Descriptor(io.FileIO):
    """A standard stream. After its first failure nothing is written to it any more."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self._is_result = number == 1
        self._failed = False

    def write(self, data: Any, /) -> int:
        """As FileIO. Raises OutputError, once, where the result of a command is lost."""
        size = memoryview(data).nbytes
        if self._failed:
            return size
        try:
            return super().write(data)
        except OSError as error:
            self._failed = True
            if not self._is_result:
                return size
            if error.errno == errno.EPIPE:
                raise ReaderGoneError("the reader of the output has ended") from None
            raise OutputError(f"the output could not be written: {error.strerror}") from None


def _guarded(stream: TextIO | None, number: int) -> TextIO:
    encoding = stream.encoding if stream is not None else "utf-8"
    buffer = io.BufferedWriter(Descriptor(number))
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=number == 2 or os.isatty(number))


def _open_if_closed(number: int) -> None:
    """Where a descriptor is closed, the next file that is opened would get its number, and the output with it."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)
