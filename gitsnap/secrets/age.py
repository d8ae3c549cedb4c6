"""The keys of an archive: the fingerprint key, the age recipients to encrypt to, the identities to decrypt with.

They lie beside the archives, at ``<storage>/.keys/<policy>/``, never inside one. The only importer of the encryption
library. This module must not let a value of a Secret into a message, and fails rather than write anything in plain.
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
from gitsnap.core.files import check_folder, create_private, private_text, rename_private
from gitsnap.core.model import SecretsMode
from gitsnap.format import recipients as public_keys
from gitsnap.format.fingerprint import KEY_BYTES, key_id

KEYS_FOLDER = ".keys"
KEY_FILE = "fingerprint.key"
IDENTITY_FILE = "identity.txt"

_FOLDER_FILES = {
    ".gitignore": "# Private keys: `git add` in an outer repository must not take them.\n*\n",
    "README.md": (
        "# Private keys of gitsnap's archives\n\n"
        "One folder for each archive beside this one. Keep a copy of them elsewhere, and keep them from others.\n\n"
        "- `identity.txt`: the age private key. Without it the encrypted values of Secrets cannot be restored.\n"
        "- `fingerprint.key`: the key of the fingerprints. With it others can test guesses of values.\n"
        "- `fingerprint.key.ID`: the same from before `gitsnap secrets rekey`, for older samples.\n"
    ),
}
"""What lies in the folder of all keys, whose files git ignores wherever the folder is."""

_NEEDS_KEY = (SecretsMode.ENCRYPT, SecretsMode.REDACT)
_NATIVE_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+")


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A private key that was read. Its representation shows nothing of it."""

    key: object
    recipient: str
    """The age recipient that belongs to it, ``""`` for an SSH key."""


class Keeper:
    """The keys at hand (ports.SecretsKeeper). Raises SecretsError for a recipient that is none."""

    def __init__(
        self,
        key: bytes,
        *,
        recipients: Sequence[str] = (),
        identities: Sequence[Identity] = (),
        created_identity: Path | None = None,
    ) -> None:
        self._key = key
        stripped = [recipient.strip() for recipient in recipients]
        self._parsed_recipients = [_recipient(text, number) for number, text in enumerate(stripped, start=1)]
        self._recipients = tuple(sorted(set(stripped)))
        self._identities = tuple(identities)
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

    @property
    def own_recipients(self) -> tuple[str, ...]:
        """The public keys of the age identities at hand. Those of SSH identities are not known."""
        return tuple(sorted({identity.recipient for identity in self._identities if identity.recipient}))

    @property
    def reads_back(self) -> bool:
        """Whether what is sealed now can be unsealed with the identities at hand."""
        with suppress(SecretsError):
            return self.unseal(self.seal(b"probe")) == b"probe"
        return False

    def with_recipients(self, recipients: Sequence[str]) -> Keeper:
        """The same keys, encrypting to others. Raises SecretsError for a text that is no recipient."""
        _check_recipients(recipients)
        return Keeper(self._key, recipients=recipients, identities=self._identities)

    def with_new_key(self) -> Keeper:
        """A new fingerprint key, with the same recipients and identities."""
        key = random_source.token_bytes(KEY_BYTES)
        return Keeper(key, recipients=self._recipients, identities=self._identities)

    def seal(self, plaintext: bytes) -> bytes:
        """An age file for the recipients. Raises SecretsError; nothing unencrypted ever comes back."""
        if not self._recipients:
            raise SecretsError("there is no recipient to encrypt Secrets to", hint="Name one with --recipient.")
        with suppress(pyrage.EncryptError):
            return bytes(pyrage.encrypt(plaintext, self._parsed_recipients))
        raise SecretsError(f"a Secret could not be encrypted to {', '.join(self.recipients)}")

    def unseal(self, ciphertext: bytes) -> bytes:
        """The inverse of ``seal``. Raises SecretsError when no identity fits or the file is damaged."""
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
    create: bool = False,
) -> Keeper | None:
    """The keys in ``folder`` (``<storage>/.keys/<policy>``); None in the modes that need none.

    ``expected_key`` is the id of the key that the archive's fingerprints were made with; ``wrapped_key`` is the copy
    that the archive keeps of it, encrypted to the recipients. With ``create``, what is missing is made: the key, and an
    identity where the mode is encrypt and nobody is named as recipient. An archive that has fingerprints already never
    gets a new key, nor one that has ciphertexts a new identity. Raises SecretsError, StorageError.
    """
    if mode not in _NEEDS_KEY:
        return None
    check_folder(folder)
    own_file = folder / IDENTITY_FILE
    own = _identities(own_file)
    known = [identity for file in identities for identity in _required_identities(file)] + (own or [])
    named = list(recipients) if mode is SecretsMode.ENCRYPT else []
    if create:
        _check_recipients(named)
    Keeper(b"", recipients=named)  # refuses a bad recipient before anything is written
    makes_identity = mode is SecretsMode.ENCRYPT and not named and own is None and create
    if makes_identity and wrapped_key is not None:
        raise SecretsError(
            f"this archive's Secrets are encrypted, and its identity file {own_file} is missing",
            hint="Put the identity file back, or name the recipients to encrypt to with --recipient.",
        )
    key = _key(folder / KEY_FILE, known, expected_key=expected_key, wrapped_key=wrapped_key, create=create)
    created = create_private(own_file, _new_identity_text()) if makes_identity else False
    if create and folder.parent.is_dir():
        for name, text in _FOLDER_FILES.items():
            if not (folder.parent / name).exists():  # a full disk must not stop what needs no room
                create_private(folder.parent / name, text)  # durable: an empty .gitignore would ignore no key
    if makes_identity:
        own = _required_identities(own_file)
        known += own
    if mode is SecretsMode.ENCRYPT and not named:
        named = [identity.recipient for identity in own or [] if identity.recipient]
    return Keeper(key, recipients=named, identities=known, created_identity=own_file if created else None)


@dataclass(frozen=True, slots=True, repr=False)
class KeyTexts:
    """Keys that are given as texts rather than files. Its representation shows nothing of them."""

    source: str
    """Where they come from, for messages: ``Secret gitsnap/keys``."""
    fingerprint_key: str = ""
    """What the file fingerprint.key would hold, ``""`` where there is none."""
    identity: str = ""
    """What the file identity.txt would hold."""


def keeper_of(
    given: KeyTexts, *, mode: SecretsMode, recipients: Sequence[str] = (), expected_key: str = ""
) -> Keeper | None:
    """The keys that are given; None in the modes that need none. Nothing is made. Raises SecretsError."""
    if mode not in _NEEDS_KEY:
        return None
    if not given.fingerprint_key:
        raise SecretsError(
            f"{given.source} has no {KEY_FILE}",
            hint=f"Put the {KEY_BYTES * 2} hexadecimal digits of `openssl rand -hex {KEY_BYTES}` into it.",
        )
    if mode is SecretsMode.ENCRYPT:
        _check_recipients(recipients)
    key = _checked(_key_in(given.fingerprint_key, f"{KEY_FILE} in {given.source}"), given.source, expected_key)
    identities = _identities_in(given.identity, f"{IDENTITY_FILE} in {given.source}") if given.identity else []
    return Keeper(key, recipients=recipients if mode is SecretsMode.ENCRYPT else (), identities=identities)


# The fingerprint key --------------------------------------------------------------------------------------------------


def _key(
    file: Path, identities: Sequence[Identity], *, expected_key: str, wrapped_key: bytes | None, create: bool
) -> bytes:
    key = _stored_key(file)
    if key is not None and expected_key and key_id(key) != expected_key:
        # Keys from before and after a rekey lie beside it. A writer takes no other way: a wrong key file has a reason.
        copies = [_stored_key(_under_its_id(file, expected_key))]
        if wrapped_key is not None and not create:
            copies.append(_decrypted(wrapped_key, identities))
        key = next((copy for copy in copies if copy is not None and key_id(copy) == expected_key), key)
    if key is not None:
        return _checked(key, str(file), expected_key)
    missing = (
        f"the archive's fingerprint key{f' {expected_key}' if expected_key else ''} is missing: there is no {file}"
    )
    if wrapped_key is not None and identities:
        key = _decrypted(wrapped_key, identities)
        if key is None or len(key) != KEY_BYTES:
            raise SecretsError(
                f"{missing}, and the archive's own copy of it cannot be decrypted with the identities at hand",
                hint="Put the key file back, or give the identity that fits the recipients in gitsnap.yaml.",
            )
        key = _checked(key, "the archive's own copy of its key", expected_key)
    elif create and not expected_key:
        key = random_source.token_bytes(KEY_BYTES)
    elif wrapped_key is None:
        raise SecretsError(
            missing,
            hint="The archive keeps no copy of it, since its Secrets are not encrypted. Copy the file there from where "
            "its samples are taken (.keys, beside the archive).",
        )
    else:
        raise SecretsError(
            missing,
            hint="Put the key file back, or give an --identity that can decrypt the archive's own copy of it.",
        )
    if create and not create_private(file, _key_text(key)):
        stored = _stored_key(file)  # another process was faster: there is one key for an archive
        return _checked(stored, str(file), expected_key) if stored else key
    return key


def lay_down_key(folder: Path, keeper: Keeper) -> None:
    """Keep a new fingerprint key beside the one in use, before anything is written with it. Raises StorageError."""
    key = keeper.fingerprint_key
    create_private(_under_its_id(folder / KEY_FILE, key_id(key)), _key_text(key))


def put_key_in_place(folder: Path, keeper: Keeper) -> Path:
    """Make the key that was laid down the one in use; the one before stays beside it, for older samples.

    Returns the key's file. Raises StorageError, SecretsError.
    """
    file = folder / KEY_FILE
    old = _stored_key(file)
    if old is not None:
        create_private(_under_its_id(file, key_id(old)), _key_text(old))
    rename_private(_under_its_id(file, key_id(keeper.fingerprint_key)), file)
    return file


def _under_its_id(file: Path, key: str) -> Path:
    """Where a key lies that is not the one in use: one from before a rekey, or one that is about to be used."""
    return file.with_name(f"{file.name}.{key}")


def _checked(key: bytes, place: str, expected_key: str) -> bytes:
    if expected_key and key_id(key) != expected_key:
        raise SecretsError(
            f"{place} is the fingerprint key {key_id(key)}, but this archive was made with the key {expected_key}",
            hint="Put the archive's own key file back; with another one every Secret would look changed.",
        )
    return key


def _stored_key(file: Path) -> bytes | None:
    """None where there is no such file."""
    text = private_text(file)
    return None if text is None else _key_in(text, str(file))


def _key_in(text: str, place: str) -> bytes:
    lines = _content_lines(text)
    if len(lines) == 1 and re.fullmatch(rf"[0-9a-f]{{{KEY_BYTES * 2}}}", lines[0]):
        return bytes.fromhex(lines[0])
    raise SecretsError(f"{place} is not a gitsnap fingerprint key (one line of {KEY_BYTES * 2} hexadecimal digits)")


def _key_text(key: bytes) -> str:
    return f"# gitsnap fingerprint key {key_id(key)}: keep a copy, and keep it from others\n{key.hex()}\n"


# age ------------------------------------------------------------------------------------------------------------------
# The library has no types and raises its own errors; both end here. Errors are raised after its own were dropped, so
# that no chain of exceptions leads to what it was given.


def _decrypted(ciphertext: bytes, identities: Sequence[Identity]) -> bytes | None:
    """None where no identity fits, or the file is damaged."""
    with suppress(pyrage.DecryptError):
        return bytes(pyrage.decrypt(ciphertext, [identity.key for identity in identities]))
    return None


def _check_recipients(texts: Sequence[str]) -> None:
    """Raises SecretsError for a text that nothing new may be encrypted to, such as an example key.

    Old samples may be encrypted to such a key; they can be read all the same.
    """
    for number, text in enumerate(texts, start=1):
        public_keys.check(text.strip(), number)


def _recipient(text: str, number: int) -> object:
    """The recipient as the library has it. Raises SecretsError."""
    if public_keys.is_key(text):
        with suppress(pyrage.RecipientError):
            parse = pyrage.ssh.Recipient.from_str if text.startswith("ssh-") else pyrage.x25519.Recipient.from_str
            recipient: object = parse(text)
            return recipient
    raise public_keys.not_a_recipient(text, number)


def _required_identities(file: Path) -> list[Identity]:
    found = _identities(file)
    if found is None:
        raise SecretsError(
            f"there is no identity file {file}", hint="Name the file with the private key with --identity."
        )
    return found


def _identities(file: Path) -> list[Identity] | None:
    """The identities of an age identity file, or an unencrypted SSH private key; None where there is no such file."""
    text = private_text(file)
    return None if text is None else _identities_in(text, str(file))


def _identities_in(text: str, place: str) -> list[Identity]:
    if text.startswith(("age-encryption.org/", "-----BEGIN AGE ENCRYPTED")):
        raise SecretsError(
            f"{place} is an identity file that is protected by a passphrase, which gitsnap cannot ask for",
            hint=f"Decrypt it for the command alone: --identity <(age -d {place})",
        )
    if text.startswith("-----BEGIN"):
        with suppress(pyrage.IdentityError):
            return [Identity(pyrage.ssh.Identity.from_buffer(text.encode()), "")]
    elif lines := _content_lines(text):
        with suppress(pyrage.IdentityError):
            return [_native(line) for line in lines]
    raise SecretsError(
        f"{place} is not an age identity file that gitsnap can read",
        hint="Lines AGE-SECRET-KEY-1…, as age-keygen writes them, or an SSH private key without a passphrase.",
    )


def _native(line: str) -> Identity:
    if not _NATIVE_IDENTITY.fullmatch(line):  # a plugin's, or something else
        raise pyrage.IdentityError
    key = pyrage.x25519.Identity.from_str(line)
    return Identity(key, str(key.to_public()))


def _new_identity_text() -> str:
    """As age-keygen writes it, so that ``age -d -i`` reads it."""
    key = pyrage.x25519.Identity.generate()
    return f"# created by gitsnap: keep a copy, and keep it from others\n# public key: {key.to_public()}\n{key}\n"


# Private files --------------------------------------------------------------------------------------------------------


def _content_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
