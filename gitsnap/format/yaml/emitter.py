"""Writes archived objects as canonical YAML: equal values have equal bytes on every machine.

The output is the archive format (docs/FORMAT.md). It is limited to JSON values, in a form that readers of YAML 1.1 and
YAML 1.2 read back to the same value (the tests read it with PyYAML and ruamel.yaml).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gitsnap.core.errors import InputError

_TOP_ORDER = {"apiVersion": 0, "kind": 1, "metadata": 2}
_METADATA_ORDER = {"name": 0, "namespace": 1, "labels": 2, "annotations": 3}

_PLAIN = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./@=+-]*(?::[A-Za-z0-9_./@=+-]+)*"
    r"(?: [A-Za-z0-9_./@=+(-][A-Za-z0-9_./@=+()-]*(?::[A-Za-z0-9_./@=+()-]+)*)*\Z"
)
"""Strings that need no quotes: they begin with a letter, ``_`` or ``/`` and contain neither ``: `` nor `` #``."""

_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Strings that some reader reads as a boolean or null, in any case."""

_NOT_LITERAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that a literal block cannot contain: unprintable ones, and line breaks other than LF."""

_LITERAL_ASCII = b"\t\n" + bytes(range(0x20, 0x7F))
"""The ASCII bytes that it can contain. Most text is ASCII, and ``bytes.translate`` is three times as fast."""

_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\uffff\ufffe]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}

_LONGEST_SIMPLE_KEY = 1000
"""YAML requires the form ``? `` for a key of more than 1,024 characters, quotes and escapes included."""

_MOST_CACHED_KEYS = 32
_LONGEST_SHORT = 64
"""Keys of a mapping and characters of a text that are cached at most, so that large objects do not fill the memory."""

DEEPEST = 200
"""Levels of nesting in an object. Go's YAML library reads ten thousand, an API server fewer in a custom resource."""


def encode(document: Any) -> bytes:
    """Canonical YAML of a JSON value, UTF-8 with a trailing newline.

    Raises InputError for a value that JSON cannot represent: another type, NaN, an infinity, a key that is not a
    string, half of a surrogate pair; also for more than DEEPEST levels of nesting.
    """
    lines: list[str] = []
    if isinstance(document, dict) and document:
        for key, head in _heads_of(document, "", _top_rank):
            value = document[key]
            if key == "metadata" and isinstance(value, dict) and value:
                lines.append(head)
                _mapping(value, _heads_of(value, "  ", _metadata_rank), "  ", lines, 1)
            else:
                _mapping(document, ((key, head),), "", lines, 0)
    elif isinstance(document, list) and document:
        _sequence(document, "", lines, 0)
    else:
        lines.append(_inline(document, "", 0))
    lines.append("")
    try:
        return "\n".join(lines).encode()
    except UnicodeEncodeError as error:
        raise InputError("a text contains half of a surrogate pair, which UTF-8 cannot represent") from error


def _top_rank(key: Any) -> tuple[int, str]:
    return _TOP_ORDER.get(key, 9), _checked_key(key)


def _metadata_rank(key: Any) -> tuple[int, str]:
    return _METADATA_ORDER.get(key, 9), _checked_key(key)


def _checked_key(key: Any) -> str:
    if not isinstance(key, str):
        raise InputError(f"a key is not a string: {key!r}")
    return key


_Heads = tuple[tuple[str, str], ...]
"""The keys of a mapping in their order, each with the beginning of its entry: indentation, key and colon."""


def _heads_of(value: dict[str, Any], indent: str, rank: Callable[[Any], Any] = _checked_key) -> _Heads:
    """The heads of a mapping at an indentation, ordered by ``rank``."""
    if len(value) <= _MOST_CACHED_KEYS:
        return _cached_heads(tuple(value), indent, rank)
    return _heads(tuple(value), indent, rank)


def _heads(keys: tuple[str, ...], indent: str, rank: Callable[[Any], Any]) -> _Heads:
    return tuple((key, _head(key, indent)) for key in sorted(keys, key=rank))


_cached_heads = lru_cache(maxsize=1024)(_heads)
"""Most mappings have the same keys as another mapping. A look-up takes a third of the time of sorting the keys."""


def _head(key: str, indent: str) -> str:
    written = _key_text(key)
    if len(written) > _LONGEST_SIMPLE_KEY:
        return f"{indent}? {written}\n{indent}:"
    return f"{indent}{written}:"


def _mapping(value: dict[str, Any], heads: _Heads, indent: str, lines: list[str], depth: int) -> None:
    """The entries of a mapping. A list below a key is not indented further, as in the output of kubectl."""
    for key, head in heads:
        item = value[key]
        if type(item) is str and "\n" not in item:  # most values are short texts
            lines.append(f"{head} {_short_text(item) if len(item) <= _LONGEST_SHORT else _scalar_text(item)}")
        elif isinstance(item, dict) and item:
            _check_depth(depth)
            lines.append(head)
            _mapping(item, _heads_of(item, indent + "  "), indent + "  ", lines, depth + 1)
        elif isinstance(item, list) and item:
            _check_depth(depth)
            lines.append(head)
            _sequence(item, indent, lines, depth + 1)
        else:
            lines.append(f"{head} {_inline(item, indent, depth)}")


def _sequence(values: list[Any], indent: str, lines: list[str], depth: int) -> None:
    for value in values:
        first = len(lines)
        if isinstance(value, dict) and value:
            _check_depth(depth)
            _mapping(value, _heads_of(value, indent + "  "), indent + "  ", lines, depth + 1)
        elif isinstance(value, list) and value:
            _check_depth(depth)
            _sequence(value, indent + "  ", lines, depth + 1)
        else:
            lines.append(f"{indent}- {_inline(value, indent, depth)}")
            continue
        lines[first] = f"{indent}- {lines[first][len(indent) + 2 :]}"


def _check_depth(depth: int) -> None:
    if depth > DEEPEST:
        raise InputError(f"the object is nested more than {DEEPEST} levels deep")


def _inline(value: Any, indent: str, depth: int) -> str:
    """A scalar or an empty collection. A text of several lines becomes a literal block, indented below ``indent``."""
    if isinstance(value, str):
        if "\n" in value and depth <= DEEPEST and _fits_literal(value):
            return _literal(value, indent + "  ")
        return _scalar_text(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    raise InputError(f"a value of type {type(value).__name__} has no form in JSON")


def _float(value: float) -> str:
    """The shortest form that reads back to the same float, in YAML 1.1 as well."""
    if not math.isfinite(value):
        raise InputError("NaN and infinities have no form in JSON")
    text = repr(value)
    mantissa, exponent_mark, exponent = text.partition("e")
    if not exponent_mark:
        return text
    if "." not in mantissa:
        mantissa += ".0"
    sign = exponent if exponent[0] in "+-" else f"+{exponent}"
    return f"{mantissa}e{sign}"


def _scalar_text(text: str) -> str:
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    return f'"{_ESCAPED.sub(_escape, text)}"'


_short_text = lru_cache(maxsize=512)(_scalar_text)
"""Cached: most short texts, such as the names of kinds and of versions, occur in many objects."""


@lru_cache(maxsize=4096)
def _key_text(key: str) -> str:
    """A key as YAML. Cached: the objects of a kind have the same keys."""
    return _scalar_text(_checked_key(key))


def _fits_literal(text: str) -> bool:
    if text.isascii():
        return not text.encode().translate(None, _LITERAL_ASCII)
    return _NOT_LITERAL.search(text) is None


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    known = _ESCAPES.get(char)
    if known is not None:
        return known
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:  # half of a surrogate pair, which no reader could read back
        raise InputError("a text contains half of a surrogate pair, which UTF-8 cannot represent")
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _literal(text: str, indent: str) -> str:
    """A ``|`` block. The chomping indicator encodes final newlines; leading space needs an indentation indicator."""
    body = text.rstrip("\n")
    trailing = len(text) - len(body)
    if not body:  # PyYAML and ruamel.yaml read a block of line breaks differently
        return f'"{_ESCAPED.sub(_escape, text)}"'
    chomping = ("-", "")[trailing] if trailing < 2 else "+"
    indicator = "2" if body[0] in " \t\n" else ""
    block = f"\n{body}".replace("\n", f"\n{indent}")
    if "\n\n" in f"\n{body}":
        # Empty lines get no indentation, but lines of spaces keep theirs. Twice, because matches do not overlap.
        block = block.replace(f"\n{indent}\n", "\n\n").replace(f"\n{indent}\n", "\n\n")
    return f"|{indicator}{chomping}{block}" + "\n" * max(0, trailing - 1)
