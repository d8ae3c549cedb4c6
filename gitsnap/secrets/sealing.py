"""The form of a Secret in a sample, by mode: fingerprints and ciphertext, only fingerprints, or the plain object.

A ciphertext is reused unless the fingerprints, the type or the recipients changed: the output of age differs each time,
and a changed file without a changed value would be a commit without a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gitsnap import format as archive_format
from gitsnap.core.errors import SecretsError
from gitsnap.core.model import Area, BlobId, JsonObject, Kind, SecretsInfo, SecretsMode
from gitsnap.core.objects import same_json
from gitsnap.core.ports import SecretsKeeper, Tree
from gitsnap.format import masking

WRAPPED_KEY = "_fingerprint-key.age"
"""Path below ``sealed/`` of the fingerprint key, encrypted to the recipients (docs/FORMAT.md)."""

Store = Callable[[bytes], BlobId]


class Sealer:
    """Masks and encrypts normalized Secrets and objects with sensitive fields.

    ``previous`` is the tree of the newest sample, whose ciphertexts are reused where the values are unchanged.
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
        """Whether values are encrypted into ``sealed/``."""
        return self._mode is SecretsMode.ENCRYPT

    def archived(self, document: JsonObject) -> JsonObject:
        """The form below ``configuration/``: with fingerprints in place of confidential values. Raises SecretsError."""
        if not masking.masks(Kind.of(document), self._secrets):
            return document
        return masking.mask(document, self._secrets, self._require_keeper().fingerprint_key)

    def sealed(self, document: JsonObject, *, path: str, masked: JsonObject, blob: BlobId) -> BlobId | None:
        """The ciphertext for ``path``, reused from the previous sample if the values are unchanged.

        None for an object without confidential values, and in modes without encryption. ``masked`` and ``blob`` are the
        form below ``configuration/`` and its id. Raises SecretsError.
        """
        if not self.encrypts or not masking.masks(Kind.of(document), self._secrets):
            return None
        values = masking.values_document(document, self._secrets)
        if values is None:
            return None
        kept = self._sealed.get(path)
        if kept is not None and self._is_unchanged(path, masked, blob):
            return kept
        return self._store(self._require_keeper().seal(archive_format.encode(values)))

    def wrapped_key(self) -> BlobId:
        """The fingerprint key, encrypted to the recipients: a recipient can then make comparable fingerprints."""
        kept = self._sealed.get(WRAPPED_KEY)
        if kept is not None:
            return kept
        keeper = self._require_keeper()
        return self._store(keeper.seal(keeper.fingerprint_key))

    def _is_unchanged(self, path: str, masked: JsonObject, blob: BlobId) -> bool:
        before = self._masked.get(path)
        if before is None or self._previous is None:
            return False
        if before == blob:
            return True
        old = archive_format.decode_object(self._previous.read(before), f"{Area.CONFIGURATION}/{path}")
        parts = [masking.sealed_part(document, self._secrets) for document in (old, masked)]
        return same_json(*parts) and same_json(old.get("type"), masked.get("type"))

    def _require_keeper(self) -> SecretsKeeper:
        if self._keeper is None:
            raise SecretsError(
                f"Secrets cannot be kept in mode {self._mode} without a fingerprint key",
                hint="Use --secrets-mode omit to leave Secrets out.",
            )
        return self._keeper
