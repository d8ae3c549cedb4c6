"""Kustomize archives inside ConfigMaps: a tarball in ``binaryData``, told apart by the files in it.

Packing the same files anew gives other bytes, so archives are listed and compared by file.
This module must not write anything anywhere, and must not raise for an archive that is broken or too large.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping

from gitsnap.core.model import JsonObject
from gitsnap.sveltos.tarballs import members

ARCHIVE_KEY = "kustomize.tar.gz"
"""The key of ``binaryData`` that Sveltos unpacks."""

MOST_BYTES = 32 * 1024 * 1024
"""Unpacked size up to which archives are read: an object holds 1 MiB, and files of configuration pack 10:1."""


def files_of(config_map: Mapping[str, object]) -> dict[str, str] | None:
    """Path -> content of the files in a ConfigMap's Kustomize archive, sorted; None without a readable archive."""
    binary = config_map.get("binaryData")
    packed = binary.get(ARCHIVE_KEY) if isinstance(binary, dict) else None
    if not isinstance(packed, str):
        return None
    try:
        content = base64.b64decode(packed, validate=True)
        return dict(sorted(_unpacked(content).items()))
    except (ValueError, zlib.error):
        return None


def listed(config_map: JsonObject) -> JsonObject:
    """A copy in which the archive is replaced by its files, the same object where there is no readable archive."""
    files = files_of(config_map)
    if files is None:
        return config_map
    others = {key: value for key, value in config_map["binaryData"].items() if key != ARCHIVE_KEY}
    return {**config_map, "binaryData": {**others, **{f"{ARCHIVE_KEY}/{path}": text for path, text in files.items()}}}


def _unpacked(content: bytes) -> dict[str, str]:
    """Raises zlib.error, ValueError where it is no archive, or larger than anybody would make it."""
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    plain = decompressor.decompress(content, MOST_BYTES)
    if decompressor.unconsumed_tail:
        raise ValueError("the archive is too large")
    return {
        name.removeprefix("./"): f"-> {content}" if isinstance(content, str) else _text(content)
        for name, content in members(plain)
    }


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"(binary, sha256 {hashlib.sha256(content).hexdigest()})"
