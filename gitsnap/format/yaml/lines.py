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

from gitsnap.format.yaml import go_scalars


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
    places: list[tuple[str | int, bool]] = []
    """For each open collection its position, a number or a key, and whether a mapping waits for a value."""
    wanted = [str(one) for one in path]
    line, is_empty = None, True
    while not isinstance(event := parser.get_event(), DocumentEndEvent):
        if isinstance(event, CollectionEndEvent):
            places.pop()
            continue
        place, waits = places[-1] if places else ("", True)
        if isinstance(place, int):
            places[-1] = place + 1, waits
        elif places and not waits:
            places[-1] = _key(event), True
            if [str(one) for one, _ in places] == wanted:
                line = event.start_mark.line + 1
            continue
        elif places:
            places[-1] = place, False
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            is_empty = False
            places.append(("", False) if isinstance(event, MappingStartEvent) else (-1, True))
    return is_empty, line


def _key(event: Any) -> str:
    """The text of a key, ``""`` for an alias or a collection."""
    if not isinstance(event, ScalarEvent):
        return ""
    text = str(event.value)
    return (go_scalars.key_text(go_scalars.plain(text)) or text) if event.implicit[0] else text
