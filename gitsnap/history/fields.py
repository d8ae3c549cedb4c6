"""The fields of an object as a flat mapping, so that the same field is recognized in every version of the object.

An element of a list is named by its key, not by its position: a chart by its release, a document in a ConfigMap by its
kind and name. An element that moves, or that follows an inserted element, keeps its path.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, Kind, SensitiveField
from gitsnap.core.objects import same_json
from gitsnap.format import masking
from gitsnap.format.fingerprint import is_fingerprint
from gitsnap.history.list_elements import element_names, element_positions, unique
from gitsnap.sveltos import documents, embedded_secrets, kinds

Fields = Mapping[str, Any]
"""Path of a field -> its value: a scalar, an empty mapping or list, or a HiddenValue. Paths are sorted."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")
_CLEAR_NAME = re.compile(r'[^\[\]"\x00-\x1f]+')

_POSITION = re.compile(r"\[\d+\]")
_QUOTED = re.compile(r'\["([^"]*)"\]')

_NOT_SHOWN = "(not shown)"
_AMBIGUOUS_JSON = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
"""Halves of surrogate pairs, and the character that begins the name of a document here."""
_DEEPEST = 500
"""The nesting from which a text is not read as JSON. Without a limit, the version of Python decides."""
_MAX_DEPTH = 60
"""Levels below which a value is one field, such as in a hostile document."""


@dataclass(frozen=True, slots=True)
class HiddenValue:
    """Stands for a value that must not be shown. Two are equal exactly if the values are equal."""

    text: str = field(repr=False)
    """The value as JSON."""

    def __str__(self) -> str:
        return _NOT_SHOWN


def plain_path(path: str) -> str:
    """A path in which ``["a.yaml"]`` is written as ``.a.yaml``: users write a path in either form."""
    return _QUOTED.sub(r".\1", path)


def text_of_value(value: Any) -> str:
    """A value as a person writes it: ``true`` and ``null`` as in YAML."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return value if isinstance(value, str) else str(value)


def is_hidden(value: Any) -> bool:
    """Whether a value stands for the value of a Secret or of a sensitive field."""
    return isinstance(value, HiddenValue) or is_fingerprint(value)


class ObjectFields(NamedTuple):
    """The fields of an object, and the texts that were split into fields, by the path of the text."""

    fields: Fields
    texts: Mapping[str, str]


def fields_of(document: JsonObject, sensitive: Iterable[SensitiveField] = ()) -> Fields:
    """The fields of an object. Documents and JSON in a ConfigMap, and values of charts, are split into their fields.

    apiVersion, kind, name and namespace are left out: they name the object. The values of Secrets and of ``sensitive``
    fields are fingerprints or, where the archive has the value itself, a HiddenValue. So are the values of Secret
    manifests in an object. A text that cannot be split is one HiddenValue if it contains such a manifest.
    """
    return split_fields(document, sensitive).fields


def split_fields(document: JsonObject, sensitive: Iterable[SensitiveField] = ()) -> ObjectFields:
    """The fields of an object as ``fields_of`` returns them, with the split texts. The texts have no hidden values."""
    fields, texts = _split(document, sensitive, element_names)
    return ObjectFields(dict(sorted(dict(fields).items())), dict(texts))


def positional_paths(document: JsonObject, sensitive: Iterable[SensitiveField] = ()) -> dict[str, str]:
    """The path of each field and text of ``split_fields`` -> the path with positions: ``containers[0].image``.

    `log` and `diff` write paths with positions. Paths that are equal in both forms are left out.
    """
    named, positional = (_split(document, sensitive, names) for names in (element_names, element_positions))
    # Both have the same fields and texts in the same order, because only the names of elements differ.
    pairs = (pair for lists in zip(named, positional, strict=True) for pair in zip(*lists, strict=True))
    return {path: other for (path, _), (other, _) in pairs if path != other}


def has_position(path: str) -> bool:
    """Whether a path that a user wrote may name an element of a list by its position."""
    return _POSITION.search(path) is not None


_Names = Callable[[Sequence[Any]], list[str]]
"""Returns the names of the elements of a list."""

_Paths = list[tuple[str, Any]]
"""Paths with their values, in the order of the document."""


def _split(document: JsonObject, sensitive: Iterable[SensitiveField], names: _Names) -> tuple[_Paths, _Paths]:
    """The fields and the split texts of an object."""
    fields, texts = _Paths(), _Paths()
    for name, value, expand in _top_level(document, sensitive):

        def expand_text(path: str, text: str, expand: _Expand = expand) -> Any:
            structure = expand(path, text)
            if structure is not text:
                texts.append((path, embedded_secrets.replace_values(text, lambda _steps, _value: _NOT_SHOWN)))
            return structure

        fields += _flatten(name, value, 0, expand_text, names)
    return fields, texts


class FieldDifference(NamedTuple):
    """A field that differs between two versions of an object; ABSENT for a version without the field."""

    path: str
    before: Any
    after: Any


ABSENT = HiddenValue("")


def field_differences(before: JsonObject, after: JsonObject) -> list[FieldDifference]:
    """The fields that differ between two versions of an object, with the paths of ``fields_of``.

    A list or a text that one version lacks is one difference, whatever is in it. Another order of the elements of a
    list is a difference of the list. Texts that differ only in comments or format are a difference of the text.
    """
    sides = [{name: (value, expand) for name, value, expand in _top_level(side, ())} for side in (before, after)]
    missing = (ABSENT, _keep)
    return [
        difference
        for name in sorted(sides[0].keys() | sides[1].keys())
        for old, new in [(sides[0].get(name, missing), sides[1].get(name, missing))]
        for difference in _differences(name, (old[0], new[0]), 0, old[1] if old is not missing else new[1])
    ]


def _differences(path: str, values: tuple[Any, Any], depth: int, expand: _Expand) -> Iterator[FieldDifference]:
    old, new = values
    if same_json(old, new):
        return
    if {type(old), type(new)} == {dict, HiddenValue} and ABSENT in values and {} not in values:
        old, new = ({} if value is ABSENT else value for value in values)
    if isinstance(old, str) and isinstance(new, str):
        structures = expand(path, old), expand(path, new)
        inner = [] if isinstance(structures[0], str) or isinstance(structures[1], str) else structures
        yield from (inner and list(_differences(path, structures, depth, _keep))) or [FieldDifference(path, old, new)]
    elif depth < _MAX_DEPTH and isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            pair = old.get(name, ABSENT), new.get(name, ABSENT)
            yield from _differences(_member(path, name), pair, depth + 1, expand)
    elif depth < _MAX_DEPTH and isinstance(old, list) and isinstance(new, list):
        named = [dict(zip(element_names(side), side, strict=True)) for side in (old, new)]
        if not same_json(
            [name for name in named[0] if name in named[1]], [name for name in named[1] if name in named[0]]
        ):
            yield FieldDifference(path, old, new)
        for name in {**named[0], **named[1]}:
            pair = named[0].get(name, ABSENT), named[1].get(name, ABSENT)
            yield from _differences(f"{path}[{_quoted(name)}]", pair, depth + 1, expand)
    else:
        yield FieldDifference(path, old, new)


def adopt(before: JsonObject, after: JsonObject, paths: Mapping[str, bool]) -> JsonObject:
    """The older version of an object, with the newer values of some fields.

    ``paths``: the path of each field that differs, and whether the newer value is adopted. A list or a text is adopted
    only as a whole, if all its differences are.
    """
    adopted: JsonObject = _adopted("", before, after, paths)
    return adopted


def _adopted(path: str, old: Any, new: Any, paths: Mapping[str, bool]) -> Any:
    below = [
        adopted
        for name, adopted in paths.items()
        if not path or name == path or name.startswith((f"{path}.", f"{path}["))
    ]
    if not any(below):
        return old
    if path and all(below):
        return new
    if not isinstance(old, dict) or not isinstance(new, dict):
        return old
    members = {
        name: _adopted(_member(path, name) if path else name, old.get(name, ABSENT), new.get(name, ABSENT), paths)
        for name in [*old, *(name for name in new if name not in old)]
    }
    return {name: value for name, value in members.items() if value is not ABSENT}


def _hidden(document: JsonObject, sensitive: Iterable[SensitiveField]) -> JsonObject:
    """An object without its secret values.

    An archive has such values in the mode ``plaintext``, and from the time before a policy named a field as sensitive.
    """
    if Kind.of(document) == kinds.SECRET:
        for part in ("data", "stringData"):
            if isinstance(values := document.get(part), dict):
                document = {**document, part: {name: _hide(value) for name, value in values.items()}}
    return masking.replace_sensitive_values(document, sensitive, lambda _steps, value: _hide(value))


def _hide(value: Any) -> Any:
    return value if is_fingerprint(value) else HiddenValue(json.dumps(value, sort_keys=True))


_Expand = Callable[[str, str], Any]
"""Returns the structure in a text at a path, or the text itself."""


def _top_level(document: JsonObject, sensitive: Iterable[SensitiveField]) -> Iterator[tuple[str, Any, _Expand]]:
    """The top-level fields of an object that have fields, each with the function that splits its texts."""
    is_source = Kind.of(document).name == "ConfigMap" and not documents.is_rendered(document)
    document = _hidden(document, sensitive)
    metadata = {name: value for name, value in document["metadata"].items() if name not in ("name", "namespace")}
    if metadata:
        yield "metadata", metadata, _keep
    for name, value in document.items():
        if name not in ("apiVersion", "kind", "metadata"):
            expand = _split_documents if is_source and name == "data" else _split_values if name == "spec" else _keep
            yield name, _without_values(value), expand


def _without_values(value: Any) -> Any:
    """A value without the values of the Secret manifests in it. Texts are left as they are."""
    return embedded_secrets.replace_values(value, lambda _steps, secret: _hide(secret), texts=False)


def _keep(_path: str, text: str) -> Any:
    return text


def _flatten(path: str, value: Any, depth: int, expand: _Expand, names: _Names) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str):
        structure = expand(path, value)
        if structure is value:
            yield path, _hide(value) if embedded_secrets.contains_values(value) else value
            return
        value, expand = structure, _keep
    if depth >= _MAX_DEPTH or not value or not isinstance(value, dict | list):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _flatten(_member(path, name), inner, depth + 1, expand, names)
    else:
        for name, inner in zip(names(value), value, strict=True):
            yield from _flatten(f"{path}[{_quoted(name)}]", inner, depth + 1, expand, names)


def _member(path: str, name: str) -> str:
    """``spec.syncMode``; a name with another character than a letter, digit, ``-`` or ``_`` is in brackets."""
    if name.startswith(_DOCUMENT):
        return f"{path}[{_quoted(name.removeprefix(_DOCUMENT))}]"
    return f"{path}.{name}" if _PLAIN_NAME.fullmatch(name) else f"{path}[{json.dumps(name, ensure_ascii=False)}]"


def _quoted(name: str) -> str:
    """The name of an element, in quotes where the end of the name would not be clear."""
    return name if _CLEAR_NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


# Texts that contain documents -----------------------------------------------------------------------------------------

_DOCUMENT = "\0"
"""Begins the name of a document; no field of a document has this character in its name."""


def _split_documents(_path: str, text: str) -> Any:
    """The documents of one value of a ConfigMap by kind and name.

    A text with another content is its JSON value if it is JSON, or else the text itself.
    """
    try:
        values = [documents.load(piece) for piece in documents.split(text)]
    except (InputError, RecursionError):
        return text
    identities = [documents.identify(value) for value in values]
    if not values or None in identities:
        return _split_json(text)
    names = unique(
        ["/".join(filter(None, (found.kind.name, found.namespace, found.name))) for found in identities if found]
    )
    return {
        _DOCUMENT + name: _without_identity(_without_values(value)) for name, value in zip(names, values, strict=True)
    }


def _split_json(text: str) -> Any:
    """The mapping or list of a JSON text; the text itself if it is not JSON, or if two readers may read two values."""
    if text.lstrip()[:1] not in ("{", "[") or _AMBIGUOUS_JSON.search(text):
        return text
    try:
        value = json.loads(
            text, object_pairs_hook=_unique_members, parse_float=_exact_float, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        return text
    if text.count("[") + text.count("{") > _DEEPEST and _is_deeper(value, _DEEPEST):
        return text
    return _without_values(value) or text


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether mappings and lists are nested more than ``depth`` times."""
    level = [value]
    for _ in range(depth):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return any(isinstance(child, dict | list) for child in level)


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _unique_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(members)
    if len(mapping) != len(members):
        raise ValueError("a key occurs twice")
    return mapping


def _exact_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_identity(document: JsonObject) -> JsonObject:
    """A document without the fields that are its name already: kind, name and namespace."""
    metadata = {name: value for name, value in document["metadata"].items() if name not in ("name", "namespace")}
    rest = {name: value for name, value in document.items() if name not in ("kind", "metadata")}
    return {**rest, "metadata": metadata} if metadata else rest


def _split_values(path: str, text: str) -> Any:
    """The values of a chart as a mapping; any other text itself, such as a template."""
    if not path.startswith("spec.helmCharts[") or not path.endswith("].values"):
        return text
    value = documents.load(text)
    return _without_values(value) if isinstance(value, dict) and value else text
