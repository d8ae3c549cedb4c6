"""The functions of templates: those of Go's text/template and of sprig whose result depends on their arguments only.

A function takes evaluated arguments and checks their types, as Go does; ``call`` checks their number. Where sprig
converts an argument of another type, a function here raises TemplateError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gitsnap.sveltos.templates.errors import TemplateError
from gitsnap.sveltos.templates.values import Value, constant, is_number, is_true, known, printed, text

Function = Callable[..., Value]

_VERB = re.compile(r"%(.)", re.DOTALL)
_SPACES = " \t\n\v\f\r"
_MAX_LENGTH = 100_000
"""Largest number of characters in the result of ``replace``."""


def _index(item: Value, *keys: Value) -> Value:
    """A missing key of a map yields None, as in Go. An index outside a list is an error."""
    for key in keys:
        if isinstance(item, dict) and isinstance(key, str):
            item = known(item.get(key), f"the key {key}")
        elif isinstance(item, list) and is_number(key) and 0 <= key < len(item):
            item = item[key]
        else:
            raise TemplateError("index: no such key or index")
    if item is None and not keys:
        raise TemplateError("index: the value is nil")
    return item


def _default(fallback: Value, value: Value) -> Value:
    return value if is_true(value) else fallback


def _printf(pattern: Value, *values: Value) -> str:
    """Supports ``%s`` of strings, ``%d`` of integers, ``%v`` of strings, integers and booleans, and ``%%``."""
    remaining = list(values)

    def fill(match: re.Match[str]) -> str:
        """Replace one verb. Raises TemplateError if Go would print an error, or more than the plain value."""
        verb = match[1]
        if verb == "%":
            return "%"
        if not remaining:
            raise TemplateError("printf: too few arguments")
        value = remaining.pop(0)
        supported = {"s": isinstance(value, str), "d": is_number(value), "v": True}
        if not supported.get(verb, False):
            raise TemplateError(f"printf: %{verb} is not supported for this value")
        return printed(value)

    if not isinstance(pattern, str) or pattern.replace("%%", "").endswith("%"):
        raise TemplateError("printf: the format is not a string, or ends with %")
    result = _VERB.sub(fill, pattern)
    if remaining:
        raise TemplateError("printf: too many arguments")
    return result


def _are_equal(first: Value, second: Value) -> bool:
    """Whether two values are equal. Raises TemplateError for values of different types, as Go does."""
    for basic_type in (bool, str):
        if isinstance(first, basic_type) and isinstance(second, basic_type):
            return bool(first == second)
    if is_number(first) and is_number(second):
        return bool(first == second)
    raise TemplateError("eq: incompatible types for comparison")


def _eq(first: Value, second: Value, *others: Value) -> bool:
    return any(_are_equal(first, other) for other in (second, *others))


def _trunc(length: Value, value: Value) -> str:
    """A negative length keeps the end of the string, as in sprig."""
    count, whole = constant(length), text(value)
    if count < 0:
        return whole[count:] if len(whole) + count > 0 else whole
    return whole[:count]


def _coalesce(*values: Value) -> Value:
    return next((value for value in values if is_true(value)), None)


def _ternary(if_true: Value, if_false: Value, condition: Value) -> Value:
    if not isinstance(condition, bool):
        raise TemplateError("ternary: the condition is not a boolean")
    return if_true if condition else if_false


def _has_key(container: Value, key: Value) -> bool:
    if not isinstance(container, dict) or not isinstance(key, str):
        raise TemplateError("hasKey: the arguments are not a map and a string")
    known(container.get(key), f"the key {key}")
    return key in container


def _trim_prefix(prefix: Value, value: Value) -> str:
    return text(value).removeprefix(text(prefix))


def _trim_suffix(suffix: Value, value: Value) -> str:
    return text(value).removesuffix(text(suffix))


def _replace(old: Value, new: Value, value: Value) -> str:
    """Limits the result: a pipeline of ``replace`` could make the text longer with every call."""
    before, after, whole = text(old), text(new), text(value)
    if len(whole) + whole.count(before) * len(after) > _MAX_LENGTH:
        raise TemplateError("replace: the result is too long")
    return whole.replace(before, after)


FUNCTIONS: Mapping[str, tuple[Function, int, int | None]] = {
    # Go's text/template. `and` and `or` are listed for the number of their arguments: the parser implements them,
    # because evaluation stops at the first argument that decides the result.
    "and": (lambda *values: values[-1], 1, None),
    "or": (lambda *values: values[-1], 1, None),
    "not": (lambda value: not is_true(value), 1, 1),
    "eq": (_eq, 2, None),
    "ne": (lambda first, second: not _are_equal(first, second), 2, 2),
    "index": (_index, 2, None),
    "printf": (_printf, 1, None),
    # sprig.
    "default": (_default, 2, 2),
    "coalesce": (_coalesce, 1, None),
    "ternary": (_ternary, 3, 3),
    "empty": (lambda value: not is_true(value), 1, 1),
    "hasKey": (_has_key, 2, 2),
    "lower": (lambda value: text(value).lower(), 1, 1),
    "upper": (lambda value: text(value).upper(), 1, 1),
    "trim": (lambda value: text(value).strip(_SPACES), 1, 1),
    "trimPrefix": (_trim_prefix, 2, 2),
    "trimSuffix": (_trim_suffix, 2, 2),
    "replace": (_replace, 3, 3),
    "trunc": (_trunc, 2, 2),
    "contains": (lambda part, value: text(part) in text(value), 2, 2),
    "hasPrefix": (lambda prefix, value: text(value).startswith(text(prefix)), 2, 2),
    "hasSuffix": (lambda suffix, value: text(value).endswith(text(suffix)), 2, 2),
}
"""By name: the function, and the smallest and largest number of its arguments (None for no limit)."""


def call(name: str, arguments: list[Any]) -> Value:
    """Call a function by name. Raises TemplateError for a wrong number of arguments, or for unsupported types."""
    function, smallest, largest = FUNCTIONS[name]
    if len(arguments) < smallest or (largest is not None and len(arguments) > largest):
        raise TemplateError(f"{name}: wrong number of arguments: {len(arguments)}")
    return function(*arguments)
