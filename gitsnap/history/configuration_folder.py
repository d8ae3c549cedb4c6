"""Writes the configuration of a tree as a folder of YAML files, as ``--from-dir`` reads it.

In every mode of the archive, fingerprints replace the values of Secrets, of Secret manifests in other objects, and of
sensitive fields. An object with fingerprints has an annotation that no API server accepts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

from gitsnap.core.errors import StorageError
from gitsnap.core.model import Area, BlobId, JsonObject, Kind, ObjectKey, SensitiveField
from gitsnap.core.ports import Tree
from gitsnap.format import decode_object, encode, masking, path_of
from gitsnap.format.fingerprint import KEY_BYTES, fingerprint, is_fingerprint
from gitsnap.sveltos import embedded_secrets, kinds


class FolderWriter:
    """Writes the configurations of several trees of one archive. Equal values get equal fingerprints in all of them."""

    def __init__(self, sensitive: Collection[SensitiveField]) -> None:
        """``sensitive``: the fields whose values are hidden, also in trees from before a policy named them."""
        self._sensitive = sensitive
        self._key = os.urandom(KEY_BYTES)
        self._contents: dict[BlobId, tuple[str, bytes]] = {}

    def write(self, tree: Tree, folder: Path) -> None:
        """Write the objects of a tree to an empty folder: ``<namespace>/<kind>/<name>.yaml``.

        Raises ArchiveError for a file that is not an object, StorageError if the folder cannot be written.
        """
        made = set[Path]()
        for path, blob in tree.files(Area.CONFIGURATION).items():
            if blob not in self._contents:
                self._contents[blob] = self._content(tree.read(blob), f"{Area.CONFIGURATION}/{path}")
            name, content = self._contents[blob]
            file = folder / name
            try:
                if file.parent not in made:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    made.add(file.parent)
                file.write_bytes(content)
            except OSError as error:
                raise StorageError(
                    f"cannot write the configuration to {folder}: {error.strerror}",
                    hint="Make room there, or name another folder with TMPDIR.",
                ) from None

    def _content(self, content: bytes, path: str) -> tuple[str, bytes]:
        """The path of an object in the folder, and its bytes there."""
        document = decode_object(content, path)
        hidden = self._without_manifests(self._without_values(document))
        shown = masking.with_refusal(hidden) if masking.shows_fingerprints(hidden) else hidden
        return path_of(ObjectKey.of(document)), content if shown is document else encode(shown)

    def _without_values(self, document: JsonObject) -> JsonObject:
        key = ObjectKey.of(document)
        if Kind.of(document) == kinds.SECRET:
            known = masking.known_fields(document)
            masked = masking.mask_secret(document, self._key).get("data") or {}
            data = {name: _kept(value) or masked[name] for name, value in (known.get("data") or {}).items()}
            document = {**known, "data": data} if data else known
        return masking.replace_sensitive_values(
            document,
            self._sensitive,
            lambda steps, value: _kept(value) or fingerprint(self._key, key, steps, _json(value)),
        )

    def _without_manifests(self, document: JsonObject) -> JsonObject:
        """An object without the values of the Secret manifests in it."""
        if Kind.of(document) == kinds.SECRET:
            return document
        key = ObjectKey.of(document)
        masked: JsonObject = embedded_secrets.replace_values(
            document,
            lambda steps, value: _kept(value) or fingerprint(self._key, key, tuple(map(str, steps)), _json(value)),
        )
        return document if masked is document else masking.with_refusal(masked)


def _kept(value: object) -> object:
    """A value that is a fingerprint already; None for any other value."""
    return value if is_fingerprint(value) else None


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
