"""Keyed fingerprints that stand for the values of Secrets: whoever reads the archive sees which key changed.

A fingerprint is HMAC-SHA-256 under the archive's key over length-prefixed parts (docs/FORMAT.md), so that equal values
of two Secrets do not look alike and values cannot be guessed without the key.
This module must not keep a key, encrypt, or put a value into a message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Sequence

from gitsnap.core.errors import InputError, SecretsError
from gitsnap.core.model import JsonObject, ObjectKey

PREFIX = "gitsnap:hmac-sha256:"
"""What a fingerprint begins with. The colon is no base64, so that an API server refuses a masked Secret."""

KEY_BYTES = 32

_DOMAIN = b"gitsnap fingerprint 1"
_KEY_ID_DOMAIN = b"gitsnap fingerprint key id"
_FINGERPRINT = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{64}}\Z")
# Spelt out, because what base64.b64decode(validate=True) lets through differs between versions of Python.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")
_KEPT_FIELDS = ("apiVersion", "kind", "metadata", "type", "immutable")


def key_id(key: bytes) -> str:
    """16 hexadecimal digits that tell fingerprint keys apart and say nothing about them."""
    return hashlib.sha256(_KEY_ID_DOMAIN + key).hexdigest()[:16]


def is_fingerprint(text: object) -> bool:
    """Whether this is a fingerprint rather than a value."""
    return isinstance(text, str) and _FINGERPRINT.match(text) is not None


def fingerprint(key: bytes, object_key: ObjectKey, path: Sequence[str], value: bytes) -> str:
    """The fingerprint of one value. ``path`` is the field, ``("data", "password")``; ``value`` its decoded bytes.

    Raises SecretsError for a key that is not 32 bytes: a shorter one would make values guessable.
    """
    if len(key) != KEY_BYTES:
        raise SecretsError(f"a fingerprint key has {KEY_BYTES} bytes, this one has {len(key)}")
    kind = object_key.kind
    names = (kind.group, kind.name, object_key.namespace, object_key.name, str(len(path)), *path)
    message = _length_prefixed([_DOMAIN, *(_bytes(name) for name in names), value])
    return PREFIX + hmac.digest(key, message, "sha256").hex()


def mask(secret: JsonObject, key: bytes) -> JsonObject:
    """A Secret as it stands below ``configuration/``: every value of ``data`` replaced by its fingerprint.

    ``stringData`` counts as ``data``, as on a server. A field that no Secret has (only a file can hold one) is left
    out: it may be a misspelt ``stringData``. Raises InputError where ``data`` is no map.
    """
    object_key = ObjectKey.of(secret)
    masked = {field: secret[field] for field in _KEPT_FIELDS if field in secret}
    if "data" in secret or secret.get("stringData"):
        values = _data(secret, object_key)
        masked["data"] = {name: _of_data(key, object_key, name, value) for name, value in values.items()}
    return masked


def values_document(secret: JsonObject) -> JsonObject:
    """What ``sealed/`` holds of a Secret, before encryption: enough to apply it, and nothing that changes by itself.

    Raises InputError where ``data`` is no map.
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


def restore(masked: JsonObject, values: object, key: bytes) -> JsonObject:
    """The Secret itself, from its masked form and the decrypted values.

    Encryption does not say who wrote a file, so every fingerprint is computed again. Raises SecretsError, naming the
    Secret and the key in it, where one does not fit: the ciphertext belongs to something else or was replaced.
    Whether ``key`` is the one that the sample was made with is for the caller to check, by its id.
    """
    object_key = ObjectKey.of(masked)
    if not isinstance(values, dict) or not isinstance(values.get("data") or {}, dict):
        raise SecretsError(f"{object_key}: what its encrypted file holds is no Secret", hint=_REPLACED)
    fingerprints = _data(masked, object_key)
    plain = _data(values, object_key)
    if fingerprints.keys() != plain.keys():
        names = ", ".join(sorted(map(repr, fingerprints.keys() ^ plain.keys())))
        raise SecretsError(
            f"{object_key}: the encrypted values are not those of this sample (keys that differ: {names})",
            hint=_REPLACED,
        )
    for name, expected in fingerprints.items():
        found = _of_data(key, object_key, name, plain[name])
        if not is_fingerprint(expected) or not hmac.compare_digest(expected, found):
            raise SecretsError(
                f"{object_key}: the encrypted value of {name!r} does not fit its fingerprint",
                hint="Somebody replaced the file below sealed/, or the fingerprint key belongs to another archive.",
            )
    return {**masked, "data": plain} if fingerprints else masked


_REPLACED = "Somebody replaced the file below sealed/. `git log` in the archive shows when."


def _data(secret: JsonObject, object_key: ObjectKey) -> JsonObject:
    """``data`` as a server would hold it: with ``stringData`` merged in."""
    data, text = secret.get("data") or {}, secret.get("stringData") or {}
    for field, value in (("data", data), ("stringData", text)):
        if not isinstance(value, dict):
            raise InputError(f"{object_key}: {field} is no map of keys to values")
    return {**data, **{name: base64.b64encode(_bytes(_text(value))).decode() for name, value in text.items()}}


def _of_data(key: bytes, object_key: ObjectKey, name: str, value: object) -> str:
    """Over the decoded bytes; what is no base64 (only a file can hold such a Secret) over its text, marked as such."""
    text = _text(value)
    joined = text.replace("\r", "").replace("\n", "")  # as Go's decoder, which is the API server's, reads it
    if isinstance(value, str | None) and _BASE64.match(joined):
        return fingerprint(key, object_key, ("data", name), base64.b64decode(joined))
    return fingerprint(key, object_key, ("data", name, "not base64"), _bytes(text))


def _text(value: object) -> str:
    """A value as text: JSON where a file has something else, and nothing for null, as on a server."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, sort_keys=True)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _length_prefixed(parts: Iterable[bytes]) -> bytes:
    """So that moving a byte from one part to the next gives another message."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
