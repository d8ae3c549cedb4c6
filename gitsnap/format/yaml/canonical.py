"""A strict reader for the output of ``emitter``, several times faster than a general YAML parser.

It accepts the canonical form only. At the first line in another form, such as a line edited by hand, it returns
``NOT_CANONICAL``, and ``reader`` parses the text with ruamel.yaml.
"""

from __future__ import annotations

import json
import re
from typing import Any

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_HEX_ESCAPE = re.compile(r"(\\\\)|\\x([0-9a-f]{2})")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(?:e[+-][0-9]+)?\Z")
_PLAIN = re.compile(r"[A-Za-z_/]")
_LITERAL = re.compile(r"\|(2?)([+-]?)\Z")
_ENTRY = re.compile(r"([A-Za-z_/][A-Za-z0-9_./-]*):(?: (?:([A-Za-z_/][A-Za-z0-9_./-]*)|\"([^\"\\]*)\"|(\|2?[+-]?)))?\Z")
"""Matches most entries of a mapping: a plain key followed by a word, a quoted text, the header of a literal block, or
nothing, if the value is a collection on the next lines."""
_WORD, _TEXT, _BLOCK = 2, 3, 4
"""The groups of the word, the quoted text and the header."""
_WORDS: dict[str, Any] = {"null": None, "true": True, "false": False}


class _NotCanonicalError(Exception):
    """The text is not in canonical form."""


class NotCanonical:
    """The type of ``NOT_CANONICAL``. ``None`` would be a JSON value."""


NOT_CANONICAL = NotCanonical()


def read(text: str) -> Any | NotCanonical:
    """The JSON value of a canonical text, ``NOT_CANONICAL`` for any other text."""
    if not text.endswith("\n") or "\r" in text:
        return NOT_CANONICAL
    reader = _Reader(text[:-1].split("\n"))
    try:
        return reader.document()
    except (_NotCanonicalError, IndexError, RecursionError, ValueError):
        return NOT_CANONICAL


class _Reader:
    """Recursive descent over lines. ``_at`` is the index of the next line."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    def document(self) -> Any:
        """The value of all lines. Raises _NotCanonicalError."""
        first = self._lines[0]
        value = self._block(0) if self._opens_block(first) else self._scalar(first, 0)
        if self._at != len(self._lines):
            raise _NotCanonicalError
        return value

    @staticmethod
    def _opens_block(text: str) -> bool:
        """Whether a text is an entry of a mapping or a list, not a scalar."""
        if text.startswith('"'):
            quoted = _QUOTED.match(text)
            return quoted is not None and text[quoted.end() : quoted.end() + 1] == ":"
        return text.startswith(("- ", "? ")) or ": " in text or text.endswith(":")

    def _block(self, indent: int) -> Any:
        return self._sequence(indent) if self._lines[self._at].startswith("- ", indent) else self._mapping(indent)

    def _mapping(self, indent: int) -> dict[str, Any]:
        lines, spaces = self._lines, " " * indent
        result: dict[str, Any] = {}
        while self._at < len(lines):
            line = lines[self._at]
            if not line.startswith(spaces):
                break
            entry = _ENTRY.match(line, indent)
            if entry is not None and entry[1] not in _WORDS:
                key, value = entry[1], self._simple(entry, indent)
            elif line.startswith("- ", indent) or line[indent : indent + 1] in (" ", ""):
                break
            else:
                key, rest = self._key(line, indent)
                value = self._scalar(rest, indent) if rest else self._nested(indent)
            if key in result:
                raise _NotCanonicalError
            result[key] = value
        if not result:
            raise _NotCanonicalError
        return result

    def _simple(self, entry: re.Match[str], indent: int) -> Any:
        """The value of an entry that ``_ENTRY`` matches."""
        self._at += 1
        form = entry.lastindex
        if form == _WORD:
            return _WORDS.get(entry[_WORD], entry[_WORD])
        if form == _TEXT:
            return entry[_TEXT]
        return self._literal(entry[_BLOCK], indent + 2) if form == _BLOCK else self._nested(indent)

    def _key(self, line: str, indent: int) -> tuple[str, str]:
        """The key of an entry and the text after its colon. If that is empty, the next line is read next."""
        if line.startswith("? ", indent):
            key = self._quoted_or_plain(line[indent + 2 :])
            self._at += 1
            line = self._lines[self._at]
            if not line.startswith(":", indent) or line[:indent].strip():
                raise _NotCanonicalError
            end = indent
        elif line.startswith('"', indent):
            quoted = _QUOTED.match(line, indent)
            if quoted is None:
                raise _NotCanonicalError
            key, end = self._quoted_or_plain(quoted[0]), quoted.end()
        else:
            end = line.find(": ", indent)
            if end < 0:
                end = len(line) - 1
            key = self._quoted_or_plain(line[indent:end])
        if line[end] != ":":
            raise _NotCanonicalError
        rest = line[end + 1 :]
        if rest:
            if rest[0] != " " or len(rest) == 1:
                raise _NotCanonicalError
            return key, rest[1:]
        self._at += 1
        return key, ""

    def _quoted_or_plain(self, text: str) -> str:
        value = _plain_or_quoted(text)
        if not isinstance(value, str):
            raise _NotCanonicalError
        return value

    def _nested(self, indent: int) -> Any:
        line = self._lines[self._at]
        if line[:indent].strip():
            raise _NotCanonicalError
        if line.startswith("- ", indent):
            return self._sequence(indent)
        return self._mapping(indent + 2)

    def _sequence(self, indent: int) -> list[Any]:
        lines, mark = self._lines, " " * indent + "- "
        result: list[Any] = []
        while self._at < len(lines) and lines[self._at].startswith(mark):
            rest = lines[self._at][indent + 2 :]
            if self._opens_block(rest):
                lines[self._at] = " " * (indent + 2) + rest
                result.append(self._block(indent + 2))
            else:
                result.append(self._scalar(rest, indent))
        return result

    def _scalar(self, text: str, indent: int) -> Any:
        """The scalar after a key or a dash at ``indent``. The line after its last line is read next."""
        self._at += 1
        if text.startswith("|"):
            return self._literal(text, indent + 2)
        return _plain_or_quoted(text)

    def _literal(self, header: str, indent: int) -> str:
        match = _LITERAL.match(header)
        if match is None:
            raise _NotCanonicalError
        lines, spaces = self._lines, " " * indent
        start = self._at
        for end in range(start, len(lines)):
            if lines[end] and not lines[end].startswith(spaces):
                break
        else:
            end = len(lines)
        self._at = end
        text = "\n".join(["", *lines[start:end]]).replace(f"\n{spaces}", "\n")[1:]
        trailing = len(text) - len(text.rstrip("\n"))
        chomping = match[2]
        if (chomping == "+") != (trailing > 0) or not text.strip("\n"):
            raise _NotCanonicalError
        return text if chomping == "-" else text + "\n"


def _plain_or_quoted(text: str) -> Any:
    if text.startswith('"'):
        if _QUOTED.fullmatch(text) is None:
            raise _NotCanonicalError
        if "\\" not in text:
            return text[1:-1]
        return json.loads(_HEX_ESCAPE.sub(lambda m: m[1] or f"\\u00{m[2]}", text), strict=False)
    if text in _WORDS:
        return _WORDS[text]
    if text == "{}":
        return {}
    if text == "[]":
        return []
    if _PLAIN.match(text) and ": " not in text and " #" not in text and not text.endswith(":"):
        return text
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    raise _NotCanonicalError
