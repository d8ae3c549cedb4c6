"""What follow mode records, and when."""

from __future__ import annotations

from dataclasses import dataclass

from gitsnap.core.changes import Who
from gitsnap.core.errors import InputError
from gitsnap.core.model import TreeInfo
from gitsnap.core.ports import SecretsKeeper

DEFAULT_QUIET_SECONDS = 2.0
DEFAULT_MOST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """What a follower records, and when."""

    info: TreeInfo
    keeper: SecretsKeeper | None
    quiet_seconds: float = DEFAULT_QUIET_SECONDS
    """A change is committed after this time without another change."""
    most_seconds: float = DEFAULT_MOST_SECONDS
    """The longest time that a change waits, however many changes follow."""
    who: Who = Who.FULL
    """The authors that are recorded."""

    @property
    def pseudonym_key(self) -> bytes:
        """The key of pseudonyms, ``b""`` if none are recorded. Raises InputError, SecretsError."""
        if self.who is not Who.PSEUDONYM:
            return b""
        if self.keeper is None:
            raise InputError(
                f"who: pseudonym needs a fingerprint key, and the secrets mode {self.info.secrets.mode} has none",
                hint="Set the secrets mode to encrypt or redact, or `who` to none, manager or full.",
            )
        return self.keeper.fingerprint_key
