"""Keyed fingerprints that replace secret values: a reader of the archive sees that a value changed, but not the value.

A fingerprint is HMAC-SHA-256 with the key of the archive over length-prefixed parts (docs/FORMAT.md). Equal values of
two objects have different fingerprints, and a value cannot be guessed without the key. This module does not store keys.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence

from gitsnap.core.errors import SecretsError
from gitsnap.core.model import ObjectKey

PREFIX = "gitsnap:hmac-sha256:"
"""Start of a fingerprint. The colon is not part of base64, so that an API server refuses a masked Secret."""

KEY_BYTES = 32

_DOMAIN = b"gitsnap fingerprint 1"
_KEY_ID_DOMAIN = b"gitsnap fingerprint key id"
_FINGERPRINT = re.compile(rf"{re.escape(PREFIX)}[0-9a-f]{{64}}\Z")


def key_id(key: bytes) -> str:
    """16 hexadecimal digits that identify a fingerprint key and reveal nothing about it."""
    return hashlib.sha256(_KEY_ID_DOMAIN + key).hexdigest()[:16]


def is_fingerprint(value: object) -> bool:
    """Whether a value is a fingerprint."""
    return isinstance(value, str) and _FINGERPRINT.match(value) is not None


def fingerprint(key: bytes, object_key: ObjectKey, path: Sequence[str], value: bytes) -> str:
    """The fingerprint of one value. ``path`` is its field, such as ``("data", "password")``; ``value`` is decoded.

    Raises SecretsError for a key that does not have 32 bytes: values could be guessed with a shorter key.
    """
    if len(key) != KEY_BYTES:
        raise SecretsError(f"a fingerprint key has {KEY_BYTES} bytes, this one has {len(key)}")
    kind = object_key.kind
    names = (kind.group, kind.name, object_key.namespace, object_key.name, str(len(path)), *path)
    message = _length_prefixed([_DOMAIN, *(name.encode("utf-8", "surrogatepass") for name in names), value])
    return PREFIX + hmac.digest(key, message, "sha256").hex()


def _length_prefixed(parts: Iterable[bytes]) -> bytes:
    """The parts with their lengths: moving a byte from one part to the next changes the message."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
