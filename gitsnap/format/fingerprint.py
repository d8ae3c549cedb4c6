"""Keyed fingerprints that stand for the values of Secrets: whoever reads the archive sees which key changed.

A fingerprint is HMAC-SHA-256 under the archive's key over length-prefixed parts (docs/FORMAT.md), so that equal values
of two Secrets do not look alike and values cannot be guessed without the key.
This module must not keep a key, encrypt, or put a value into a message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any

from gitsnap.errors import SecretsError
from gitsnap.model import JsonObject, ObjectKey

PREFIX = "gitsnap:hmac-sha256:"
"""What a fingerprint begins with. The colon is no base64, so that an API server refuses a masked Secret."""

KEY_BYTES = 32

_DOMAIN = b"gitsnap fingerprint 1"
_KEY_ID_DOMAIN = b"gitsnap fingerprint key id"
_FINGERPRINT = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{64}}\Z")


def key_id(key: bytes) -> str:
    """16 hexadecimal digits that tell fingerprint keys apart and say nothing about them."""
    return hashlib.sha256(_KEY_ID_DOMAIN + key).hexdigest()[:16]


def is_fingerprint(text: object) -> bool:
    """Whether this is a fingerprint rather than a value."""
    return isinstance(text, str) and _FINGERPRINT.match(text) is not None


def fingerprint(key: bytes, object_key: ObjectKey, path: Sequence[str], value: bytes) -> str:
    """The fingerprint of one value. ``path`` is the field, ``("data", "password")``; ``value`` its decoded bytes."""
    parts = [
        _DOMAIN,
        object_key.kind.group.encode(),
        object_key.kind.name.encode(),
        object_key.namespace.encode(),
        object_key.name.encode(),
        str(len(path)).encode(),
        *(element.encode() for element in path),
        value,
    ]
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return PREFIX + hmac.new(key, message, hashlib.sha256).hexdigest()


def mask(secret: JsonObject, key: bytes) -> JsonObject:
    """A Secret as it stands below ``configuration/``: every value of ``data`` replaced by its fingerprint."""
    data = secret.get("data")
    if not data:
        return secret
    object_key = ObjectKey.of(secret)
    return {**secret, "data": {name: _of_data(key, object_key, name, value) for name, value in data.items()}}


def values_document(secret: JsonObject) -> JsonObject:
    """What ``sealed/`` holds of a Secret, before encryption: enough to apply it, and nothing that changes by itself."""
    metadata = secret.get("metadata", {})
    document: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {name: metadata[name] for name in ("name", "namespace") if metadata.get(name)},
        "data": secret.get("data") or {},
    }
    if secret.get("type"):
        document["type"] = secret["type"]
    return document


def restore(masked: JsonObject, values: JsonObject, key: bytes) -> JsonObject:
    """The Secret itself, from its masked form and the decrypted values.

    Encryption does not say who wrote a file, so every fingerprint is computed again. Raises SecretsError, naming the
    Secret and the key in it, where one does not fit: the ciphertext belongs to something else or was replaced.
    """
    object_key = ObjectKey.of(masked)
    fingerprints: dict[str, Any] = masked.get("data") or {}
    plain: dict[str, Any] = values.get("data") or {}
    if set(fingerprints) != set(plain):
        names = ", ".join(sorted(set(fingerprints) ^ set(plain)))
        raise SecretsError(
            f"{object_key}: the encrypted values are not those of this sample (keys that differ: {names})",
            hint="Somebody replaced the file below sealed/. `git log` in the archive shows when.",
        )
    for name, expected in fingerprints.items():
        if not hmac.compare_digest(str(expected), _of_data(key, object_key, name, plain[name])):
            raise SecretsError(
                f"{object_key}: the encrypted value of {name!r} does not fit its fingerprint",
                hint="Somebody replaced the file below sealed/, or the fingerprint key belongs to another archive.",
            )
    return {**masked, "data": plain} if fingerprints else masked


def _of_data(key: bytes, object_key: ObjectKey, name: str, value: Any) -> str:
    """Over the decoded bytes; what is no base64 (only a file can hold such a Secret) over its text, marked as such."""
    text = value if isinstance(value, str) else repr(value)
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return fingerprint(key, object_key, ("data", name, "not base64"), text.encode("utf-8", "surrogatepass"))
    return fingerprint(key, object_key, ("data", name), decoded)
