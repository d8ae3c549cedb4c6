"""What stands in place of values that are not for everybody: all of a Secret's, and fields that a policy names.

One way for both: a fingerprint below ``configuration/``, the value below ``sealed/`` (docs/FORMAT.md). The values of
Secrets are in `fingerprint`; here are the fields of other objects, and which of the two concerns an object.
This module must not encrypt, or put a value into a message.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from gitsnap.core.errors import InputError, SecretsError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, SecretsInfo, SecretsMode, SensitiveField
from gitsnap.format import fingerprint

EACH = "[]"
"""Step of a path: every element of a list."""

ANY = "*"
"""Step of a path: every value of a map."""

_SECRET = Kind("", "Secret")
_MASKING = frozenset({SecretsMode.ENCRYPT, SecretsMode.REDACT})
_NAME = r"[A-Za-z][A-Za-z0-9_-]*"
_PATH = re.compile(rf'{_NAME}(?:\.(?:{_NAME}|\*)|\["[^"\\\x00-\x1f]+"\]|\[\])*')
_STEP = re.compile(rf'\.?({_NAME}|\*)|\["([^"]+)"\]|\[\]')

Place = tuple[str | int, ...]
"""Where a value stands in an object: keys of maps and positions in lists."""

_Change = Callable[[Place, tuple[str, ...], Any], Any]


@lru_cache(maxsize=256)
def steps_of(path: str) -> tuple[str, ...]:
    """The steps of a path such as ``spec.helmCharts[].values`` or ``metadata.annotations["example.com/token"]``.

    Raises InputError for a text that is none.
    """
    if not _PATH.fullmatch(path):
        raise InputError(f"{path[:200]!r} is no path of a field such as spec.helmCharts[].values")
    return tuple(match[1] or match[2] or EACH for match in _STEP.finditer(path))


def fields_of(kind: Kind, info: SecretsInfo) -> tuple[SensitiveField, ...]:
    """The sensitive fields of a kind."""
    return tuple(one for one in info.sensitive_fields if one.kind == kind)


def masks(kind: Kind, info: SecretsInfo) -> bool:
    """Whether objects of a kind may have fingerprints in place of values."""
    return info.mode in _MASKING and (kind == _SECRET or any(one.kind == kind for one in info.sensitive_fields))


def mask(document: JsonObject, info: SecretsInfo, key: bytes) -> JsonObject:
    """An object as it stands below ``configuration/``. Raises InputError for a Secret whose data is no map."""
    object_key = ObjectKey.of(document)
    masked = fingerprint.mask(document, key) if object_key.kind == _SECRET else document
    return _changed(
        masked,
        fields_of(object_key.kind, info),
        lambda _place, pattern, value: _fingerprint(key, object_key, pattern, value),
    )


def values_document(document: JsonObject, info: SecretsInfo) -> JsonObject | None:
    """What ``sealed/`` holds of an object, before encryption; None where it has nothing that is to be sealed."""
    kind, listed = Kind.of(document), list[JsonObject]()

    def note(place: Place, _pattern: tuple[str, ...], value: Any) -> Any:
        listed.append({"path": list(place), "value": value})
        return value

    _changed(document, fields_of(kind, info), note)
    if kind == _SECRET:
        values = fingerprint.values_document(document)
    elif listed:
        metadata = document["metadata"]
        identity = {name: metadata[name] for name in ("name", "namespace") if metadata.get(name)}
        values = {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": identity}
    else:
        return None
    return {**values, "fields": listed} if listed else values


def sealed_part(masked: JsonObject, info: SecretsInfo) -> object:
    """The fingerprints of an object with their places: equal for two objects whose hidden values are equal."""
    kind, listed = Kind.of(masked), list[tuple[Place, Any]]()

    def note(place: Place, _pattern: tuple[str, ...], value: Any) -> Any:
        listed.append((place, value))
        return value

    _changed(masked, fields_of(kind, info), note)
    return (masked.get("data") or {}, listed) if kind == _SECRET else listed


def hides(masked: JsonObject, info: SecretsInfo) -> bool:
    """Whether there is a place in a masked object where a value is hidden, or is to be."""
    found = False

    def note(_place: Place, _pattern: tuple[str, ...], value: Any) -> Any:
        nonlocal found
        found = True
        return value

    _changed(masked, fields_of(Kind.of(masked), info), note)
    return found or (Kind.of(masked) == _SECRET and bool(masked.get("data")))


def restore(masked: JsonObject, values: object, info: SecretsInfo, key: bytes) -> JsonObject:
    """The object itself, from its masked form and the decrypted values; every fingerprint is computed again.

    Raises SecretsError, naming the object and the field, where one does not fit.
    """
    object_key = ObjectKey.of(masked)
    result = fingerprint.restore(masked, values, key) if object_key.kind == _SECRET else masked
    given = _given(object_key, values)
    taken: set[Place] = set()

    def put(place: Place, pattern: tuple[str, ...], expected: Any) -> Any:
        """The sealed value of one place, if it is the one that was fingerprinted there."""
        if place not in given:
            raise _unfit(object_key, place)
        found = _fingerprint(key, object_key, pattern, given[place])
        if not fingerprint.is_fingerprint(expected) or not hmac.compare_digest(expected, found):
            raise _unfit(object_key, place)
        taken.add(place)
        return given[place]

    result = _changed(result, fields_of(object_key.kind, info), put)
    for place in given.keys() - taken:
        raise _unfit(object_key, place)
    return result


def blanked(document: JsonObject, fields: Iterable[SensitiveField]) -> JsonObject:
    """An object without the values of sensitive fields, for where they cannot be compared."""
    kind = Kind.of(document)
    return _changed(document, [one for one in fields if one.kind == kind], lambda _place, _pattern, _value: None)


def shows_fingerprints(value: Any) -> bool:
    """Whether a fingerprint stands somewhere in a value: then it is nothing to be written to a cluster."""
    if isinstance(value, dict):
        return any(map(shows_fingerprints, value.values()))
    return any(map(shows_fingerprints, value)) if isinstance(value, list) else fingerprint.is_fingerprint(value)


# Fields ---------------------------------------------------------------------------------------------------------------


def _changed(document: JsonObject, fields: Iterable[SensitiveField], change: _Change) -> JsonObject:
    """A copy with other values at the places of some fields; a field that is absent or null stays so."""
    for one in fields:
        document = _walk(document, steps_of(one.path), change, (), ())
    return document


def _walk(value: Any, steps: Sequence[str], change: _Change, place: Place, pattern: tuple[str, ...]) -> Any:
    if not steps:
        return None if value is None else change(place, pattern, value)
    step, rest = steps[0], steps[1:]
    if step == EACH:
        if not isinstance(value, list):
            return value
        return [_walk(entry, rest, change, (*place, number), (*pattern, EACH)) for number, entry in enumerate(value)]
    if not isinstance(value, dict):
        return value
    names = list(value) if step == ANY else [step] if step in value else []
    return value | {name: _walk(value[name], rest, change, (*place, name), (*pattern, name)) for name in names}


def _fingerprint(key: bytes, object_key: ObjectKey, pattern: tuple[str, ...], value: Any) -> str:
    """Elements of a list are not told apart by their positions: one that moves keeps its fingerprint."""
    if isinstance(value, str):
        return fingerprint.fingerprint(key, object_key, pattern, value.encode("utf-8", "surrogatepass"))
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return fingerprint.fingerprint(key, object_key, (*pattern, "json"), text.encode("utf-8", "surrogatepass"))


def _given(object_key: ObjectKey, values: object) -> dict[Place, Any]:
    try:
        listed = (values or {}).get("fields") or []  # type: ignore[attr-defined]
        return {tuple(one["path"]): one["value"] for one in listed}
    except (AttributeError, KeyError, TypeError):
        raise SecretsError(
            f"{object_key}: what its encrypted file holds cannot be understood", hint=_REPLACED
        ) from None


def _unfit(object_key: ObjectKey, place: Place) -> SecretsError:
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
    return SecretsError(f"{object_key}: the encrypted value of {shown} does not fit its fingerprint", hint=_REPLACED)


_REPLACED = "Somebody replaced the file below sealed/, or the fingerprint key belongs to another archive."
