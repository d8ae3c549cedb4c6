"""Names the document around a line of an object that holds manifests, such as a ConfigMap.

The lines are read as text, as git finds the name of a function for the header of a hunk. The name is for readers only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_HEADER = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_INDENT = " " * 4
"""The archive indents the lines of a text in ``data`` by four spaces, and its key by two."""
_FIELD = re.compile(rf"{_INDENT}(?:kind: (?P<kind>\S+)|  (?:name: (?P<name>\S+)|namespace: (?P<namespace>\S+)))$")
_MOST_LINES = 2_000
"""How many lines are searched for the beginning of a document."""


def document_of_hunk(hunk: Sequence[str], old: Sequence[str], new: Sequence[str]) -> str:
    """The document with the first change of a hunk: ``Service test/redis``; ``""`` outside of a manifest.

    ``hunk`` begins with its header; ``old`` and ``new`` are the lines of both texts.
    """
    match = _HEADER.match(hunk[0])
    if match is None:
        return ""
    context = next((number for number, line in enumerate(hunk[1:]) if line[:1] in ("-", "+")), 0)
    removed = hunk[1 + context].startswith("-")
    lines, start = (old, int(match[1])) if removed else (new, int(match[3]))
    return _name(list(_document(lines, start - 1 + context)))


def _document(lines: Sequence[str], at: int) -> Iterator[str]:
    """Yield the lines of the document around a line."""
    first = at
    while first > max(0, at - _MOST_LINES) and _inside(lines[first - 1]):
        first -= 1
    for position in range(first, min(len(lines), at + _MOST_LINES)):
        if position > at and not _inside(lines[position]):
            break
        yield lines[position]


def _inside(line: str) -> bool:
    """Whether a line belongs to the same document as the lines around it."""
    return (line.startswith(_INDENT) or not line.strip()) and line.rstrip() != f"{_INDENT}---"


def _name(document: Sequence[str]) -> str:
    fields: dict[str, str] = {}
    in_metadata = False
    for line in document:
        if line.startswith(_INDENT) and not line.startswith(f"{_INDENT} "):
            in_metadata = line == f"{_INDENT}metadata:"
        if match := _FIELD.match(line):
            for field, value in match.groupdict().items():
                if value and (field == "kind" or in_metadata):
                    fields.setdefault(field, value)
    if "kind" not in fields or "name" not in fields:
        return ""
    namespace = f"{fields['namespace']}/" if "namespace" in fields else ""
    return f"{fields['kind']} {namespace}{fields['name']}"
