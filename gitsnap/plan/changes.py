"""Which fields of an object differ, as paths that a person can read; never what stands in them.

Values may be those of Secrets, so this module must not return or format one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_KEY_BY_KEY = frozenset({"data", "binaryData", "metadata.labels", "metadata.annotations"})
"""Maps whose keys people know one by one, even where the whole map is on one side only."""


def changed_fields(before: Any, after: Any) -> tuple[str, ...]:
    """Paths of the fields that differ: ``spec.policyRefs[0].name``, ``data.database.yaml``, sorted.

    A list whose length changed is one field, since its elements cannot be told from each other.
    """
    return tuple(sorted(set(_changed(before, after, ""))))


def _changed(before: Any, after: Any, path: str) -> Iterator[str]:
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
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield path


def _one_sided(value: Any, path: str) -> Iterator[str]:
    if path in _KEY_BY_KEY and isinstance(value, dict) and value:
        yield from (f"{path}.{key}" for key in value)
    else:
        yield path
