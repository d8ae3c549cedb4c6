"""The output of commands: results go to stdout, messages to stderr, colour and progress to terminals only.

This module must not format values; ``gitsnap.render`` does.
"""

from __future__ import annotations

import enum
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from gitsnap.cli.streams import is_utf8
from gitsnap.core.errors import AbortedError, RefusedError
from gitsnap.core.escapes import one_line, visible

if TYPE_CHECKING:
    from gitsnap.archive.completeness import MissingPart

_PATIENCE_SECONDS = 1.0
_REPAINT_SECONDS = 0.1


class Output(enum.StrEnum):
    """The format of a result, chosen with --output."""

    TABLE = "table"
    WIDE = "wide"
    """A table with more columns."""
    NAME = "name"
    """One name a line, which other commands accept."""
    JSON = "json"
    YAML = "yaml"

    @property
    def is_document(self) -> bool:
        """Whether the result is one JSON or YAML document."""
        return self in (Output.JSON, Output.YAML)


_finished_work: list[str] = []


def note_finished(text: str) -> None:
    """Remember work that was finished, for an error that prevents the result from being printed."""
    _finished_work.append(text)


def describe_finished() -> str:
    """Return the last finished work and the number of earlier ones; ``""`` if no work was finished."""
    last = _finished_work[-1:]
    return f"{last[0]} (and {len(_finished_work) - 1} more)" if len(_finished_work) > 1 else "".join(last)


def print_result(text: str, *, safe: bool = False) -> None:
    """Print a result in text form. Control characters are printed as escapes unless the text is ``safe`` already."""
    text = text if safe else visible(text)
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def print_names(names: Iterable[str]) -> None:
    """Print one name per line. Without names, print nothing."""
    lines = [f"{one_line(name)}\n" for name in names]
    if lines:
        print_result("".join(lines))


def say(text: str, *, is_laid_out: bool = False) -> None:
    """Print a message to stderr, folded to the width of the terminal.

    All lines but the first are indented, so that a name with a line break cannot imitate a message.
    ``is_laid_out``: the text has a table or a diff, whose lines are not folded.
    """
    from gitsnap.render import folded

    sys.stdout.flush()
    lines = indented(text).split("\n")
    columns = 0 if is_laid_out else _message_width()
    sys.stderr.write("".join(f"{folded(line, columns)}\n" for line in lines))
    sys.stderr.flush()


def indented(text: str) -> str:
    """Return the text with control characters escaped and all lines but the first indented."""
    return visible(text).replace("\n", "\n  ")


def confirm(question: str, *, yes: bool, unchanged: str) -> None:
    """Ask the user a yes-or-no question on stderr, unless --yes was given (``yes``).

    ``unchanged``: the beginning of the errors, such as "nothing was removed". Raises RefusedError if there is no
    terminal, AbortedError if the answer is no.
    """
    if yes:
        return
    if not is_interactive():
        raise RefusedError(
            f"{unchanged}: there is no terminal for a confirmation", hint="Give --yes to continue without a question."
        )
    if not agrees(question):
        raise AbortedError(unchanged)


def agrees(question: str) -> bool:
    """Ask the user a question; return whether the answer is yes. Raises typer.Abort if there is no answer."""
    with _answer():
        return typer.confirm(one_line(question), err=True)


def ask(question: str) -> str:
    """Ask the user for a line; return it without white space at its ends. Raises typer.Abort if there is no answer."""
    with _answer():
        return str(typer.prompt(question, default="", show_default=False, err=True)).strip()


@contextmanager
def _answer() -> Iterator[None]:
    """End the line of a question that Ctrl-C or Ctrl-D answers, so that a message begins on its own line."""
    try:
        yield
    except typer.Abort:
        sys.stderr.write("\n")
        raise


def warn(messages: Iterable[str]) -> None:
    """Print each message to stderr as a warning."""
    for message in messages:
        say(f"warning: {message}")


_missing: list[dict[str, str]] = []
"""The parts that the archives of this command lack. Every document that the command prints lists them."""


def warn_missing(policy: str, parts: Iterable[MissingPart]) -> None:
    """Print a warning for each part that this copy of an archive lacks, and list the parts in later documents."""
    for part in parts:
        say(f"warning: {policy}: {part}")
        _missing.append({"policy": policy, **missing_part_document(part)})


def missing_part_document(part: MissingPart) -> dict[str, str]:
    """Return the JSON form of a part that a copy of an archive lacks (docs/SCRIPTING.md)."""
    return {"what": part.category, "message": part.message, "command": part.command}


def print_document(value: object, form: Output) -> None:
    """Print a result as JSON or YAML."""
    from gitsnap.render import as_json, as_yaml

    if _missing and isinstance(value, dict) and value.get("kind") != "List":  # a List is the input of kubectl
        value = {**value, "missing": list(_missing)}
    ascii_only = not is_utf8(sys.stdout)
    text = as_json(value, ascii_only=ascii_only) if form is Output.JSON else as_yaml(value, ascii_only=ascii_only)
    print_result(text, safe=True)


def print_yaml_stream(values: Iterable[object]) -> None:
    """Print values as a stream of YAML documents."""
    from gitsnap.render import as_yaml

    ascii_only = not is_utf8(sys.stdout)
    print_result("---\n".join(as_yaml(value, ascii_only=ascii_only) for value in values), safe=True)


def width() -> int:
    """Return the width of the terminal in characters; 0 if stdout is not a terminal, so that no line is wrapped."""
    if "COLUMNS" in os.environ:
        return int(os.environ["COLUMNS"]) if os.environ["COLUMNS"].isdecimal() else 0
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _message_width() -> int:
    """Return the width of the terminal that shows stderr; 0 if stderr is not a terminal, so that no line is folded."""
    if not sys.stderr.isatty():
        return 0
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        columns = 0
    return int(os.environ["COLUMNS"]) if os.environ.get("COLUMNS", "").isdecimal() else columns


def has_colour() -> bool:
    """Return whether stdout is a terminal with colours, and they are not turned off (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _describe_reading(kind: str, count: int) -> str:
    return f"reading: {count} objects, {kind}"


class ProgressLine:
    """One line on stderr that is overwritten, shown on a terminal when the work takes longer than a second.

    As a context manager it also shows the elapsed seconds during work that reports no progress, such as that of git.
    """

    def __init__(self, text: str = "", *, describe: Callable[[str, int], str] = _describe_reading) -> None:
        """``text``: the line before the first report. ``describe``: returns the line for a report of progress."""
        self._shown = sys.stderr.isatty()
        self._text = text
        self._describe = describe
        self._length = 0
        self._start = time.monotonic()
        self._painted = 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._timer = threading.Thread(target=self._show_elapsed, daemon=True)

    def __enter__(self) -> Self:
        if self._shown:
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._timer.is_alive():
            self._timer.join()
        self.clear()

    def __call__(self, subject: str, count: int) -> None:
        """Report progress: ``subject`` is being read, such as a kind; ``count`` is the number read so far."""
        if self._shown:
            self._text = self._describe(subject, count)
            if time.monotonic() - self._painted >= _REPAINT_SECONDS:
                self._show(self._text)

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self._shown and self._length:
            sys.stderr.write(f"\r{'':<{self._length}}\r")
            sys.stderr.flush()

    def _show_elapsed(self) -> None:
        while not self._ended.wait(_PATIENCE_SECONDS):
            if self._text:
                self._show(f"{self._text} ({time.monotonic() - self._start:.0f} s)")

    def _show(self, text: str) -> None:
        """Overwrite the line. A line longer than the width of the terminal would wrap, and could not be removed."""
        if time.monotonic() - self._start < _PATIENCE_SECONDS:
            return
        line = one_line(text)[: max(1, shutil.get_terminal_size().columns - 1)]
        with self._lock:
            sys.stderr.write(f"\r{line:<{self._length}}")
            sys.stderr.flush()
            self._length = len(line)
            self._painted = time.monotonic()


def is_interactive() -> bool:
    """Return whether a user can be asked: stdin and stderr are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()
