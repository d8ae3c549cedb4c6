"""The JSON values of objects: when two are equal, and in which fields two differ.

Python takes ``True`` for ``1`` and ``1`` for ``1.0``. Those who read an object do not: an API server, Helm, and the
archive, in whose bytes the two differ. No other module may compare JSON values by ``==`` (a test looks for it).
This module must not know what an object means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_KEY_BY_KEY = frozenset({"data", "binaryData", "metadata.labels", "metadata.annotations"})
"""Maps whose keys people know one by one. Each key is named even where only one side has the map."""


def same_json(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal for everybody who reads them: exactly if their canonical bytes are the same.

    Types count: ``true`` is not ``1``, ``1`` is not ``1.0``, ``0.0`` is not ``-0.0``. The order of keys does not.
    """
    waiting = [(first, second)]  # a stack of its own: values may be nested more deeply than Python's
    while waiting:
        one, other = waiting.pop()
        if one is not other and not _same_level(one, other, waiting):
            return False
    return True


def _same_level(one: Any, other: Any, waiting: list[tuple[Any, Any]]) -> bool:
    """Whether two values are of one type and size, and equal if they have no parts; their parts wait to be compared."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is dict:
        if one.keys() != other.keys():
            return False
        waiting.extend((value, other[name]) for name, value in one.items() if other[name] is not value)
        return True
    if kind is list or kind is tuple:
        waiting.extend(zip(one, other, strict=False))
        return len(one) == len(other)
    if kind is float:
        return repr(one) == repr(other)
    return bool(one == other)


def changed_fields(before: Any, after: Any) -> tuple[str, ...]:
    """Paths of the fields that differ: ``spec.policyRefs[0].name``, ``data.database.yaml``, sorted.

    A list whose length changed is one field, since its elements cannot be told from each other. The paths never hold
    values, which may be those of Secrets.
    """
    return tuple(sorted(set(_changed(before, after, ""))))


def _changed(before: Any, after: Any, path: str) -> Iterator[str]:
    if before is after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            inner = f"{path}.{key}" if path else str(key)
            if key in before and key in after:
                yield from _changed(before[key], after[key], inner)
            else:
                yield from _one_sided(before.get(key, after.get(key)), inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changed(old, new, f"{path}[{index}]")
    elif not same_json(before, after):
        yield path


def _one_sided(value: Any, path: str) -> Iterator[str]:
    if path in _KEY_BY_KEY and isinstance(value, dict) and value:
        yield from (f"{path}.{key}" for key in value)
    else:
        yield path
