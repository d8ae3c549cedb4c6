"""Fields of an object that an API server declares as strings; pure functions.

In YAML a value such as ``5`` or ``yes`` is a string only with quotes. A server refuses an object without them. It reads
null as the empty string.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject, Kind

_METADATA = "metadata"
_SINGLE = ((_METADATA, "name"), (_METADATA, "namespace"))
_MAPS = ((_METADATA, "labels"), (_METADATA, "annotations"))
_SINGLE_OF_KIND = {Kind("", "Secret"): (("type",),)}
_MAPS_OF_KIND = {
    Kind("", "ConfigMap"): (("data",), ("binaryData",)),
    Kind("", "Secret"): (("data",), ("stringData",)),
}
_TYPE_NAMES: dict[type, str] = {
    bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a map"
}  # fmt: skip

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TypeMismatch:
    """A field with a value that an API server does not accept."""

    path: Path
    actual: str
    expected: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)} is {self.actual}, but an API server accepts only {self.expected} there"


def find_mismatch(document: JsonObject) -> TypeMismatch | None:
    """The first field that must be a string and is not; None where a server would accept all of them."""
    kind = Kind.of(document)
    for path in (*_SINGLE, *_SINGLE_OF_KIND.get(kind, ())):
        value = _at(document, path)
        if value is not None and not isinstance(value, str):
            return TypeMismatch(path, _type_name(value), "a string")
    for path in _map_paths(kind):
        strings = _at(document, path)
        if strings is not None and not isinstance(strings, dict):
            return TypeMismatch(path, _type_name(strings), "a map of strings")
        for name, value in (strings or {}).items():
            if value is not None and not isinstance(value, str):
                return TypeMismatch((*path, name), _type_name(value), "a string")
    return None


def with_empty_strings(document: JsonObject) -> JsonObject:
    """The object with empty strings in place of nulls, as a server reads it; the same object if it has no null."""
    for path in _map_paths(Kind.of(document)):
        strings = _at(document, path)
        if isinstance(strings, dict) and None in strings.values():
            document = _with(document, path, {name: "" if value is None else value for name, value in strings.items()})
    return document


def _map_paths(kind: Kind) -> tuple[Path, ...]:
    return *_MAPS, *_MAPS_OF_KIND.get(kind, ())


def _type_name(value: Any) -> str:
    return _TYPE_NAMES.get(type(value), "another value")


def _at(document: Any, path: Path) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _with(document: JsonObject, path: Path, value: Any) -> JsonObject:
    name, *rest = path
    return {**document, name: _with(document[name], tuple(rest), value) if rest else value}
