"""The keys of an archive: the fingerprint key, the age recipients to encrypt to, the identities to decrypt with.

Key files are in ``<storage>/.keys/<policy>/``, never inside an archive. Messages never contain a value of a Secret, and
an error never leads to unencrypted output.
"""

from __future__ import annotations

import re
import secrets as random_source
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyrage

from gitsnap.core.errors import SecretsError
from gitsnap.core.files import check_keys_folder, create_private, read_private_text, rename_private
from gitsnap.core.model import SecretsMode
from gitsnap.format import recipients as public_keys
from gitsnap.format.fingerprint import KEY_BYTES, key_id
from gitsnap.secrets.key_texts import KeySource, KeyTexts

KEYS_FOLDER = ".keys"
KEY_FILE = "fingerprint.key"
IDENTITY_FILE = "identity.txt"

_FOLDER_FILES = {
    ".gitignore": "# Private keys: `git add` in an outer repository must not take them.\n*\n",
    "README.md": (
        "# Private keys of gitsnap's archives\n\n"
        "One folder for each archive in the folder above. Keep a copy elsewhere, and do not share these files.\n\n"
        "- `identity.txt`: the age private key. Without it the encrypted values of Secrets cannot be restored.\n"
        "- `fingerprint.key`: the key of the fingerprints. With it others can test guesses of values.\n"
        "- `fingerprint.key.ID`: a key from before `gitsnap secrets rekey`, for older samples.\n"
    ),
}
"""Files in the folder of all keys. An outer git repository ignores the folder."""

_NEEDS_KEY = (SecretsMode.ENCRYPT, SecretsMode.REDACT)
_NATIVE_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+")


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A private key. Its representation does not show the key."""

    key: object
    recipient: str
    """The age recipient of the key, ``""`` for an SSH key."""


class Keeper:
    """The available keys (ports.SecretsKeeper)."""

    def __init__(
        self,
        key: bytes,
        *,
        recipients: Sequence[str] = (),
        identities: Sequence[Identity] = (),
        created_identity: Path | None = None,
    ) -> None:
        """Raises SecretsError for an invalid recipient."""
        self._key = key
        stripped = [recipient.strip() for recipient in recipients]
        self._parsed_recipients = [_recipient(text, number) for number, text in enumerate(stripped, start=1)]
        self._recipients = tuple(sorted(set(stripped)))
        self._identities = tuple(identities)
        self.created_identity = created_identity
        """The identity file that was created together with this keeper: the user must be told to keep a copy."""

    @property
    def fingerprint_key(self) -> bytes:
        """The key of fingerprints: 32 bytes."""
        return self._key

    @property
    def recipients(self) -> tuple[str, ...]:
        """The age recipients to encrypt to, sorted."""
        return self._recipients

    @property
    def can_unseal(self) -> bool:
        """Whether there is an identity to decrypt with."""
        return bool(self._identities)

    @property
    def own_recipients(self) -> tuple[str, ...]:
        """The recipients of the age identities, sorted. The recipients of SSH identities are not known."""
        return tuple(sorted({identity.recipient for identity in self._identities if identity.recipient}))

    @property
    def reads_back(self) -> bool:
        """Whether the identities can decrypt values that are encrypted to the recipients."""
        with suppress(SecretsError):
            return self.unseal(self.seal(b"probe")) == b"probe"
        return False

    def with_recipients(self, recipients: Sequence[str]) -> Keeper:
        """The same keys with other recipients. Raises SecretsError for an invalid recipient."""
        check_recipients(recipients)
        return Keeper(self._key, recipients=recipients, identities=self._identities)

    def with_new_key(self) -> Keeper:
        """The same recipients and identities with a new fingerprint key."""
        key = random_source.token_bytes(KEY_BYTES)
        return Keeper(key, recipients=self._recipients, identities=self._identities)

    def seal(self, plaintext: bytes) -> bytes:
        """Encrypt to the recipients; returns an age file. Raises SecretsError without a recipient or on failure."""
        if not self._recipients:
            raise SecretsError("there is no recipient to encrypt Secrets to", hint="Name one with --recipient.")
        with suppress(pyrage.EncryptError):
            return bytes(pyrage.encrypt(plaintext, self._parsed_recipients))
        raise SecretsError(f"a Secret could not be encrypted to {', '.join(self.recipients)}")

    def unseal(self, ciphertext: bytes) -> bytes:
        """Decrypt an age file. Raises SecretsError when no identity matches or the file is damaged."""
        if not self._identities:
            raise SecretsError(
                "the values of Secrets are encrypted, and there is no identity to decrypt them with",
                hint=f"Give the age identity file with --identity (by default {IDENTITY_FILE} beside the archive).",
            )
        plaintext = _decrypted(ciphertext, self._identities)
        if plaintext is None:
            raise SecretsError(
                "the encrypted values cannot be read with the identities at hand, or the file is damaged",
                hint="Give the identity whose public key is among the recipients in gitsnap.yaml, with --identity.",
            )
        return plaintext


def open_keeper(
    folder: Path,
    *,
    mode: SecretsMode,
    recipients: Sequence[str] = (),
    identities: Sequence[Path] = (),
    expected_key: str = "",
    wrapped_key: bytes | None = None,
    other_source: KeySource | None = None,
    create: bool = False,
) -> Keeper | None:
    """Read the keys in ``folder`` (``<storage>/.keys/<policy>``); None in modes that need no key.

    ``expected_key`` is the id of the key that made the archive's fingerprints; ``wrapped_key`` is the archive's copy of
    this key, encrypted to the recipients. ``other_source`` reads the fingerprint key from another place; it is called
    only if the folder has no key and there is no identity to decrypt the copy with. ``create`` creates missing files:
    the key, and an identity if the mode is encrypt and no recipient is named. An archive that has fingerprints never
    gets a new key, and an archive that has ciphertexts never gets a new identity. Raises SecretsError, StorageError.
    """
    if mode not in _NEEDS_KEY:
        return None
    check_keys_folder(folder)
    own_file = folder / IDENTITY_FILE
    own = _identities(own_file)
    known = [identity for file in identities for identity in _required_identities(file)] + (own or [])
    named = list(recipients) if mode is SecretsMode.ENCRYPT else []
    if create:
        check_recipients(named)
    Keeper(b"", recipients=named)  # refuses an invalid recipient before anything is written
    creates_identity = mode is SecretsMode.ENCRYPT and not named and own is None and create
    if creates_identity and wrapped_key is not None:
        raise SecretsError(
            f"this archive's Secrets are encrypted, and its identity file {own_file} is missing",
            hint="Put the identity file back, or name the recipients to encrypt to with --recipient.",
        )
    file, source = folder / KEY_FILE, None if wrapped_key and known else other_source
    key = _key_of_source(file, source, expected_key)
    key = key or _key(file, known, expected_key=expected_key, wrapped_key=wrapped_key, create=create)
    created = create_private(own_file, _new_identity_text()) if creates_identity else False
    if create and folder.parent.is_dir():
        for name, text in _FOLDER_FILES.items():
            if not (folder.parent / name).exists():  # a full disk must not stop a capture if the files exist
                create_private(folder.parent / name, text)  # durable: git would add the keys if .gitignore were empty
    if creates_identity:
        own = _required_identities(own_file)
        known += own
    if mode is SecretsMode.ENCRYPT and not named:
        named = [identity.recipient for identity in own or [] if identity.recipient]
    return Keeper(key, recipients=named, identities=known, created_identity=own_file if created else None)


def keeper_from_texts(
    texts: KeyTexts, *, mode: SecretsMode, recipients: Sequence[str] = (), expected_key: str = ""
) -> Keeper | None:
    """Read keys from texts; None in modes that need no key. No key is created. Raises SecretsError."""
    if mode not in _NEEDS_KEY:
        return None
    key = _key_of_texts(texts, expected_key)
    if mode is SecretsMode.ENCRYPT:
        check_recipients(recipients)
    identities = _parse_identities(texts.identity, f"{IDENTITY_FILE} in {texts.source}") if texts.identity else []
    return Keeper(key, recipients=recipients if mode is SecretsMode.ENCRYPT else (), identities=identities)


# The fingerprint key --------------------------------------------------------------------------------------------------


def _key_of_source(file: Path, source: KeySource | None, expected_key: str) -> bytes | None:
    texts = source() if source is not None and not file.exists() else None
    return None if texts is None else _key_of_texts(texts, expected_key)


def _key_of_texts(texts: KeyTexts, expected_key: str) -> bytes:
    if not texts.fingerprint_key:
        raise SecretsError(
            f"{texts.source} has no {KEY_FILE}",
            hint=f"Put the {KEY_BYTES * 2} hexadecimal digits of `openssl rand -hex {KEY_BYTES}` into it.",
        )
    return _check_id(_parse_key(texts.fingerprint_key, f"{KEY_FILE} in {texts.source}"), texts.source, expected_key)


def _key(
    file: Path, identities: Sequence[Identity], *, expected_key: str, wrapped_key: bytes | None, create: bool
) -> bytes:
    key = _stored_key(file)
    if key is not None and expected_key and key_id(key) != expected_key:
        # A rekey keeps former keys beside the current key. A writer must not use the archive's copy for a wrong file.
        copies = [_stored_key(_key_file_of(file, expected_key))]
        if wrapped_key is not None and not create:
            copies.append(_decrypted(wrapped_key, identities))
        key = next((copy for copy in copies if copy is not None and key_id(copy) == expected_key), key)
    if key is not None:
        return _check_id(key, str(file), expected_key)
    missing = (
        f"the archive's fingerprint key{f' {expected_key}' if expected_key else ''} is missing: there is no {file}"
    )
    if wrapped_key is not None and identities:
        key = _decrypted(wrapped_key, identities)
        if key is None or len(key) != KEY_BYTES:
            raise SecretsError(
                f"{missing}, and the archive's own copy of it cannot be decrypted with the available identities",
                hint="Put the key file back, or give the identity of a recipient in gitsnap.yaml.",
            )
        key = _check_id(key, "the archive's own copy of its key", expected_key)
    elif create and not expected_key:
        key = random_source.token_bytes(KEY_BYTES)
    elif wrapped_key is None:
        raise SecretsError(
            missing,
            hint="The archive has no copy of it, because its Secrets are not encrypted. Copy the file from the machine "
            "that takes the samples (.keys, beside the archive).",
        )
    else:
        raise SecretsError(
            missing,
            hint="Put the key file back, or give an --identity that can decrypt the archive's own copy of it. For the "
            "controller, put the key into the Secret that spec.secrets.secretRef of the Snapshot names.",
        )
    if create and not create_private(file, _key_text(key)):
        stored = _stored_key(file)  # another process was faster: an archive has one key
        return _check_id(stored, str(file), expected_key) if stored else key
    return key


def stage_key(folder: Path, keeper: Keeper) -> None:
    """Write a new fingerprint key beside the current one, before a sample uses it. Raises StorageError."""
    key = keeper.fingerprint_key
    create_private(_key_file_of(folder / KEY_FILE, key_id(key)), _key_text(key))


def activate_key(folder: Path, keeper: Keeper) -> Path:
    """Make a staged key the current key; the former key stays beside it, for older samples.

    Returns the file of the current key. Raises StorageError, SecretsError.
    """
    file = folder / KEY_FILE
    old = _stored_key(file)
    if old is not None:
        create_private(_key_file_of(file, key_id(old)), _key_text(old))
    rename_private(_key_file_of(file, key_id(keeper.fingerprint_key)), file)
    return file


def _key_file_of(file: Path, key: str) -> Path:
    """The file of a key that is not the current key: a former key, or a staged one."""
    return file.with_name(f"{file.name}.{key}")


def _check_id(key: bytes, source: str, expected_key: str) -> bytes:
    if expected_key and key_id(key) != expected_key:
        raise SecretsError(
            f"{source} is the fingerprint key {key_id(key)}, but this archive was made with the key {expected_key}",
            hint="Put the archive's own key file back: with another key every Secret would look changed.",
        )
    return key


def _stored_key(file: Path) -> bytes | None:
    """The key in a file; None without the file. Raises SecretsError, StorageError."""
    text = read_private_text(file)
    return None if text is None else _parse_key(text, str(file))


def _parse_key(text: str, source: str) -> bytes:
    lines = _content_lines(text)
    if len(lines) == 1 and re.fullmatch(rf"[0-9a-f]{{{KEY_BYTES * 2}}}", lines[0]):
        return bytes.fromhex(lines[0])
    raise SecretsError(f"{source} is not a gitsnap fingerprint key (one line of {KEY_BYTES * 2} hexadecimal digits)")


def _key_text(key: bytes) -> str:
    return f"# gitsnap fingerprint key {key_id(key)}: keep a copy, and do not share it\n{key.hex()}\n"


# age ------------------------------------------------------------------------------------------------------------------
# The library is untyped and raises its own exceptions. SecretsError is raised outside their handlers, so that no chain
# of exceptions leads to a key or a value.


def _decrypted(ciphertext: bytes, identities: Sequence[Identity]) -> bytes | None:
    """The decrypted value; None where no identity matches or the file is damaged."""
    with suppress(pyrage.DecryptError):
        return bytes(pyrage.decrypt(ciphertext, [identity.key for identity in identities]))
    return None


def check_recipients(texts: Sequence[str]) -> None:
    """Check recipients of new values. Raises SecretsError for a text that is not a key, and for an example key.

    Old samples may be encrypted to such a key and can still be read.
    """
    for number, text in enumerate(texts, start=1):
        public_keys.check(text.strip(), number)
        _recipient(text.strip(), number)


def _recipient(text: str, number: int) -> object:
    """The recipient as an object of the library. Raises SecretsError; ``number`` is its position in messages."""
    if public_keys.is_key(text):
        with suppress(pyrage.RecipientError):
            parse = pyrage.ssh.Recipient.from_str if text.startswith("ssh-") else pyrage.x25519.Recipient.from_str
            recipient: object = parse(text)
            return recipient
    raise public_keys.not_a_recipient(text, number)


def _required_identities(file: Path) -> list[Identity]:
    identities = _identities(file)
    if identities is None:
        raise SecretsError(
            f"there is no identity file {file}", hint="Name the file with the private key with --identity."
        )
    return identities


def _identities(file: Path) -> list[Identity] | None:
    """The identities in an age identity file or an unencrypted SSH private key; None without the file."""
    text = read_private_text(file)
    return None if text is None else _parse_identities(text, str(file))


def _parse_identities(text: str, source: str) -> list[Identity]:
    if text.startswith(("age-encryption.org/", "-----BEGIN AGE ENCRYPTED")):
        raise SecretsError(
            f"{source} is protected by a passphrase, and gitsnap cannot ask for it",
            hint=f"Decrypt it for this command only: --identity <(age -d {source})",
        )
    if text.startswith("-----BEGIN"):
        with suppress(pyrage.IdentityError):
            return [Identity(pyrage.ssh.Identity.from_buffer(text.encode()), "")]
    elif lines := _content_lines(text):
        with suppress(pyrage.IdentityError):
            return [_native(line) for line in lines]
    raise SecretsError(
        f"{source} is not an age identity file that gitsnap can read",
        hint="Use a file of age-keygen (lines AGE-SECRET-KEY-1…), or an SSH private key without a passphrase.",
    )


def _native(line: str) -> Identity:
    if not _NATIVE_IDENTITY.fullmatch(line):  # the identity of a plugin, for example
        raise pyrage.IdentityError
    key = pyrage.x25519.Identity.from_str(line)
    return Identity(key, str(key.to_public()))


def _new_identity_text() -> str:
    """A new identity in the format of age-keygen, which ``age -d -i`` reads."""
    key = pyrage.x25519.Identity.generate()
    return f"# created by gitsnap: keep a copy, and do not share it\n# public key: {key.to_public()}\n{key}\n"


# Key files ------------------------------------------------------------------------------------------------------------


def _content_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
