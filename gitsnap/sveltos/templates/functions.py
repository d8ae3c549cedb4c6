"""The functions that names are made with: those of Go's templates and of sprig that always give the same result.

Each takes evaluated arguments and checks their number and types, as Go does. What sprig computes in another way for
other types is an error here. This module must not know how calls are written.
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
_LONGEST = 100_000


def _index(item: Value, *keys: Value) -> Value:
    """A missing key of a map is nothing, and prints nothing; a missing place of a list is an error."""
    for key in keys:
        if isinstance(item, dict) and isinstance(key, str):
            item = known(item.get(key), f"the key {key}")
        elif isinstance(item, list) and is_number(key) and 0 <= key < len(item):
            item = item[key]
        else:
            raise TemplateError("index: there is no such place")
    if item is None and not keys:
        raise TemplateError("index: of nothing")
    return item


def _default(fallback: Value, given: Value) -> Value:
    return given if is_true(given) else fallback


def _printf(pattern: Value, *values: Value) -> str:
    """``%s`` of text, ``%d`` of whole numbers, ``%v`` of both and of truth values, ``%%``."""
    remaining = list(values)

    def fill(match: re.Match[str]) -> str:
        """One verb with the next value. Raises TemplateError where Go would print more than the value, or an error."""
        verb = match[1]
        if verb == "%":
            return "%"
        if not remaining:
            raise TemplateError("printf: too few arguments")
        value = remaining.pop(0)
        fits = {"s": isinstance(value, str), "d": is_number(value), "v": True}
        if not fits.get(verb, False):
            raise TemplateError(f"printf: %{verb} is not evaluated for this value")
        return printed(value)

    if not isinstance(pattern, str) or pattern.replace("%%", "").endswith("%"):
        raise TemplateError("printf: no pattern")
    result = _VERB.sub(fill, pattern)
    if remaining:
        raise TemplateError("printf: too many arguments")
    return result


def _comparable(first: Value, second: Value) -> bool:
    """Whether two values are equal; of different types, Go refuses to compare them."""
    for kind in (bool, str):
        if isinstance(first, kind) and isinstance(second, kind):
            return bool(first == second)
    if is_number(first) and is_number(second):
        return bool(first == second)
    raise TemplateError("eq: values of these types are not compared")


def _equal(first: Value, second: Value, *others: Value) -> bool:
    return any(_comparable(first, other) for other in (second, *others))


def _cut(length: Value, value: Value) -> str:
    """sprig's trunc: a negative number keeps the end."""
    count, whole = constant(length), text(value)
    if count < 0:
        return whole[count:] if len(whole) + count > 0 else whole
    return whole[:count]


def _coalesce(*values: Value) -> Value:
    return next((value for value in values if is_true(value)), None)


def _ternary(yes: Value, no: Value, condition: Value) -> Value:
    if not isinstance(condition, bool):
        raise TemplateError("ternary: the condition is neither true nor false")
    return yes if condition else no


def _has_key(container: Value, key: Value) -> bool:
    if not isinstance(container, dict) or not isinstance(key, str):
        raise TemplateError("hasKey: a map and a key are needed")
    known(container.get(key), f"the key {key}")
    return key in container


def _without_prefix(prefix: Value, value: Value) -> str:
    return text(value).removeprefix(text(prefix))


def _without_suffix(suffix: Value, value: Value) -> str:
    return text(value).removesuffix(text(suffix))


def _replaced(old: Value, new: Value, value: Value) -> str:
    """The one function whose result can be many times as long as what it is given, again and again in a pipeline."""
    before, after, whole = text(old), text(new), text(value)
    if len(whole) + whole.count(before) * len(after) > _LONGEST:
        raise TemplateError("replace: the result is too long")
    return whole.replace(before, after)


FUNCTIONS: Mapping[str, tuple[Function, int, int | None]] = {
    # Of Go's templates. `and` and `or` are here for their number of arguments: evaluation stops at the first that
    # decides, which is not a function's to do.
    "and": (lambda *values: values[-1], 1, None),
    "or": (lambda *values: values[-1], 1, None),
    "not": (lambda value: not is_true(value), 1, 1),
    "eq": (_equal, 2, None),
    "ne": (lambda first, second: not _comparable(first, second), 2, 2),
    "index": (_index, 2, None),
    "printf": (_printf, 1, None),
    # Of sprig.
    "default": (_default, 2, 2),
    "coalesce": (_coalesce, 1, None),
    "ternary": (_ternary, 3, 3),
    "empty": (lambda value: not is_true(value), 1, 1),
    "hasKey": (_has_key, 2, 2),
    "lower": (lambda value: text(value).lower(), 1, 1),
    "upper": (lambda value: text(value).upper(), 1, 1),
    "trim": (lambda value: text(value).strip(_SPACES), 1, 1),
    "trimPrefix": (_without_prefix, 2, 2),
    "trimSuffix": (_without_suffix, 2, 2),
    "replace": (_replaced, 3, 3),
    "trunc": (_cut, 2, 2),
    "contains": (lambda part, value: text(part) in text(value), 2, 2),
    "hasPrefix": (lambda prefix, value: text(value).startswith(text(prefix)), 2, 2),
    "hasSuffix": (lambda suffix, value: text(value).endswith(text(suffix)), 2, 2),
}
"""Name -> function, and the least and the greatest number of its arguments (None for any)."""


def call(name: str, arguments: list[Any]) -> Value:
    """The value of a call. Raises TemplateError where Go would refuse it, too."""
    function, least, most = FUNCTIONS[name]
    if len(arguments) < least or (most is not None and len(arguments) > most):
        raise TemplateError(f"{name}: {len(arguments)} arguments")
    return function(*arguments)
