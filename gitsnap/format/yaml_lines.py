"""In which line of a YAML text a field stands, for messages about its value.

This module must not be imported before it is needed.
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

from gitsnap.format import go_scalars


def find_line(text: str, number: int, path: Sequence[str | int]) -> int | None:
    """The line of the key at a path in the document of this number, empty ones not counted; None if it is not found."""
    try:
        return next(itertools.islice(_lines(text, tuple(path)), number, None), None)
    except YAMLError:
        return None


def _lines(text: str, path: tuple[str | int, ...]) -> Iterator[int | None]:
    """For each document the line of the key at the path."""
    parser = CBaseLoader(text)
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        if isinstance(event, DocumentStartEvent):
            is_empty, line = _line(parser, path)
            if not is_empty:
                yield line


def _line(parser: Any, path: tuple[str | int, ...]) -> tuple[bool, int | None]:
    """Whether the document has no collection, and the line of the key at the path; reads up to the document's end."""
    places: list[list[Any]] = []
    """For each open collection its position, a number or a key, and whether a mapping waits for a value."""
    line, is_empty = None, True
    while not isinstance(event := parser.get_event(), DocumentEndEvent):
        if isinstance(event, CollectionEndEvent):
            places.pop()
            continue
        if places and isinstance(places[-1][0], int):
            places[-1][0] += 1
        elif places and not places[-1][1]:
            key = go_scalars.plain(event.value) if isinstance(event, ScalarEvent) and event.implicit[0] else None
            places[-1] = [go_scalars.key_text(key) if key is not None else getattr(event, "value", ""), True]
            if tuple(place for place, _ in places) == path:
                line = event.start_mark.line + 1
            continue
        elif places:
            places[-1][1] = False
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            is_empty = False
            places.append(["", False] if isinstance(event, MappingStartEvent) else [-1, True])
    return is_empty, line
