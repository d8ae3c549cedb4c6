"""The standard streams of the process. A command works with a stream that is closed, full or not UTF-8.

Text that cannot be written to stderr is lost. Text that cannot be written to stdout is an error, since stdout is the
result of a command.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

from gitsnap.core.errors import ClosedOutputError, OutputError


def prepare() -> None:
    """Replace each stream by a working stream. A character that the encoding lacks is written as an escape."""
    for number in (0, 1, 2):
        _open_if_closed(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open until the process ends
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, 1)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, 2)


def is_utf8(stream: TextIO) -> bool:
    """Return whether a stream can encode every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


class Descriptor(io.FileIO):
    """A standard stream that discards its output after the first failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self._is_result = number == 1
        self._failed = False

    def write(self, data: Any, /) -> int:
        """Write ``data`` as FileIO does. Raises OutputError for the first failure on stdout."""
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
                raise ClosedOutputError("the reader of the output has ended") from None
            raise OutputError(f"the output could not be written: {error.strerror}") from None


def _guarded(stream: TextIO | None, number: int) -> TextIO:
    encoding = stream.encoding if stream is not None else "utf-8"
    buffer = io.BufferedWriter(Descriptor(number))
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=number == 2 or os.isatty(number))


def _open_if_closed(number: int) -> None:
    """Open /dev/null for a closed descriptor; otherwise the next file that is opened would receive the output."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)
