"""Where output goes: results to stdout, all else to stderr; colour and progress only on a terminal.

This module must not format values; ``gitsnap.render`` does.
"""

from __future__ import annotations

import os
import shutil
import sys
import time

import typer

from gitsnap.cli.options import Output
from gitsnap.render import as_json, as_yaml, visible

_PATIENCE_SECONDS = 1.0


def result(text: str) -> None:
    """Print a result, as it is."""
    typer.echo(text, nl=not text.endswith("\n"))


def say(text: str) -> None:
    """Print a remark to stderr."""
    typer.echo(visible(text), err=True)


def structured(value: object, form: Output) -> None:
    """Print a result as JSON or YAML."""
    result(as_json(value) if form is Output.JSON else as_yaml(value))


def columns() -> int:
    """Width of the terminal; 0 where stdout is none, so that a file or a pipe gets whole lines."""
    if "COLUMNS" in os.environ:
        return int(os.environ["COLUMNS"]) if os.environ["COLUMNS"].isdecimal() else 0
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def colour() -> bool:
    """Whether stdout takes colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class ProgressLine:
    """One line on stderr that is overwritten, if stderr is a terminal and the work takes longer than a second."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._length = 0
        self._begin = time.monotonic() + _PATIENCE_SECONDS

    def __call__(self, what: str, count: int) -> None:
        """Show what is being read and how many objects there are so far."""
        if self._shown and time.monotonic() >= self._begin:
            line = f"reading: {count} objects, {what}"
            sys.stderr.write(f"\r{line:<{self._length}}")
            sys.stderr.flush()
            self._length = len(line)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown and self._length:
            sys.stderr.write(f"\r{'':<{self._length}}\r")
            sys.stderr.flush()


def can_ask() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()
