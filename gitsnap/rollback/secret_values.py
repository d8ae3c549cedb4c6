"""The hidden values of a sample: the values of Secrets, and the sensitive fields of other objects.

A sample has fingerprints in place of these values. A live object is masked in the same way before it is compared. The
values are decrypted only if the fingerprints of the live object differ.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from gitsnap import format as archive_format
from gitsnap.core.errors import SecretsError
from gitsnap.core.model import JsonObject, Kind, SecretsInfo, SecretsMode
from gitsnap.core.objects import changed_fields
from gitsnap.core.ports import SecretsKeeper
from gitsnap.format import fingerprint, masking
from gitsnap.rollback.plan import Unrestorable
from gitsnap.sveltos import restore
from gitsnap.sveltos.normalize import normalize


class SecretValues:
    """Masks live objects as a sample is masked, and restores the values of archived objects."""

    def __init__(self, info: SecretsInfo, keeper: SecretsKeeper | None) -> None:
        """``keeper`` has the keys of the archive, None if there is none."""
        self._info = info
        self._keeper = keeper

    def masks(self, kind: Kind) -> bool:
        """Whether objects of a kind may have fingerprints in place of values."""
        return masking.masks(kind, self._info)

    @cached_property
    def key_problem(self) -> str:
        """Why fingerprints cannot be computed; ``""`` if they can."""
        if self._keeper is None:
            return "the keys of the archive are not available, so its Secrets can be neither compared nor decrypted"
        try:
            own = fingerprint.key_id(self._keeper.fingerprint_key)
        except SecretsError as error:
            return error.message
        required = self._info.fingerprint_key
        if own != required:
            return f"the sample was made with the fingerprint key {required}, and the available key is {own}"
        return ""

    def mask(self, document: JsonObject) -> JsonObject:
        """A normalized live object with fingerprints in place of values. ``key_problem`` must be empty."""
        return masking.mask(document, self._info, self._keys.fingerprint_key)

    def restore(
        self, archived: JsonObject, live: JsonObject | None, read_sealed: Callable[[], bytes] | None
    ) -> JsonObject | Unrestorable:
        """An archived object with its values: from the live object if the fingerprints are equal, else decrypted.

        ``read_sealed`` returns the encrypted values of the object. It is None if the sample has none.
        """
        info = self._info
        if not masking.hides(archived, info):
            return _without_fingerprints(archived)
        if self.key_problem:
            return Unrestorable(self.key_problem)
        changed: tuple[str, ...] = ()
        if live is not None:
            plain = normalize(live)
            masked = self.mask(plain)
            if masking.same_values(masked, archived, info):
                return self._with_values(archived, masking.values_document(plain, info))
            changed = changed_fields(masked, restore.desired_object(archived, masked))
        if info.mode is SecretsMode.REDACT:
            return Unrestorable("the archive keeps fingerprints of Secrets, not their values (mode redact)", changed)
        if read_sealed is None:
            return Unrestorable("the sample contains no encrypted values of the object", changed)
        try:
            values = archive_format.decode(self._keys.unseal(read_sealed()))
            return _without_fingerprints(self._with_values(archived, values))
        except SecretsError as error:
            return Unrestorable(error.message, changed)

    def _with_values(self, archived: JsonObject, values: object) -> JsonObject:
        return masking.restore(archived, values, self._info, self._keys.fingerprint_key)

    @property
    def _keys(self) -> SecretsKeeper:
        if self._keeper is None:
            raise AssertionError("key_problem says that there are no keys")
        return self._keeper


def _without_fingerprints(document: JsonObject) -> JsonObject | Unrestorable:
    """The document, unless it contains fingerprints: gitsnap never writes a fingerprint as a value."""
    if masking.shows_fingerprints(document):
        return Unrestorable("the sample contains only fingerprints of its values")
    return document
