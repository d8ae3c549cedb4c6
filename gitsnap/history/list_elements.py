"""Names for the elements of a list, so that an element that moves keeps its name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class _ElementKey(NamedTuple):
    """The fields that name an element of a list."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


_ELEMENT_KEYS = (
    _ElementKey(("kind", "name"), ("namespace",)),
    _ElementKey(("releaseName",), ("releaseNamespace",)),
    _ElementKey(("name",), ("namespace",)),
    _ElementKey(("key",)),
    _ElementKey(("identifier",)),
    _ElementKey(("containerPort",), ("protocol",)),
    _ElementKey(("port",), ("protocol",)),
    _ElementKey(("mountPath",)),
    _ElementKey(("topologyKey",)),
    _ElementKey(("type",)),
    _ElementKey(("path",)),
)
"""The keys of elements, the most specific first. Kubernetes merges most of its lists by one of these fields
(``x-kubernetes-list-map-keys``); the first two are the references and the charts of Sveltos."""


def element_names(elements: Sequence[Any]) -> list[str]:
    """A name for each element: its key, the scalar itself, or else the position. The names are unique."""
    if all(isinstance(element, dict) for element in elements):
        names = next(filter(None, (_names_by(key, elements) for key in _ELEMENT_KEYS)), None)
        return names or element_positions(elements)
    if not all(element is None or isinstance(element, str | int | float) for element in elements):
        return element_positions(elements)
    return unique([element if isinstance(element, str) else json.dumps(element) for element in elements])


def element_positions(elements: Sequence[Any]) -> list[str]:
    """The position of each element as a name."""
    return [str(position) for position in range(len(elements))]


def _names_by(key: _ElementKey, elements: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The names by one key; None if an element lacks a required field, or if two elements have the same name."""
    names = []
    for element in elements:
        parts = [element.get(name) for name in key.required]
        if not all(isinstance(part, str | int) and not isinstance(part, bool) and part != "" for part in parts):
            return None
        extra = [element[name] for name in key.optional if element.get(name)]
        names.append("/".join(map(str, [*parts[:-1], *extra, parts[-1]])))
    return names if len(set(names)) == len(names) else None


def unique(names: Sequence[str]) -> list[str]:
    """Names with ``#2``, ``#3`` … after each repeated one."""
    seen = Counter[str]()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
