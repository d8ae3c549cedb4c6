"""Text for a terminal: escapes for untrusted text, wrapping, and the colors of a diff."""

from __future__ import annotations

import re
import unicodedata

from gitsnap.core.escapes import one_line

_LONGEST_WORD = 400
"""Longer than any kind, group, namespace and name of an object in practice. A reference may contain any text."""
_TOO_LONG = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}")
_WORD = re.compile(r"\s*\S+\s*")
_PIECE = re.compile(r"[/:.-]*[^/:.-]+[/:.-]*|[/:.-]+")
_MESSAGE_PIECE = re.compile(r"(?<=:)\s+gitsnap .{1,300}?--.*|\s*(?:(?:[^\s`]*`[^`]*`)+\S*|\S+)")
_RED, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"


def shortened(text: str) -> str:
    """The text with ``…`` in the middle of words that are too long to be a name."""
    if len(text) <= _LONGEST_WORD:
        return text
    kept = _LONGEST_WORD // 2
    return _TOO_LONG.sub(lambda match: f"{match[0][:kept]}…{match[0][-kept:]}", text)


def width(text: str) -> int:
    """The number of columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def pieces(word: str) -> list[str]:
    """The parts of a name at which it may break, each with the punctuation that follows it."""
    return _PIECE.findall(word)


def wrap(text: str, size: int, *, names: bool = True) -> list[str]:
    """Break a text into lines of at most ``size`` columns, at spaces, and within words that are longer than a line.

    With ``names``, long words break after their punctuation if possible, otherwise at the end of the line.
    """
    lines = [""]
    for word in _WORD.findall(text):
        fits = width(word.rstrip()) <= size
        for part in [word] if fits or not names else pieces(word):
            rest = part
            if width((lines[-1] + rest).rstrip()) > size and (
                width(part.rstrip()) <= size or width(lines[-1]) > size // 3
            ):
                lines.append("")
            while width((lines[-1] + rest).rstrip()) > size:
                end = _fitting(rest, size - width(lines[-1]))
                lines[-1] += rest[:end]
                rest = rest[end:]
                lines.append("")
            lines[-1] += rest
    return [stripped for line in lines if (stripped := line.rstrip())] or [""]


def _fitting(text: str, size: int) -> int:
    """How many characters of a text fit into ``size`` columns, at least 1."""
    columns = 0
    for position, char in enumerate(text):
        columns += width(char)
        if columns > size:
            return max(position, 1)
    return len(text)


def wrapped(line: str, columns: int) -> str:
    """A line, safe for a terminal and wrapped to ``columns``; 0 disables wrapping.

    Continuation lines have the indentation of the line, or two spaces.
    """
    line = one_line(line)
    if not columns or width(line) <= columns:
        return line
    text = line.lstrip(" ")
    indent = " " * min(len(line) - len(text), columns // 2)
    first = wrap(text, max(columns - len(indent), 1), names=False)[0]
    inner = indent or "  "
    further = wrap(text[len(first) :].lstrip(), max(columns - len(inner), 1), names=False)
    return "\n".join([indent + first, *(inner + part for part in further)])


def folded(line: str, columns: int) -> str:
    """A line of a message, with line breaks at spaces so that it fits into ``columns``; 0 disables folding.

    Continuation lines have the indentation of the line, or two spaces. A command has no line break, even if it is
    longer than a line, so that a user can copy it. Commands are spans in backquotes, and ``gitsnap … --option …`` after
    a colon.
    """
    if not columns or width(line) <= columns:
        return line
    inner = line[: len(line) - len(line.lstrip(" "))] or "  "
    lines = [""]
    for piece in _MESSAGE_PIECE.findall(line.rstrip()):
        if lines[-1].strip() and width(lines[-1] + piece.rstrip()) > columns:
            lines.append(inner + piece.lstrip())
        else:
            lines[-1] += piece
    return "\n".join(part.rstrip() for part in lines)


def split_at(text: str, size: int) -> tuple[str, str]:
    """The beginning of a text that fits into ``size`` columns, and the rest. The beginning has at least one character.

    Characters without width do not make the beginning longer than twice ``size`` characters.
    """
    end = min(_fitting(text[: 2 * size], size), 2 * size)
    return text[:end], text[end:]


def cut(text: str, size: int) -> str:
    """A text with ``…`` in place of its end if it takes more than ``size`` columns."""
    return text if width(text) <= size and len(text) <= 2 * size else f"{split_at(text, size - 1)[0]}…"


def paint_change(text: str, sign: str) -> str:
    """A part of a line in the colour of its sign: ``+`` green, ``-`` red."""
    colour = _GREEN if sign == "+" else _RED if sign == "-" else ""
    return f"{colour}{text}{_PLAIN}" if colour else text


def paint_diff(lines: str) -> str:
    """A unified diff with green additions, red deletions and bold file names."""
    return "\n".join(_paint(line) for line in lines.split("\n"))


def _paint(line: str) -> str:
    if line.startswith(("---", "+++")):
        return f"{_BOLD}{line}{_PLAIN}"
    if line.startswith("-"):
        return f"{_RED}{line}{_PLAIN}"
    return f"{_GREEN}{line}{_PLAIN}" if line.startswith("+") else line
