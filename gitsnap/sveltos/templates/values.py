"""What templates see: JSON values, with marks for what an archive does not keep.

This module must not evaluate anything.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, Final

from gitsnap.core.model import JsonObject
from gitsnap.sveltos.templates.errors import TemplateError

Value = Any


class _Unknown(enum.Enum):
    UNKNOWN = enum.auto()


UNKNOWN: Final = _Unknown.UNKNOWN
"""Stands in a document for what may have been there: whoever asks for it gets an error instead of an answer."""

_BITS = 64


class Constant(int):
    """A number that is written in the template: Go lets it be of any type, a number of a document only 64 bits wide."""


class Root(dict[str, Value]):
    """The values that begin at the dot, ``ClusterName`` and so on; the cluster's object is fetched when first used."""

    def __init__(self, *, name: str, namespace: str, fetch: Callable[[], JsonObject | None]) -> None:
        super().__init__(ClusterName=name, ClusterNamespace=namespace)
        self._fetch = fetch

    def __missing__(self, field: str) -> Value:
        """The object of the cluster; anything else, such as an event's data, is not known here."""
        if field != "Cluster":
            raise TemplateError(f".{field} is known to Sveltos only")
        found = self._fetch()
        self[field] = UNKNOWN if found is None else found
        return self[field]


def walk(value: Value, path: Sequence[str], *, start: str = "") -> Value:
    """The value at a path of fields; a key that is missing is an error, as with ``missingkey=error``."""
    passed = start
    for name in path:
        if not isinstance(value, dict):
            raise TemplateError(f"{passed or '.'} has no fields, so no {name}")
        try:
            value = value[name]
        except KeyError:
            raise TemplateError(f"there is no {passed}.{name}") from None
        passed = f"{passed}.{name}"
        known(value, passed)
    return value


def known(value: Value, what: str) -> Value:
    """The value itself. Raises TemplateError for one that is not kept."""
    if value is UNKNOWN:
        raise TemplateError(f"{what} is not kept in the archive, only the live cluster has it")
    return value


def is_true(value: Value) -> bool:
    """What Go's templates take for true; all empty values are false."""
    return bool(value)


def text(value: Value) -> str:
    """A string that functions may change. Raises TemplateError for another type, and beyond ASCII: cases differ."""
    if not isinstance(value, str):
        raise TemplateError(f"text is needed, not {_type(value)}")
    if not value.isascii():
        raise TemplateError("functions are evaluated on ASCII text only")
    return value


def constant(value: Value) -> int:
    """A whole number of the template's own; Go does not take one of a document where a function wants an ``int``."""
    if not isinstance(value, Constant):
        raise TemplateError(f"a number that stands in the template is needed, not {_type(value)}")
    return value


def is_number(value: Value) -> bool:
    """Whether a value is a whole number; in Python, unlike in JSON, truth values are numbers as well."""
    return isinstance(value, int) and not isinstance(value, bool)


def printed(value: Value) -> str:
    """A value as an action prints it: text, whole numbers and truth values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if is_number(value) and value.bit_length() < _BITS:
        return str(value)
    raise TemplateError(f"{_type(value)} is not printed here")


def _type(value: Value) -> str:
    if value is None:
        return "nothing"
    names = {dict: "a map", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a fraction"}
    return names.get(type(value), "another value")
