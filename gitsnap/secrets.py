"""The keys of an archive: the fingerprint key, the age recipients to encrypt to, the identities to decrypt with.

They lie beside the archives, at ``<storage>/.keys/<policy>/``, never inside one. The only importer of the encryption
library. This module must not let a value of a Secret into a message, and fails rather than write anything in plain.
"""

from __future__ import annotations

import os
import secrets as random_source
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyrage

from gitsnap.errors import SecretsError, StorageError
from gitsnap.format.fingerprint import KEY_BYTES, key_id
from gitsnap.model import SecretsMode

KEYS_FOLDER = ".keys"
KEY_FILE = "fingerprint.key"
IDENTITY_FILE = "identity.txt"

_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NEEDS_KEY = (SecretsMode.ENCRYPT, SecretsMode.REDACT)


class Keeper:
    """The keys at hand (ports.SecretsKeeper)."""

    def __init__(
        self,
        key: bytes,
        *,
        recipients: Sequence[str] = (),
        identities: Sequence[Any] = (),
        created_identity: Path | None = None,
    ) -> None:
        self._key = key
        self._recipients = tuple(sorted(set(recipients)))
        self._identities = list(identities)
        self.created_identity = created_identity
        """The identity file that was made on this occasion, so that somebody can be told to keep a copy."""

    @property
    def fingerprint_key(self) -> bytes:
        """32 bytes."""
        return self._key

    @property
    def recipients(self) -> tuple[str, ...]:
        """The age recipients to encrypt to, sorted."""
        return self._recipients

    @property
    def can_unseal(self) -> bool:
        """Whether there is any identity to try."""
        return bool(self._identities)

    def seal(self, plaintext: bytes) -> bytes:
        """An age file for the recipients. Raises SecretsError; nothing unencrypted ever comes back."""
        if not self._recipients:
            raise SecretsError("there is no recipient to encrypt Secrets to", hint="Name one with --recipient.")
        try:
            return bytes(pyrage.encrypt(plaintext, [_recipient(one) for one in self._recipients]))
        except pyrage.EncryptError:
            raise SecretsError("a Secret could not be encrypted") from None

    def unseal(self, ciphertext: bytes) -> bytes:
        """The inverse of ``seal``. Raises SecretsError when no identity fits or the file is damaged."""
        if not self._identities:
            raise SecretsError(
                "the values of Secrets are encrypted, and there is no identity to decrypt them with",
                hint=f"Give the age identity file with --identity (by default {IDENTITY_FILE} beside the archive).",
            )
        try:
            return bytes(pyrage.decrypt(ciphertext, self._identities))
        except pyrage.DecryptError:
            raise SecretsError(
                "the encrypted values cannot be read with the identities at hand, or the file is damaged",
                hint="Give the identity whose public key is among the recipients in gitsnap.yaml, with --identity.",
            ) from None


def open_keeper(
    folder: Path,
    *,
    mode: SecretsMode,
    recipients: Sequence[str] = (),
    identities: Sequence[Path] = (),
    expected_key: str = "",
    wrapped_key: bytes | None = None,
    create: bool = False,
) -> Keeper | None:
    """The keys in ``folder`` (``<storage>/.keys/<policy>``); None in the modes that need none.

    ``expected_key`` is the id of the key that the archive's fingerprints were made with; ``wrapped_key`` is the copy
    that the archive keeps of it, encrypted to the recipients. With ``create``, what is missing is made: the key, and an
    identity where the mode is encrypt and nobody is named as recipient. An archive that has fingerprints already never
    gets a new key. Raises SecretsError, StorageError.
    """
    if mode not in _NEEDS_KEY:
        return None
    own_identity = folder / IDENTITY_FILE
    created: Path | None = None
    if mode is SecretsMode.ENCRYPT and not recipients and create and not own_identity.exists():
        if expected_key:
            raise SecretsError(
                f"this archive's Secrets are encrypted, and its identity file {own_identity} is missing",
                hint="Put the identity file back, or name the recipients to encrypt to with --recipient.",
            )
        _create_identity(own_identity)
        created = own_identity
    files = [*identities, *([own_identity] if own_identity.exists() else [])]
    known = [identity for file in files for identity in _read_identities(file)]
    if mode is SecretsMode.ENCRYPT and not recipients and own_identity.exists():
        recipients = [str(identity.to_public()) for identity in _read_identities(own_identity) if _is_native(identity)]
    for recipient in recipients:
        _recipient(recipient)
    keeper = Keeper(b"", recipients=recipients, identities=known)
    key = _key(folder / KEY_FILE, keeper, expected_key=expected_key, wrapped_key=wrapped_key, create=create)
    return Keeper(key, recipients=recipients, identities=known, created_identity=created)


def _key(file: Path, keeper: Keeper, *, expected_key: str, wrapped_key: bytes | None, create: bool) -> bytes:
    if file.exists():
        key = _read_key(file)
    elif wrapped_key is not None and keeper.can_unseal:
        key = keeper.unseal(wrapped_key)
        if len(key) != KEY_BYTES:
            raise SecretsError("the archive's copy of its fingerprint key is damaged")
        if create:
            _write_key(file, key)
    elif create and not expected_key:
        key = random_source.token_bytes(KEY_BYTES)
        _write_key(file, key)
    else:
        raise SecretsError(
            f"the archive's fingerprint key{f' {expected_key}' if expected_key else ''} is missing: there is no {file}",
            hint="Put the key file back, or give an --identity that can decrypt the archive's own copy of it.",
        )
    if expected_key and key_id(key) != expected_key:
        raise SecretsError(
            f"{file} is the fingerprint key {key_id(key)}, but this archive was made with the key {expected_key}",
            hint="Put the archive's own key file back; with another one every Secret would look changed.",
        )
    return key


def _read_key(file: Path) -> bytes:
    for line in _private_text(file).splitlines():
        if line and not line.startswith("#"):
            try:
                key = bytes.fromhex(line.strip())
            except ValueError:
                break
            if len(key) == KEY_BYTES:
                return key
            break
    raise SecretsError(f"{file} is not a gitsnap fingerprint key (one line of {KEY_BYTES * 2} hexadecimal digits)")


def _write_key(file: Path, key: bytes) -> None:
    text = f"# gitsnap fingerprint key {key_id(key)}: keep a copy, and keep it from others\n{key.hex()}\n"
    _create_private(file, text)


def _create_identity(file: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    text = (
        f"# made by gitsnap: keep a copy, and keep it from others\n# public key: {identity.to_public()}\n{identity}\n"
    )
    _create_private(file, text)


def _read_identities(file: Path) -> list[Any]:
    """The identities of an age identity file, or an unencrypted SSH private key."""
    text = _private_text(file)
    if text.startswith("-----BEGIN"):
        return [_parsed(lambda: pyrage.ssh.Identity.from_buffer(text.encode()), file)]
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise SecretsError(f"{file} holds no age identity")
    return [_parsed(partial(pyrage.x25519.Identity.from_str, line), file) for line in lines]


def _parsed(parse: Callable[[], Any], file: Path) -> Any:
    try:
        return parse()
    except pyrage.IdentityError:
        raise SecretsError(
            f"{file} is not an age identity file that gitsnap can read",
            hint="Lines AGE-SECRET-KEY-1…, as age-keygen writes them, or an SSH private key without a passphrase.",
        ) from None


def _is_native(identity: Any) -> bool:
    return isinstance(identity, pyrage.x25519.Identity)


def _recipient(text: str) -> Any:
    """A public key: it may stand in a message."""
    parse = pyrage.ssh.Recipient.from_str if text.startswith("ssh-") else pyrage.x25519.Recipient.from_str
    try:
        return parse(text)
    except pyrage.RecipientError:
        raise SecretsError(
            f"{text!r} is no recipient to encrypt to",
            hint="An age public key (age1…) or an SSH public key (ssh-ed25519 …, ssh-rsa …).",
        ) from None


def _private_text(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        if mode & _OPEN_TO_OTHERS:
            raise SecretsError(
                f"{file} is a private key that others can read (mode {stat.S_IMODE(mode):04o})",
                hint=f"chmod 600 {file}",
            )
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SecretsError(f"there is no identity file {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsError(f"cannot read {file}: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def _create_private(file: Path, text: str) -> None:
    """A new file that only its owner can read, durable before it is used, and never in place of another."""
    try:
        for folder in (file.parent.parent, file.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        os.link(temporary, file)  # fails where the file is there already: a key is never replaced
        temporary.unlink()
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror}") from error
