"""The values of templates: JSON, and a mark for fields that an archive does not hold."""

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
"""The value of a field that is not archived. A template that reads the field raises TemplateError."""

_BITS = 64


class Constant(int):
    """A number that is written in the template. Go converts such a constant to the type that a function expects."""


class Root(dict[str, Value]):
    """The fields of the dot: ClusterName, ClusterNamespace and Cluster.

    ``fetch`` returns the object of the cluster, or None if the object is not known. It is called on first use.
    """

    def __init__(self, *, name: str, namespace: str, fetch: Callable[[], JsonObject | None]) -> None:
        super().__init__(ClusterName=name, ClusterNamespace=namespace)
        self._fetch = fetch

    def __missing__(self, field: str) -> Value:
        """The object of the cluster. Raises TemplateError for other fields, such as the data of an event."""
        if field != "Cluster":
            raise TemplateError(f".{field} is known to Sveltos only")
        cluster = self._fetch()
        self[field] = UNKNOWN if cluster is None else cluster
        return self[field]


def walk(value: Value, path: Sequence[str], *, start: str = "") -> Value:
    """The value at a path of fields. ``start`` is the expression before the path, for messages.

    Raises TemplateError for a missing field, as Go does with the option ``missingkey=error``, which Sveltos sets.
    """
    expression = start
    for name in path:
        if not isinstance(value, dict):
            raise TemplateError(f"{expression or '.'} is not a map and has no field {name}")
        try:
            value = value[name]
        except KeyError:
            raise TemplateError(f"there is no {expression}.{name}") from None
        expression = f"{expression}.{name}"
        known(value, expression)
    return value


def known(value: Value, expression: str) -> Value:
    """The value itself. Raises TemplateError if the value is not archived."""
    if value is UNKNOWN:
        raise TemplateError(f"{expression} is not archived, only the live cluster has it")
    return value


def is_true(value: Value) -> bool:
    """Whether Go's templates take a value for true. Empty values are false."""
    return bool(value)


def text(value: Value) -> str:
    """A string argument of a function. Raises TemplateError for another type and for text that is not ASCII.

    Python and Go change the case of some other characters differently.
    """
    if not isinstance(value, str):
        raise TemplateError(f"expected a string, not {_type_name(value)}")
    if not value.isascii():
        raise TemplateError("functions are supported on ASCII text only")
    return value


def constant(value: Value) -> int:
    """An ``int`` argument of a function, which must be a constant: numbers of a document have another type in Go."""
    if not isinstance(value, Constant):
        raise TemplateError(f"expected a number that is written in the template, not {_type_name(value)}")
    return value


def is_number(value: Value) -> bool:
    """Whether a value is an integer. In Python, booleans are integers too; here they are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def printed(value: Value) -> str:
    """A string, integer or boolean as an action prints it. Raises TemplateError for other values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if is_number(value) and value.bit_length() < _BITS:
        return str(value)
    raise TemplateError(f"printing {_type_name(value)} is not supported")


def _type_name(value: Value) -> str:
    if value is None:
        return "nil"
    names = {dict: "a map", list: "a list", str: "a string", bool: "a boolean", int: "an integer", float: "a float"}
    return names.get(type(value), "another value")
