"""Reads values of a JSON document by a path such as ``spec.helmCharts[].valuesFrom[]``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def values_at(root: Any, path: str) -> Iterator[Any]:
    """Every value at a path, in the order of the document.

    A path is a list of field names with dots between them. ``[]`` after a name stands for every element of the list in
    that field. A field that is absent, null or of another type yields no value and no error.
    """
    values: Iterable[Any] = (root,)
    for part in path.split("."):
        name = part.removesuffix("[]")
        values = [value[name] for value in values if isinstance(value, dict) and value.get(name) is not None]
        if part.endswith("[]"):
            values = [item for value in values if isinstance(value, list) for item in value]
    yield from values
