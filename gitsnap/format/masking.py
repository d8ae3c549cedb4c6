"""Masks secret values: all values of a Secret, and the sensitive fields of other objects that a policy names.

Below ``configuration/`` a fingerprint replaces the value; below ``sealed/`` the value itself is encrypted
(docs/FORMAT.md). This module must not encrypt, or put a value into a message.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from gitsnap.core.errors import InputError, SecretsError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, SecretsInfo, SecretsMode, SensitiveField
from gitsnap.core.objects import same_json
from gitsnap.format.fingerprint import fingerprint, is_fingerprint

EACH = "[]"
"""Step of a path: every element of a list."""

ANY = "*"
"""Step of a path: every value of a mapping."""

_SECRET = Kind("", "Secret")
_SECRET_FIELDS = ("apiVersion", "kind", "metadata", "type", "immutable")
_MASKING = frozenset({SecretsMode.ENCRYPT, SecretsMode.REDACT})
_NAME = r"[A-Za-z][A-Za-z0-9_-]*"
_PATH = re.compile(rf'{_NAME}(?:\.(?:{_NAME}|\*)|\["[^"\\\x00-\x1f]+"\]|\[\])*')
_STEP = re.compile(rf'\.?({_NAME}|\*)|\["([^"]+)"\]|\[\]')
# Not base64.b64decode(validate=True): the texts that it accepts differ between versions of Python.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")
_REPLACED_FILE = "Somebody replaced the file below sealed/. `git log` in the archive shows when."
_REPLACED = "Somebody replaced the file below sealed/, or the fingerprint key belongs to another archive."

_REFUSAL = {"gitsnap.io/fingerprints in place of values": "gitsnap show --decrypt shows the values"}
"""An annotation that no API server accepts, because of the spaces in its name: for objects that must not be applied."""

FieldPath = tuple[str | int, ...]
"""The path of one value in an object: keys of mappings and positions in lists."""

_Change = Callable[[FieldPath, tuple[str, ...], Any], Any]
"""Returns the new value for a path, the steps that led to it, and the current value."""


@lru_cache(maxsize=256)
def steps_of(path: str) -> tuple[str, ...]:
    """The steps of a path such as ``spec.helmCharts[].values`` or ``metadata.annotations["example.com/token"]``.

    Raises InputError for a text that is not a path.
    """
    if not _PATH.fullmatch(path):
        raise InputError(f"{path[:200]!r} is not the path of a field, such as spec.helmCharts[].values")
    return tuple(match[1] or match[2] or EACH for match in _STEP.finditer(path))


def fields_of(kind: Kind, info: SecretsInfo) -> tuple[SensitiveField, ...]:
    """The sensitive fields of a kind."""
    return tuple(field for field in info.sensitive_fields if field.kind == kind)


def masks(kind: Kind, info: SecretsInfo) -> bool:
    """Whether objects of a kind may have fingerprints in place of values."""
    return info.mode in _MASKING and (kind == _SECRET or any(field.kind == kind for field in info.sensitive_fields))


def mask(document: JsonObject, info: SecretsInfo, key: bytes) -> JsonObject:
    """An object in its form below ``configuration/``. Raises InputError for a Secret whose data is not a mapping."""
    object_key = ObjectKey.of(document)
    masked = mask_secret(document, key) if object_key.kind == _SECRET else document
    return _changed(
        masked,
        fields_of(object_key.kind, info),
        lambda _path, steps, value: _field_fingerprint(key, object_key, steps, value),
    )


def values_document(document: JsonObject, info: SecretsInfo) -> JsonObject | None:
    """The plain text of an object's file below ``sealed/``, None for an object without values to seal."""
    kind = Kind.of(document)
    fields = [{"path": list(path), "value": value} for path, value in _values(document, fields_of(kind, info))]
    if kind == _SECRET:
        values = secret_values(document)
    elif fields:
        metadata = document["metadata"]
        identity = {name: metadata[name] for name in ("name", "namespace") if metadata.get(name)}
        values = {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": identity}
    else:
        return None
    return {**values, "fields": fields} if fields else values


def hides(document: JsonObject, info: SecretsInfo) -> bool:
    """Whether a sample stores some values of an object as fingerprints."""
    kind = Kind.of(document)
    if not masks(kind, info):
        return False
    if kind == _SECRET and document.get("data"):
        return True
    return any(True for _ in _values(document, fields_of(kind, info)))


def same_values(first: JsonObject, second: JsonObject, info: SecretsInfo) -> bool:
    """Whether two versions of an object, both masked or both plain, have the same values in the hidden fields."""
    parts = _hidden_part(first, info), _hidden_part(second, info)
    return same_json(*parts)


def _hidden_part(document: JsonObject, info: SecretsInfo) -> object:
    kind = Kind.of(document)
    fields = list(_values(document, fields_of(kind, info)))
    return (document.get("data") or {}, fields) if kind == _SECRET else fields


def restore(masked: JsonObject, values: object, info: SecretsInfo, key: bytes) -> JsonObject:
    """The object itself, from its masked form and the decrypted values.

    Each value is checked against its fingerprint. Raises SecretsError, which names object and field, for a value that
    does not match.
    """
    object_key = ObjectKey.of(masked)
    result = restore_secret(masked, values, key) if object_key.kind == _SECRET else masked
    sealed = _sealed_fields(object_key, values)
    restored: set[FieldPath] = set()

    def unmask(path: FieldPath, steps: tuple[str, ...], expected: Any) -> Any:
        if path not in sealed:
            raise _mismatch(object_key, path)
        actual = _field_fingerprint(key, object_key, steps, sealed[path])
        if not is_fingerprint(expected) or not hmac.compare_digest(expected, actual):
            raise _mismatch(object_key, path)
        restored.add(path)
        return sealed[path]

    result = _changed(result, fields_of(object_key.kind, info), unmask)
    for path in sealed.keys() - restored:
        raise _mismatch(object_key, path)
    return result


def blanked(document: JsonObject, fields: Iterable[SensitiveField]) -> JsonObject:
    """An object with null in place of the values of sensitive fields, for a comparison that cannot include them."""
    kind = Kind.of(document)
    return _changed(document, [field for field in fields if field.kind == kind], lambda _path, _steps, _value: None)


def sensitive_values(document: JsonObject, fields: Iterable[SensitiveField]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of sensitive fields, each with the steps that lead to it; absent and null values are left out."""
    kind = Kind.of(document)
    for path, value in _values(document, [field for field in fields if field.kind == kind]):
        yield tuple(EACH if isinstance(part, int) else part for part in path), value


def replace_sensitive_values(
    document: JsonObject, fields: Iterable[SensitiveField], replace: Callable[[tuple[str, ...], Any], Any]
) -> JsonObject:
    """An object with new values in sensitive fields. ``replace`` returns a new value for the steps and the value."""
    kind = Kind.of(document)
    own = [field for field in fields if field.kind == kind]
    return _changed(document, own, lambda _path, steps, value: replace(steps, value))


def decode_secret(secret: JsonObject) -> JsonObject:
    """A Secret with its values decoded from base64, except values that are not text."""
    return {**secret, "data": {name: _decoded(value) for name, value in (secret.get("data") or {}).items()}}


def _decoded(value: object) -> object:
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


def shows_fingerprints(value: Any) -> bool:
    """Whether a value contains a fingerprint. Such a value must not be written to a cluster."""
    if isinstance(value, dict):
        return any(map(shows_fingerprints, value.values()))
    return any(map(shows_fingerprints, value)) if isinstance(value, list) else is_fingerprint(value)


def with_refusal(document: JsonObject) -> JsonObject:
    """An object with an annotation that makes an API server refuse it: an object with fingerprints in place of values.

    Otherwise `kubectl apply` would write the fingerprints: neither a comment nor a message stops it.
    """
    metadata = document.get("metadata") or {}
    return {
        **document,
        "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **_REFUSAL}},
    }


# Secrets --------------------------------------------------------------------------------------------------------------


def mask_secret(secret: JsonObject, key: bytes) -> JsonObject:
    """A Secret with a fingerprint in place of every value of ``data``.

    Raises InputError if ``data`` is not a mapping.
    """
    object_key, known = ObjectKey.of(secret), known_fields(secret)
    if "data" not in known:
        return known
    values = known["data"].items()
    return {**known, "data": {name: _data_fingerprint(key, object_key, name, value) for name, value in values}}


def known_fields(secret: JsonObject) -> JsonObject:
    """A Secret with the fields that a server knows, and ``stringData`` merged into ``data``.

    In a file, an unknown field may be a misspelt ``stringData``. Raises InputError if ``data`` is not a mapping.
    """
    known = {field: secret[field] for field in _SECRET_FIELDS if field in secret}
    if "data" in secret or secret.get("stringData"):
        known["data"] = _data(secret, ObjectKey.of(secret))
    return known


def secret_values(secret: JsonObject) -> JsonObject:
    """The values of a Secret with its identity and type: nothing that changes while the values stay the same.

    Raises InputError if ``data`` is not a mapping.
    """
    metadata = secret.get("metadata", {})
    document: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {name: metadata[name] for name in ("name", "namespace") if metadata.get(name)},
        "data": _data(secret, ObjectKey.of(secret)),
    }
    if secret.get("type"):
        document["type"] = secret["type"]
    return document


def restore_secret(masked: JsonObject, values: object, key: bytes) -> JsonObject:
    """The Secret itself, from its masked form and the decrypted values.

    Encryption does not prove who wrote a file, so each value is checked against its fingerprint. Raises SecretsError,
    which names the Secret and the key, for a value that does not match: the file belongs to another object or was
    replaced.
    The caller checks by its id that ``key`` is the key of the sample.
    """
    object_key = ObjectKey.of(masked)
    if not isinstance(values, dict) or not isinstance(values.get("data") or {}, dict):
        raise SecretsError(f"{object_key}: its encrypted file does not contain a Secret", hint=_REPLACED_FILE)
    fingerprints = _data(masked, object_key)
    plain = _data(values, object_key)
    if fingerprints.keys() != plain.keys():
        names = ", ".join(sorted(map(repr, fingerprints.keys() ^ plain.keys())))
        raise SecretsError(
            f"{object_key}: the encrypted values are not those of this sample (keys that differ: {names})",
            hint=_REPLACED_FILE,
        )
    for name, expected in fingerprints.items():
        actual = _data_fingerprint(key, object_key, name, plain[name])
        if not is_fingerprint(expected) or not hmac.compare_digest(expected, actual):
            raise SecretsError(
                f"{object_key}: the encrypted value of {name!r} does not match its fingerprint", hint=_REPLACED
            )
    return {**masked, "data": plain} if fingerprints else masked


def _data(secret: JsonObject, object_key: ObjectKey) -> JsonObject:
    """``data`` with ``stringData`` merged in, as on a server."""
    data, string_data = secret.get("data") or {}, secret.get("stringData") or {}
    for field, value in (("data", data), ("stringData", string_data)):
        if not isinstance(value, dict):
            raise InputError(f"{object_key}: {field} is not a mapping of keys to values")
    return {**data, **{name: base64.b64encode(_utf8(_text(value))).decode() for name, value in string_data.items()}}


def _data_fingerprint(key: bytes, object_key: ObjectKey, name: str, value: object) -> str:
    """The fingerprint of the decoded value. A value that is not base64 gets another path; only a file can have one."""
    text = _text(value)
    joined = text.replace("\r", "").replace("\n", "")  # the decoder of the API server ignores line breaks
    if isinstance(value, str | None) and _BASE64.match(joined):
        return fingerprint(key, object_key, ("data", name), base64.b64decode(joined))
    return fingerprint(key, object_key, ("data", name, "not base64"), _utf8(text))


def _text(value: object) -> str:
    """A value as text: null as the empty text, as on a server; other types, which only a file can have, as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, sort_keys=True)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# Sensitive fields -----------------------------------------------------------------------------------------------------


def _values(document: JsonObject, fields: Iterable[SensitiveField]) -> Iterator[tuple[FieldPath, Any]]:
    """The paths and values of some fields; absent and null values are left out."""
    for field in fields:
        yield from _values_below(document, steps_of(field.path), ())


def _values_below(value: Any, steps: Sequence[str], path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    if not steps:
        if value is not None:
            yield path, value
        return
    for part, child in _children(value, steps[0]):
        yield from _values_below(child, steps[1:], (*path, part))


def _changed(document: JsonObject, fields: Iterable[SensitiveField], change: _Change) -> JsonObject:
    """A copy with changed values of some fields; absent and null values stay as they are."""
    for field in fields:
        document = _changed_below(document, steps_of(field.path), change, (), ())
    return document


def _changed_below(value: Any, steps: Sequence[str], change: _Change, path: FieldPath, taken: tuple[str, ...]) -> Any:
    """``taken``: the steps that led to ``path``."""
    if not steps:
        return None if value is None else change(path, taken, value)
    changed = {
        part: _changed_below(child, steps[1:], change, (*path, part), (*taken, EACH if steps[0] == EACH else str(part)))
        for part, child in _children(value, steps[0])
    }
    if steps[0] == EACH:
        return list(changed.values()) if isinstance(value, list) else value
    return value | changed if isinstance(value, dict) else value


def _children(value: Any, step: str) -> Iterator[tuple[str | int, Any]]:
    """The values that one step leads to, each with its key or position; none in a value of another type."""
    if step == EACH:
        yield from enumerate(value) if isinstance(value, list) else ()
    elif isinstance(value, dict):
        yield from value.items() if step == ANY else ((step, value[step]),) if step in value else ()


def _field_fingerprint(key: bytes, object_key: ObjectKey, steps: tuple[str, ...], value: Any) -> str:
    """The fingerprint of a field. Positions in lists do not count: an element that moves keeps its fingerprint."""
    if isinstance(value, str):
        return fingerprint(key, object_key, steps, _utf8(value))
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return fingerprint(key, object_key, (*steps, "json"), _utf8(text))


def _sealed_fields(object_key: ObjectKey, values: object) -> dict[FieldPath, Any]:
    try:
        fields = (values or {}).get("fields") or []  # type: ignore[attr-defined]
        return {tuple(field["path"]): field["value"] for field in fields}
    except (AttributeError, KeyError, TypeError):
        raise SecretsError(f"{object_key}: the content of its encrypted file is not valid", hint=_REPLACED) from None


def _mismatch(object_key: ObjectKey, path: FieldPath) -> SecretsError:
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    return SecretsError(f"{object_key}: the encrypted value of {shown} does not match its fingerprint", hint=_REPLACED)
