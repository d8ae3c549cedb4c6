"""Line numbers of fields in a YAML text, for messages about their values.

Import this module only when a line is needed: it imports ruamel.yaml.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from ruamel.yaml.cyaml import CBaseLoader
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    CollectionEndEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from gitsnap.format.yaml import go_scalars


def find_line(text: str, number: int, path: Sequence[str | int]) -> int | None:
    """The line of the key at a path in document ``number`` (from 0, without empty documents); None if there is none."""
    try:
        return next(itertools.islice(_lines(text, tuple(path)), number, None), None)
    except YAMLError:
        return None


def _lines(text: str, path: tuple[str | int, ...]) -> Iterator[int | None]:
    """The line of the key at a path, for each document that is not empty."""
    parser = CBaseLoader(text)
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        if isinstance(event, DocumentStartEvent):
            is_empty, line = _line(parser, path)
            if not is_empty:
                yield line


def _line(parser: Any, path: tuple[str | int, ...]) -> tuple[bool, int | None]:
    """Whether a document has no collection, and the line of the key at a path. Reads to the end of the document."""
    open_collections: list[tuple[str | int, bool]] = []
    """The current position or key in each open collection, and whether a mapping expects a value next."""
    wanted = [str(step) for step in path]
    line, is_empty = None, True
    while not isinstance(event := parser.get_event(), DocumentEndEvent):
        if isinstance(event, CollectionEndEvent):
            open_collections.pop()
            continue
        current, expects_value = open_collections[-1] if open_collections else ("", True)
        if isinstance(current, int):
            open_collections[-1] = current + 1, expects_value
        elif open_collections and not expects_value:
            open_collections[-1] = _key(event), True
            if [str(step) for step, _ in open_collections] == wanted:
                line = event.start_mark.line + 1
            continue
        elif open_collections:
            open_collections[-1] = current, False
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            is_empty = False
            open_collections.append(("", False) if isinstance(event, MappingStartEvent) else (-1, True))
    return is_empty, line


def _key(event: Any) -> str:
    """The text of a key, ``""`` for an alias or a collection."""
    if not isinstance(event, ScalarEvent):
        return ""
    text = str(event.value)
    return (go_scalars.key_text(go_scalars.plain(text)) or text) if event.implicit[0] else text
