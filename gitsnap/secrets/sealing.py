"""Seals objects with secret values: a masked form, and an encrypted file with the values.

An encrypted file is replaced only if the fingerprints, the type or the recipients have changed. The output of age
differs each time, and an archive should have no commit without a change. Values leave this module encrypted only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gitsnap.core.errors import SecretsError
from gitsnap.core.model import Area, BlobId, JsonObject, Kind, SecretsInfo, SecretsMode
from gitsnap.core.objects import same_json
from gitsnap.core.ports import SecretsKeeper, Tree
from gitsnap.format import WRAPPED_KEY_FILE, decode_object, encode, masking

Store = Callable[[bytes], BlobId]
"""Stores a content; returns its id."""


class Sealer:
    """Stores objects in the form that the secrets mode of a sample demands.

    ``previous`` is the tree of the newest sample. Its encrypted files are kept if their values are the same.
    """

    def __init__(
        self, secrets: SecretsInfo, keeper: SecretsKeeper | None, *, previous: Tree | None, store: Store
    ) -> None:
        self._secrets = secrets
        self._mode = secrets.mode
        self._keeper = keeper
        self._store = store
        self._previous = previous
        same_keys = (
            previous is not None
            and previous.info.secrets.mode is SecretsMode.ENCRYPT
            and previous.info.secrets.recipients == secrets.recipients
            and previous.info.secrets.fingerprint_key == secrets.fingerprint_key
            and previous.info.secrets.sensitive_fields == secrets.sensitive_fields
        )
        self._sealed: Mapping[str, BlobId] = previous.files(Area.SEALED) if previous and same_keys else {}
        self._masked: Mapping[str, BlobId] = previous.files(Area.CONFIGURATION) if previous and same_keys else {}

    @property
    def encrypts(self) -> bool:
        """Whether ``sealed/`` has files."""
        return self._mode is SecretsMode.ENCRYPT

    def store_object(self, document: JsonObject, path: str) -> dict[Area, BlobId]:
        """Store a normalized object. Returns its blobs below ``configuration/`` and, for encrypted values, ``sealed/``.

        Raises SecretsError if the mode needs a key and there is none, InputError for a malformed Secret.
        """
        if not masking.masks(Kind.of(document), self._secrets):
            return {Area.CONFIGURATION: self._store(encode(document))}
        masked = masking.mask(document, self._secrets, self._require_keeper().fingerprint_key)
        blob = self._store(encode(masked))
        files = {Area.CONFIGURATION: blob}
        values = masking.values_document(document, self._secrets) if self.encrypts else None
        if values is not None:
            kept = self._sealed.get(path)
            if kept is None or not self._has_same_values(path, masked, blob):
                kept = self._store(self._require_keeper().seal(encode(values)))
            files[Area.SEALED] = kept
        return files

    def wrapped_key(self) -> BlobId:
        """The fingerprint key, encrypted to the recipients: whoever can decrypt the values can add fingerprints."""
        kept = self._sealed.get(WRAPPED_KEY_FILE)
        if kept is not None:
            return kept
        keeper = self._require_keeper()
        return self._store(keeper.seal(keeper.fingerprint_key))

    def _has_same_values(self, path: str, masked: JsonObject, blob: BlobId) -> bool:
        """Whether the previous sample has the same values at ``path``."""
        previous_blob = self._masked.get(path)
        if previous_blob is None or self._previous is None:
            return False
        if previous_blob == blob:
            return True
        previous = decode_object(self._previous.read(previous_blob), f"{Area.CONFIGURATION}/{path}")
        same_values = masking.same_values(previous, masked, self._secrets)
        return same_values and same_json(previous.get("type"), masked.get("type"))

    def _require_keeper(self) -> SecretsKeeper:
        if self._keeper is None:
            raise SecretsError(
                f"Secrets cannot be kept in mode {self._mode}: there is no fingerprint key",
                hint="Use --secrets-mode omit to leave Secrets out.",
            )
        return self._keeper
