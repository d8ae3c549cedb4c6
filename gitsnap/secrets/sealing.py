"""What a sample keeps of a Secret, by mode: fingerprints and ciphertext, fingerprints alone, or the plain object.

A ciphertext is made anew only when the fingerprints, the type or the recipients changed: age's output differs every
time, and a file that changes without reason would be a commit without reason.
This module must not let a value leave except through the keeper of secrets.
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
    """Turns normalized Secrets, and objects with sensitive fields, into what the tree holds of them.

    ``previous`` is the tree of the newest sample, whose ciphertexts are kept where they still say the same.
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
        """Whether ``sealed/`` is filled."""
        return self._mode is SecretsMode.ENCRYPT

    def archived(self, document: JsonObject) -> JsonObject:
        """The form below ``configuration/``: with fingerprints in place of what is not for everybody."""
        if not masking.masks(Kind.of(document), self._secrets):
            return document
        return masking.mask(document, self._secrets, self._require_keeper().fingerprint_key)

    def sealed(self, document: JsonObject, *, path: str, masked: JsonObject, blob: BlobId) -> BlobId | None:
        """The ciphertext for ``path``: the one of the previous sample where it still holds these values.

        None for an object that has nothing to be sealed, or where nothing is sealed in this mode.
        """
        if not self.encrypts or not masking.masks(Kind.of(document), self._secrets):
            return None
        values = masking.values_document(document, self._secrets)
        if values is None:
            return None
        kept = self._sealed.get(path)
        if kept is not None and self._says_the_same(path, masked, blob):
            return kept
        return self._store(self._require_keeper().seal(archive_format.encode(values)))

    def wrapped_key(self) -> BlobId:
        """The fingerprint key, encrypted to the recipients: who can read the values can go on fingerprinting."""
        kept = self._sealed.get(WRAPPED_KEY)
        if kept is not None:
            return kept
        keeper = self._require_keeper()
        return self._store(keeper.seal(keeper.fingerprint_key))

    def _says_the_same(self, path: str, masked: JsonObject, blob: BlobId) -> bool:
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
                f"Secrets cannot be kept in mode {self._mode}: there is no fingerprint key",
                hint="Use --secrets-mode omit to leave Secrets out.",
            )
        return self._keeper
