"""Reads audit logs from files, folders and standard input: one event a line, or one document a file."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from gitsnap.core.errors import InputError, NotFoundError
from gitsnap.history.author_join import Coverage
from gitsnap.kube.audit_events import AuditDecoder, AuditLineError

STDIN = "-"
"""The name of standard input."""
_LONGEST_LINE = 64 << 20
"""The longest line, in bytes. An event with the largest object that an API server accepts has a few megabytes."""
_MOST_UNREAD = 5
_GZIP = b"\x1f\x8b"


@dataclass(slots=True)
class LogReading:
    """The counts of a reading of logs."""

    files: int = 0
    lines: int = 0
    """Lines and documents."""
    unread: int = 0
    """Lines that are not audit events."""
    first_unread: list[str] = field(default_factory=list)
    """File, line and reason of the first unread lines. No part of a line is quoted."""


def read_logs(names: Sequence[str], decoder: AuditDecoder, stdin: BufferedReader) -> LogReading:
    """Decode logs. ``names``: files, folders, and ``-`` for standard input.

    Files that are compressed with gzip are decompressed. All files below a folder are read, except hidden files.
    Raises NotFoundError, and InputError for a file that cannot be read and for logs without any event.
    """
    reading = LogReading()
    for name in names:
        if name == STDIN:
            _read(stdin, "standard input", decoder, reading)
            continue
        for path in _files(Path(name)):
            try:
                with path.open("rb") as raw:
                    _read(raw, str(path), decoder, reading)
            except (OSError, EOFError, zlib.error) as error:
                reason = getattr(error, "strerror", None) or "the compressed file is damaged or was cut off"
                raise InputError(f"cannot read {path}: {reason}") from None
    if not decoder.events:
        hint = f"The first line that is no event: {reading.first_unread[0]}." if reading.first_unread else ""
        raise InputError(f"no audit event in {', '.join(names)}", hint=hint)
    return reading


def coverage_of(decoder: AuditDecoder) -> Coverage:
    """The time of the log, from its first to its last event. Raises ValueError for a log without an event."""
    if decoder.first is None or decoder.last is None:
        raise ValueError("the log has no event")
    return Coverage(decoder.first, decoder.last)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise NotFoundError(f"there is no file {path}")
    if not path.is_dir():
        return [path]
    files = [
        child
        for child in sorted(path.rglob("*"))
        if child.is_file() and not any(part.startswith(".") for part in child.relative_to(path).parts)
    ]
    if not files:
        raise NotFoundError(f"there is no file in the folder {path}")
    return files


def _read(raw: BufferedReader, name: str, decoder: AuditDecoder, reading: LogReading) -> None:
    reading.files += 1
    stream: BufferedReader = BufferedReader(gzip.GzipFile(fileobj=raw)) if raw.peek(2)[:2] == _GZIP else raw
    for number in itertools.count(1):
        line = stream.readline(_LONGEST_LINE)
        if not line:
            return
        if number == 1 and _begins_document(line):
            line += stream.read()
        elif len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            _skip_line(stream)
            _note_unread(reading, f"{name} line {number}: it is longer than {_LONGEST_LINE >> 20} MiB")
            continue
        reading.lines += 1
        try:
            decoder.feed(line)
        except AuditLineError as error:
            _note_unread(reading, f"{name} line {number}: {error}")


def _begins_document(line: bytes) -> bool:
    """Whether the first line begins a document of several lines: a list or an object that does not end in this line."""
    text = line.strip()
    return (
        line.endswith(b"\n") and (text[:1], text[-1:]) not in ((b"[", b"]"), (b"{", b"}")) and text[:1] in (b"[", b"{")
    )


def _skip_line(stream: BufferedReader) -> None:
    while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass


def _note_unread(reading: LogReading, text: str) -> None:
    reading.unread += 1
    if len(reading.first_unread) < _MOST_UNREAD:
        reading.first_unread.append(text)
