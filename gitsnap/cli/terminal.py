"""Where output goes: results to stdout, all else to stderr; colour and progress only on a terminal.

This module must not format values; ``gitsnap.render`` does.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from gitsnap.cli.options import Output
from gitsnap.cli.streams import is_utf8
from gitsnap.render import as_json, as_yaml, one_line, visible

if TYPE_CHECKING:
    from gitsnap.archive.completeness import Lack

_PATIENCE_SECONDS = 1.0
_REPAINT_SECONDS = 0.1
DATE_COLUMNS = 21
"""A date, ``2023-08-26:05:20:00-2``, on one line."""
DAY_COLUMNS = 11
"""A date on two lines: the day and the time."""


_accomplished: list[str] = []


def done(text: str) -> None:
    """Take note of what cannot be taken back, for an error that keeps the result from being printed."""
    _accomplished.append(text)


def accomplished() -> str:
    """What was done so far, ``""`` for nothing."""
    last = _accomplished[-1:]
    return f"{last[0]} (and {len(_accomplished) - 1} more)" if len(_accomplished) > 1 else "".join(last)


def result(text: str, *, safe: bool = False) -> None:
    """Print a result for people; what acts on a terminal is shown as an escape, unless the text is ``safe`` already."""
    text = text if safe else visible(text)
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a remark to stderr; its further lines are indented, so that no name can begin one."""
    sys.stdout.flush()
    sys.stderr.write(f"{indented(text)}\n")
    sys.stderr.flush()


def indented(text: str) -> str:
    """A text that is safe for a terminal, all lines but the first indented."""
    return visible(text).replace("\n", "\n  ")


def confirmed(question: str) -> bool:
    """Ask the person at the terminal for a yes or a no."""
    return typer.confirm(one_line(question), err=True)


def warn(remarks: Iterable[str]) -> None:
    """Remarks on standard error."""
    for remark in remarks:
        say(f"warning: {remark}")


_missing: list[dict[str, str]] = []
"""What the archives of this command lack. It is part of every document that the command prints."""


def say_missing(policy: str, lacks: Iterable[Lack]) -> None:
    """Say what this copy of an archive lacks, on stderr and in the documents that follow."""
    for lack in lacks:
        say(f"warning: {policy}: {lack}")
        _missing.append({"policy": policy, **lack_document(lack)})


def lack_document(lack: Lack) -> dict[str, str]:
    """A part that a copy of an archive lacks, in JSON (docs/SCRIPTING.md)."""
    return {"what": lack.what, "message": lack.message, "command": lack.command}


def structured(value: object, form: Output) -> None:
    """Print a result as JSON or YAML."""
    if _missing and isinstance(value, dict) and value.get("kind") != "List":  # kubectl reads a List
        value = {**value, "missing": list(_missing)}
    ascii_only = not is_utf8(sys.stdout)
    text = as_json(value, ascii_only=ascii_only) if form is Output.JSON else as_yaml(value, ascii_only=ascii_only)
    result(text, safe=True)


def documents(values: Iterable[object]) -> None:
    """Print YAML documents."""
    ascii_only = not is_utf8(sys.stdout)
    result("---\n".join(as_yaml(value, ascii_only=ascii_only) for value in values), safe=True)


def columns() -> int:
    """Width of the terminal; 0 where stdout is none, so that a file or a pipe gets whole lines."""
    if "COLUMNS" in os.environ:
        return int(os.environ["COLUMNS"]) if os.environ["COLUMNS"].isdecimal() else 0
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def colour() -> bool:
    """Whether stdout takes colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _objects_read(what: str, count: int) -> str:
    return f"reading: {count} objects, {what}"


class ProgressLine:
    """One line on stderr that is overwritten, if stderr is a terminal and the work takes longer than a second.

    As a context it also shows, second by second, that work goes on which tells nothing of itself, such as git's.
    """

    def __init__(self, text: str = "", *, says: Callable[[str, int], str] = _objects_read) -> None:
        """``text``: what to show at first. ``says``: what to show for a report of progress."""
        self._shown = sys.stderr.isatty()
        self._text = text
        self._says = says
        self._length = 0
        self._start = time.monotonic()
        self._painted = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        if self._shown:
            self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._beat.is_alive():
            self._beat.join()
        self.clear()

    def __call__(self, what: str, count: int) -> None:
        """Show what is being read and how many there are so far."""
        if self._shown:
            self._text = self._says(what, count)
            if time.monotonic() - self._painted >= _REPAINT_SECONDS:
                self._show(self._text)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown and self._length:
            sys.stderr.write(f"\r{'':<{self._length}}\r")
            sys.stderr.flush()

    def _go_on(self) -> None:
        while not self._over.wait(_PATIENCE_SECONDS):
            if self._text:
                self._show(f"{self._text} ({time.monotonic() - self._start:.0f} s)")

    def _show(self, text: str) -> None:
        """Write over the line, never beyond its end: then it could not be taken away."""
        if time.monotonic() - self._start < _PATIENCE_SECONDS:
            return
        line = one_line(text)[: max(1, shutil.get_terminal_size().columns - 1)]
        with self._lock:
            sys.stderr.write(f"\r{line:<{self._length}}")
            sys.stderr.flush()
            self._length = len(line)
            self._painted = time.monotonic()


def can_ask() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()
