"""Parses YAML to JSON values by the rules of Go, from the events of the C parser of ruamel.yaml.

As in sigs.k8s.io/yaml, the last of two equal keys counts, merge keys (``<<``) override the keys above them, and tags of
collections have no meaning. Nested collections are built without recursion.
Import this module only when it is needed: it imports ruamel.yaml.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml.cyaml import CBaseLoader
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from gitsnap.core.errors import InputError
from gitsnap.format.yaml import go_scalars
from gitsnap.format.yaml.emitter import DEEPEST

_FEW_VALUES, _FEW_ALIASED = 1000, 100
_RATIO_FALLS_FROM, _RATIO_FALLS_TO = 400_000, 4_000_000
_HIGHEST_RATIO, _LOWEST_RATIO = 0.99, 0.10
"""Limits of the share of a document that may come from aliases. A few lines of nested aliases can stand for billions of
values and fill the memory. The limits are those of Go's library, so that every text that it accepts is accepted."""

_VERSION = (1, 1)
_MERGE = "<<"
_NO_KEY: Any = object()

_BYTE_ORDER_MARK = "\ufeff"
_UNEXPECTED_COLON = "found unexpected ':'"
_WORD_WITH_COLON = re.compile(r"(?<![^\s\[{,])[A-Za-z0-9./_-][^\s\[\]{},!&*\"'%\\]*")
_INNER_COLON = re.compile(r":(?=\S)")
_MOST_RETRIES = 100


def load_all(text: str, source: str, *, unique_keys: bool = False) -> list[Any]:
    """The values of all documents without the empty ones. Raises InputError with the line of the error."""
    with _input_errors(source):
        return [document for document in _documents(text, unique_keys=unique_keys) if document is not None]
    return []


def load_first(text: str, source: str) -> Any:
    """The value of the first document, None if there is none. Go's library ignores the other documents."""
    with _input_errors(source):
        return next(_documents(text, most=1), None)


def _documents(text: str, *, most: int | None = None, unique_keys: bool = False) -> Iterator[Any]:
    """The values of the first ``most`` documents, or of all.

    Go's parser differs from this parser in two points: a colon inside a plain word of a flow collection
    (``[http://a]``) is text, and so is a byte order mark at the start of a line. While the text is parsed, each of the
    two is replaced by a character that the text does not contain.
    """
    stand_ins: dict[str, str] = {}
    text = text.removeprefix(_BYTE_ORDER_MARK).removeprefix(_BYTE_ORDER_MARK)
    if _BYTE_ORDER_MARK in text:
        mark = _unused(text)
        text = text.replace(_BYTE_ORDER_MARK, mark)
        stand_ins[mark] = _BYTE_ORDER_MARK
    for attempt in range(_MOST_RETRIES):
        try:
            return iter(list(itertools.islice(_parsed(text, stand_ins, unique_keys=unique_keys), most)))
        except MarkedYAMLError as error:
            position = error.problem_mark.index if error.problem_mark else -1
            if (
                error.problem != _UNEXPECTED_COLON
                or text[position : position + 1] != ":"
                or attempt == _MOST_RETRIES - 1
            ):
                raise
        colon = next((char for char, original in stand_ins.items() if original == ":"), "") or _unused(text, *stand_ins)
        stand_ins[colon] = ":"
        text = text[:position] + colon + text[position + 1 :]
        if attempt == 0 and "!<" not in text and "%TAG" not in text:
            text = _without_inner_colons(text, colon)
    raise AssertionError("the last attempt returns or raises")


def _unused(text: str, *others: str) -> str:
    """A character of the private use area that the text does not contain."""
    return next(char for char in map(chr, range(0xE000, 0xF8FF)) if char not in text and char not in others)


def _without_inner_colons(text: str, colon: str) -> str:
    """The text with ``colon`` in place of all colons inside words, except in tags and anchors.

    In Go's YAML such a colon is text wherever it is.
    """
    return "".join(
        _INNER_COLON.sub(colon, text[start:end] + text[end : end + 1])[: end - start] if is_word else text[start:end]
        for start, end, is_word in _words(text)
    )


def _words(text: str) -> Iterator[tuple[int, int, bool]]:
    """The text in pieces: start, end, and whether the piece is a word that may contain colons."""
    at = 0
    for match in _WORD_WITH_COLON.finditer(text):
        yield at, match.start(), False
        yield match.start(), match.end(), True
        at = match.end()
    yield at, len(text), False


def _parsed(text: str, stand_ins: dict[str, str], *, unique_keys: bool) -> Iterator[Any]:
    parser = CBaseLoader(text)
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        if isinstance(event, DocumentStartEvent):
            if event.version not in (None, _VERSION):
                _refuse(f"YAML {'.'.join(map(str, event.version))} is not read by Go, only YAML 1.1", event)
            yield _Builder(parser, stand_ins, unique_keys=unique_keys).document()


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A value with an anchor."""

    value: Any
    count: int
    """The number of values in it: itself, its parts, and the values of its aliases."""
    height: int
    """The levels of nested collections in it."""


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been read yet."""

    value: Any
    anchor: str | None
    counted: int
    """The number of values before it in the document."""
    height: int = 1
    pending: Any = _NO_KEY
    """The key whose value comes next."""
    merges: bool = False
    """Whether the next value is that of a merge key."""
    written: set[str] = field(default_factory=set)
    """The keys written in a mapping, without merged keys."""


class _Builder:
    """Builds one document."""

    def __init__(self, parser: Any, stand_ins: dict[str, str], *, unique_keys: bool) -> None:
        self._parser = parser
        self._unique_keys = unique_keys
        self._stand_ins = stand_ins
        self._value: Any = None
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored | _Open] = {}
        self._count = 1
        self._aliased = 0
        self._doubtful = False
        """Whether JSON cannot represent a value or a key. The finished document is checked then, because an equal key
        further down may replace it."""

    def document(self) -> Any:
        """The value of the document whose start has been read. Reads to its end."""
        while not isinstance(event := self._parser.get_event(), DocumentEndEvent):
            self._take(event)
            if self._aliased > _FEW_ALIASED:
                self._check_aliases(event)
        if self._doubtful:
            _check_json(self._value)
        return self._value

    def _take(self, event: Any) -> None:
        kind = type(event)
        if kind is ScalarEvent:
            self._take_scalar(event)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            self._start({} if kind is MappingStartEvent else [], event)
        elif kind is AliasEvent:
            self._take_alias(event)
        else:
            self._end(event)

    def _take_scalar(self, event: Any) -> None:
        text, tag, is_plain = event.value, event.tag, event.implicit[0]
        for stand_in, original in self._stand_ins.items():
            text = text.replace(stand_in, original)
        if tag is None:
            value = go_scalars.plain(text) if is_plain else text
        else:
            try:
                value = go_scalars.tagged(tag, text)
            except ValueError as error:
                _refuse(str(error), event)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, 1, 0)
        if text == _MERGE and (is_plain or tag == go_scalars.MERGE_TAG) and self._expects_key():
            self._open[-1].merges = True
            return
        self._count += 1
        self._put(value, event)

    def _expects_key(self) -> bool:
        """Whether the next value is the key of a mapping."""
        if not self._open:
            return False
        innermost = self._open[-1]
        return type(innermost.value) is dict and innermost.pending is _NO_KEY and not innermost.merges

    def _start(self, value: Any, event: Any) -> None:
        if len(self._open) > DEEPEST:
            _refuse(f"nested more than {DEEPEST} levels deep", event)
        if self._expects_key():
            _refuse("a key is a collection", event)
        opened = _Open(value, event.anchor, self._count)
        self._count += 1
        self._open.append(opened)
        if event.anchor:
            self._anchors[event.anchor] = opened

    def _end(self, event: Any) -> None:
        closed = self._open.pop()
        anchor = closed.anchor
        if anchor and self._anchors[anchor] is closed:
            self._anchors[anchor] = _Anchored(closed.value, self._count - closed.counted, closed.height)
        self._put(closed.value, event, height=closed.height)

    def _take_alias(self, event: Any) -> None:
        target = self._anchors.get(event.anchor)
        if target is None:
            _refuse(f"unknown anchor {event.anchor!r}", event)
        if isinstance(target, _Open):
            _refuse(f"the value of the anchor {event.anchor!r} contains itself", event)
        if len(self._open) + target.height > DEEPEST:
            _refuse(f"nested more than {DEEPEST} levels deep", event)
        self._count += 1 + target.count
        self._aliased += target.count
        self._check_aliases(event)
        self._put(_copied(target.value), event, height=target.height, alias=True)

    def _check_aliases(self, event: Any) -> None:
        if self._aliased <= _FEW_ALIASED or self._count <= _FEW_VALUES:
            return
        fallen = (self._count - _RATIO_FALLS_FROM) / (_RATIO_FALLS_TO - _RATIO_FALLS_FROM)
        allowed = _HIGHEST_RATIO - (_HIGHEST_RATIO - _LOWEST_RATIO) * min(1.0, max(0.0, fallen))
        if self._aliased / self._count > allowed:
            _refuse("its aliases multiply to far more values than the document contains", event)

    def _put(self, value: Any, event: Any, *, height: int = 0, alias: bool = False) -> None:
        """Add a value to the innermost collection: as an item, as a key, or as the value of the pending key."""
        if self._expects_key():
            self._open[-1].pending = self._key(value, event)
            return
        if type(value) is float:
            value = self._number(value)
        if not self._open:
            self._value = value
            return
        innermost = self._open[-1]
        innermost.height = max(innermost.height, height + 1)
        if innermost.merges:
            self._merge(innermost.value, value, event, alias=alias)
            innermost.merges = False
        elif type(innermost.value) is list:
            innermost.value.append(value)
        else:
            innermost.value[innermost.pending] = value
            innermost.pending = _NO_KEY

    def _key(self, value: Any, event: Any) -> Any:
        if isinstance(value, dict | list):
            _refuse("a key is a collection", event)
        text = go_scalars.key_text(value)
        if text is None:
            self._doubtful = True
            return value
        if self._unique_keys:
            written = self._open[-1].written
            if text in written:
                _refuse(f"found duplicate key {text!r}", event)
            written.add(text)
        return text

    def _number(self, value: float) -> int | float:
        if math.isfinite(value):
            return go_scalars.json_number(value)
        self._doubtful = True
        return value

    def _merge(self, into: dict[str, Any], value: Any, event: Any, *, alias: bool) -> None:
        if isinstance(value, list) and not alias and all(isinstance(item, dict) for item in value):
            self._count -= 1  # Go's library does not decode the list itself
            for item in reversed(value):
                into.update(item)
        elif isinstance(value, dict):
            into.update(value)
        else:
            _refuse("a merge key (<<) needs a mapping or a list of mappings", event)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value


def _check_json(document: Any) -> None:
    """Raises MarkedYAMLError for a key or a number that JSON cannot represent."""
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            other_key = next((key for key in value if not isinstance(key, str)), "")
            if other_key != "":
                raise MarkedYAMLError(
                    problem=f"the key {'null' if other_key is None else other_key} has no form in JSON"
                )
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, float) and not math.isfinite(value):
            raise MarkedYAMLError(problem=f"{value} has no form in JSON")


def _refuse(problem: str, event: Any) -> NoReturn:
    raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


@contextmanager
def _input_errors(source: str) -> Iterator[None]:
    """Turn the errors of the parser into InputError with the place of the error."""
    try:
        yield
    except MarkedYAMLError as error:
        raise InputError(f"{source}: {_position(error)}{error.problem or 'not valid YAML'}") from None
    except (YAMLError, ValueError) as error:
        raise InputError(f"{source}: not valid YAML ({type(error).__name__})") from None


def _position(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
