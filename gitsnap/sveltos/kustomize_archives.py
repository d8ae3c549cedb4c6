"""Kustomize archives in ConfigMaps: reads the files of the tarball in ``binaryData``.

The same files packed twice give different bytes, so a diff shows and compares an archive by its files. An archive that
is broken or too large counts as opaque content and raises no error.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping

from gitsnap.core.model import JsonObject
from gitsnap.sveltos.tarballs import read_members

ARCHIVE_KEY = "kustomize.tar.gz"
"""The key of ``binaryData`` that Sveltos unpacks."""

MAX_BYTES = 32 * 1024 * 1024
"""Largest unpacked size in bytes. An object has up to about 1 MiB; configuration files are compressed about 10:1."""


def files_of(config_map: Mapping[str, object]) -> dict[str, str] | None:
    """The files in the Kustomize archive of a ConfigMap, by path and sorted; None if there is no readable archive.

    The content of a symbolic or hard link is ``-> TARGET``; that of a binary file is its SHA-256 sum.
    """
    binary = config_map.get("binaryData")
    packed = binary.get(ARCHIVE_KEY) if isinstance(binary, dict) else None
    if not isinstance(packed, str):
        return None
    try:
        return dict(sorted(_unpack(base64.b64decode(packed, validate=True)).items()))
    except (ValueError, zlib.error):
        return None


def with_files(config_map: JsonObject) -> JsonObject:
    """A copy of a ConfigMap in which the files of the archive replace the archive.

    Each file becomes the key ``kustomize.tar.gz/PATH`` of ``binaryData``. Without a readable archive, the same object.
    """
    files = files_of(config_map)
    if files is None:
        return config_map
    other_keys = {key: value for key, value in config_map["binaryData"].items() if key != ARCHIVE_KEY}
    unpacked = {f"{ARCHIVE_KEY}/{path}": text for path, text in files.items()}
    return {**config_map, "binaryData": {**other_keys, **unpacked}}


def _unpack(archive: bytes) -> dict[str, str]:
    """Raises zlib.error or ValueError if the archive is broken or larger than MAX_BYTES."""
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip and zlib headers are recognized
    tarball = decompressor.decompress(archive, MAX_BYTES)
    if decompressor.unconsumed_tail:
        raise ValueError("the archive is too large")
    return {
        name.removeprefix("./"): f"-> {content}" if isinstance(content, str) else _text(content)
        for name, content in read_members(tarball)
    }


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"(binary, sha256 {hashlib.sha256(content).hexdigest()})"
