"""The fields of an object that hold text alone, as the types of an API server say; pure functions.

In YAML a value such as ``5`` or ``yes`` needs quotes to be text. A server refuses the object without them, and reads
null as the empty text. This module must not know where objects are kept.
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
_WORDS: dict[type, str] = {
    bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a map"
}  # fmt: skip

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A field that holds a value of another type than a server takes."""

    path: Path
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)} is {self.found}, and an API server takes only {self.wanted} there"


def misfit(document: JsonObject) -> Misfit | None:
    """The first field that holds something else than text, None where a server would take all of them."""
    kind = Kind.of(document)
    for path in (*_SINGLE, *_SINGLE_OF_KIND.get(kind, ())):
        value = _at(document, path)
        if value is not None and not isinstance(value, str):
            return Misfit(path, _word(value), "text")
    for path in _maps_of(kind):
        texts = _at(document, path)
        if texts is not None and not isinstance(texts, dict):
            return Misfit(path, _word(texts), "a map of texts")
        for name, value in (texts or {}).items():
            if value is not None and not isinstance(value, str):
                return Misfit((*path, name), _word(value), "text")
    return None


def with_empty_texts(document: JsonObject) -> JsonObject:
    """The object with the empty text for null, as a server reads it; the same object where there is no null."""
    for path in _maps_of(Kind.of(document)):
        texts = _at(document, path)
        if isinstance(texts, dict) and None in texts.values():
            document = _with(document, path, {name: "" if value is None else value for name, value in texts.items()})
    return document


def _maps_of(kind: Kind) -> tuple[Path, ...]:
    return *_MAPS, *_MAPS_OF_KIND.get(kind, ())


def _word(value: Any) -> str:
    return _WORDS.get(type(value), "another value")


def _at(document: Any, path: Path) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _with(document: JsonObject, path: Path, value: Any) -> JsonObject:
    name, *rest = path
    return {**document, name: _with(document[name], tuple(rest), value) if rest else value}
