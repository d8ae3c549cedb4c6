"""Keys of an archive: created once, private, refused if they do not match the archive, and never shown or logged."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import pyrage
import pytest

from gitsnap.core.errors import GitsnapError, SecretsError, StorageError
from gitsnap.core.model import SecretsMode
from gitsnap.format.fingerprint import key_id
from gitsnap.secrets.age import Identity, Keeper, open_keeper

CANARY = "canary-7f3a91"
KEY = bytes(range(32))
OTHER_ID = "0" * 16


class KeeperArguments(TypedDict, total=False):
    """Keyword arguments of open_keeper."""

    recipients: Sequence[str]
    identities: Sequence[Path]
    expected_key: str
    wrapped_key: bytes
    create: bool


def opened(folder: Path, mode: SecretsMode = SecretsMode.ENCRYPT, **more: Unpack[KeeperArguments]) -> Keeper:
    """Open the keeper of a mode that has a keeper."""
    keeper = open_keeper(folder, mode=mode, **more)
    assert keeper is not None
    return keeper


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The keys folder of the policy `hourly`. The folder does not exist, the storage folder does."""
    return tmp_path / ".keys" / "hourly"


@pytest.fixture
def age_identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The identity file of another user, outside the storage folder, and its public key."""
    other_folder = tmp_path_factory.mktemp("elsewhere") / ".keys" / "x"
    other_folder.parent.mkdir()
    keeper = opened(other_folder, create=True)
    return other_folder / "identity.txt", keeper.recipients[0]


def permissions(path: Path) -> int:
    """The permission bits of a file."""
    return path.stat().st_mode & 0o7777


def printable_text(error: BaseException) -> str:
    """All text that a log or a traceback can print of an error and of its causes."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        parts += [str(current), repr(current), repr(current.args), repr(vars(current))]
        current = current.__cause__ or current.__context__
    return "\n".join(parts)


# Key creation ---------------------------------------------------------------------------------------------------------


def test_first_use_creates_key_and_identity(folder: Path) -> None:
    """Mode encrypt without recipients creates a key and an identity. The keeper names the file of the identity."""
    keeper = opened(folder, create=True)

    assert keeper.created_identity == folder / "identity.txt"
    assert len(keeper.fingerprint_key) == 32
    assert len(keeper.recipients) == 1
    assert keeper.unseal(keeper.seal(b"value")) == b"value"


def test_second_use_reads_the_same_keys(folder: Path) -> None:
    """The second use reads the existing keys."""
    first, second = opened(folder, create=True), opened(folder, create=True)

    assert second.created_identity is None
    assert (second.fingerprint_key, second.recipients) == (first.fingerprint_key, first.recipients)
    assert second.unseal(first.seal(b"value")) == b"value"


def test_only_the_owner_can_read_the_keys(folder: Path) -> None:
    """Folders are 0700 and files 0600 under any umask, and no temporary file remains."""
    before = os.umask(0)
    try:
        opened(folder, create=True)
    finally:
        os.umask(before)

    assert permissions(folder.parent) == permissions(folder) == 0o700
    assert {path.name: permissions(path) for path in folder.iterdir()} == {
        "fingerprint.key": 0o600,
        "identity.txt": 0o600,
    }


def test_key_files_contain_their_ids(folder: Path) -> None:
    """The key file contains its id. The identity file contains its public key, as with age-keygen."""
    keeper = opened(folder, create=True)

    key_lines = (folder / "fingerprint.key").read_text().splitlines()
    identity_lines = (folder / "identity.txt").read_text().splitlines()

    assert key_lines[0].startswith(f"# gitsnap fingerprint key {key_id(keeper.fingerprint_key)}")
    assert key_lines[1:] == [keeper.fingerprint_key.hex()]
    assert identity_lines[0].startswith("# created by gitsnap")
    assert identity_lines[1] == f"# public key: {keeper.recipients[0]}"
    assert identity_lines[2].startswith("AGE-SECRET-KEY-1")
    assert len(identity_lines) == 3


def test_two_archives_have_two_keys(tmp_path: Path) -> None:
    """Each archive has its own random keys."""
    first = opened(tmp_path / ".keys" / "a", create=True)
    second = opened(tmp_path / ".keys" / "b", create=True)

    assert first.fingerprint_key != second.fingerprint_key
    assert first.recipients != second.recipients


def test_redact_creates_only_a_key(folder: Path) -> None:
    """Mode redact encrypts nothing, so no identity is created."""
    keeper = opened(folder, SecretsMode.REDACT, create=True)

    assert [path.name for path in folder.iterdir()] == ["fingerprint.key"]
    assert keeper.recipients == ()
    assert keeper.created_identity is None
    with pytest.raises(SecretsError, match="no recipient"):
        keeper.seal(b"value")


@pytest.mark.parametrize("mode", [SecretsMode.OMIT, SecretsMode.PLAINTEXT])
def test_modes_without_keys(folder: Path, mode: SecretsMode) -> None:
    """The modes omit and plaintext have no keeper and write no file."""
    assert open_keeper(folder, mode=mode, create=True) is None
    assert not folder.parent.exists()


def test_named_recipients_need_no_identity(folder: Path, age_identity: tuple[Path, str]) -> None:
    """If the policy names recipients, no identity is created. Only the recipients can decrypt."""
    file, recipient = age_identity
    keeper = opened(folder, recipients=[recipient], create=True)

    assert [path.name for path in folder.iterdir()] == ["fingerprint.key"]
    assert keeper.recipients == (recipient,)
    sealed = keeper.seal(b"value")
    with pytest.raises(SecretsError, match="no identity"):
        keeper.unseal(sealed)
    assert opened(folder, recipients=[recipient], identities=[file]).unseal(sealed) == b"value"


def test_recipients_are_sorted_and_unique(folder: Path, age_identity: tuple[Path, str]) -> None:
    """The order of recipients does not matter, so the tree does not change with the order."""
    _, other = age_identity
    own = opened(folder, create=True).recipients[0]

    assert opened(folder, recipients=[other, own, f" {other}\n"]).recipients == tuple(sorted([other, own]))


def test_all_recipients_can_decrypt(folder: Path, age_identity: tuple[Path, str]) -> None:
    """Each recipient can decrypt without the other recipients."""
    file, recipient = age_identity
    own = opened(folder, create=True)
    sealed = opened(folder, recipients=[recipient, *own.recipients]).seal(b"value")

    assert own.unseal(sealed) == b"value"
    other_folder = folder.parent / "other"
    opened(other_folder, SecretsMode.REDACT, create=True)
    assert opened(other_folder, SecretsMode.REDACT, identities=[file]).unseal(sealed) == b"value"


def test_an_archive_in_mode_redact_can_change_to_encrypt(folder: Path) -> None:
    """An archive with fingerprints but without ciphertexts gets an identity when the mode changes to encrypt."""
    before = opened(folder, SecretsMode.REDACT, create=True)

    after = opened(folder, expected_key=key_id(before.fingerprint_key), create=True)

    assert after.fingerprint_key == before.fingerprint_key
    assert after.created_identity == folder / "identity.txt"


def test_two_processes_at_once_agree_on_one_key(folder: Path) -> None:
    """The second process uses the keys of the first process."""
    barrier, keepers = threading.Barrier(6), list[Keeper]()

    def make() -> None:
        barrier.wait()
        keepers.append(opened(folder, create=True))

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keepers) == 6
    assert len({keeper.fingerprint_key for keeper in keepers}) == 1
    assert len({keeper.recipients for keeper in keepers}) == 1
    assert sum(keeper.created_identity is not None for keeper in keepers) == 1


def test_keys_on_a_file_system_without_hard_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links, keys are created and never replaced."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)

    first, second = opened(folder, create=True), opened(folder, create=True)

    assert first.fingerprint_key == second.fingerprint_key
    assert sorted(path.name for path in folder.iterdir()) == ["fingerprint.key", "identity.txt"]


@pytest.mark.parametrize(("number", "accepted"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_file_system_that_cannot_sync_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, accepted: bool
) -> None:
    """A folder that does not support fsync is not an error. A failed disk is an error."""
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)

    with contextlib.nullcontext() if accepted else pytest.raises(StorageError, match="Input/output error"):
        opened(folder, create=True)


def test_a_file_system_without_hard_links_replaces_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links, too, a key that another process created meanwhile is used."""
    meanwhile = opened(folder.parent / "other", SecretsMode.REDACT, create=True)

    def refuse(_: Path, file: Path) -> None:
        if (theirs := folder.parent / "other" / file.name).exists():
            shutil.copy(theirs, file)
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)

    assert opened(folder, SecretsMode.REDACT, create=True).fingerprint_key == meanwhile.fingerprint_key


def test_a_file_system_that_refuses_links_for_another_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other failure of a link is an error, and no file remains."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "link", refuse)

    with pytest.raises(StorageError, match="Read-only file system"):
        opened(folder, create=True)
    assert list(folder.iterdir()) == []


def test_a_missing_storage_folder(tmp_path: Path) -> None:
    """No key is created below a missing folder, because the folder may be a volume that is not mounted."""
    with pytest.raises(StorageError, match=r"fingerprint\.key"):
        open_keeper(tmp_path / "absent" / ".keys" / "hourly", mode=SecretsMode.REDACT, create=True)

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that cannot be synced is removed, so that the next attempt creates another key."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            opened(folder, create=True)

    assert list(folder.iterdir()) == []
    assert opened(folder, create=True).can_unseal


# Keys that are missing or wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [SecretsMode.ENCRYPT, SecretsMode.REDACT])
def test_reading_creates_no_key(folder: Path, mode: SecretsMode) -> None:
    """Reading never creates a key. The message names the expected file."""
    with pytest.raises(SecretsError, match=r"there is no .*hourly/fingerprint.key"):
        open_keeper(folder, mode=mode)

    assert not folder.parent.exists()


@pytest.mark.parametrize("mode", [SecretsMode.ENCRYPT, SecretsMode.REDACT])
def test_an_archive_with_fingerprints_gets_no_new_key(folder: Path, mode: SecretsMode) -> None:
    """A lost key is not replaced, because every Secret would look changed. No file remains."""
    with pytest.raises(SecretsError, match=f"key {OTHER_ID} is missing: there is no .*fingerprint.key"):
        open_keeper(folder, mode=mode, expected_key=OTHER_ID, create=True)

    assert not folder.parent.exists()


def test_another_archives_key_is_refused(folder: Path) -> None:
    """The message names the expected id, the actual id and the file."""
    own = key_id(opened(folder, create=True).fingerprint_key)

    with pytest.raises(SecretsError) as caught:
        open_keeper(folder, mode=SecretsMode.ENCRYPT, expected_key=OTHER_ID, create=True)

    assert f"{folder / 'fingerprint.key'} is the fingerprint key {own}" in caught.value.message
    assert f"made with the key {OTHER_ID}" in caught.value.message


def test_an_archive_with_ciphertexts_gets_no_new_identity(folder: Path) -> None:
    """A lost identity is not replaced, because existing ciphertexts could never be decrypted."""
    keeper = opened(folder, create=True)
    (folder / "identity.txt").unlink()

    with pytest.raises(SecretsError, match=r"identity file .*identity\.txt is missing"):
        open_keeper(folder, mode=SecretsMode.ENCRYPT, wrapped_key=keeper.seal(keeper.fingerprint_key), create=True)

    assert [path.name for path in folder.iterdir()] == ["fingerprint.key"]


def test_a_lost_key_is_restored_from_the_copy_in_the_archive(folder: Path) -> None:
    """With an identity, the copy in the archive replaces the lost key file, and the file is restored."""
    keeper = opened(folder, create=True)
    wrapped = keeper.seal(keeper.fingerprint_key)
    (folder / "fingerprint.key").unlink()
    expected = key_id(keeper.fingerprint_key)

    reading = opened(folder, expected_key=expected, wrapped_key=wrapped)
    assert reading.fingerprint_key == keeper.fingerprint_key
    assert not (folder / "fingerprint.key").exists()

    writing = opened(folder, expected_key=expected, wrapped_key=wrapped, recipients=keeper.recipients, create=True)
    assert writing.fingerprint_key == keeper.fingerprint_key
    assert permissions(folder / "fingerprint.key") == 0o600
    assert opened(folder, expected_key=expected).fingerprint_key == keeper.fingerprint_key


def test_a_clone_needs_only_an_identity(tmp_path: Path, folder: Path) -> None:
    """An identity is enough to read a clone. The clone needs no keys folder."""
    keeper = opened(folder, create=True)
    wrapped = keeper.seal(keeper.fingerprint_key)

    other_folder = opened(
        tmp_path / "laptop" / ".keys" / "hourly",
        identities=[folder / "identity.txt"],
        recipients=keeper.recipients,
        expected_key=key_id(keeper.fingerprint_key),
        wrapped_key=wrapped,
    )

    assert other_folder.fingerprint_key == keeper.fingerprint_key
    assert other_folder.unseal(keeper.seal(b"value")) == b"value"
    assert not (tmp_path / "laptop").exists()


@pytest.mark.parametrize("content", [b"", b"short", bytes(31), KEY])
def test_a_copy_of_another_key_is_refused(folder: Path, content: bytes) -> None:
    """A damaged or replaced copy is never written to the key file."""
    keeper = opened(folder, create=True)
    (folder / "fingerprint.key").unlink()

    with pytest.raises(SecretsError):
        open_keeper(
            folder,
            mode=SecretsMode.ENCRYPT,
            expected_key=key_id(keeper.fingerprint_key),
            wrapped_key=keeper.seal(content),
            recipients=keeper.recipients,
            create=True,
        )

    assert not (folder / "fingerprint.key").exists()


def test_a_copy_for_another_recipient(folder: Path, age_identity: tuple[Path, str]) -> None:
    """If the identity cannot decrypt the copy, the message names the key file and the copy."""
    keeper = opened(folder, create=True)
    (folder / "fingerprint.key").unlink()

    with pytest.raises(SecretsError, match=r"there is no .*fingerprint\.key, and the archive's own copy"):
        open_keeper(
            folder,
            mode=SecretsMode.REDACT,
            expected_key=key_id(keeper.fingerprint_key),
            wrapped_key=Keeper(KEY, recipients=[age_identity[1]]).seal(keeper.fingerprint_key),
        )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# only a comment\n",
        KEY.hex().encode() + b"00\n",
        KEY.hex()[2:].encode(),
        b"zz" * 32,
        KEY.hex().encode() + b"\n" + KEY.hex().encode(),
        b"\xff\xfe",
        b"x" * (2 << 20),
    ],
    ids=["empty", "comment", "long", "short", "letters", "two", "binary", "huge"],
)
def test_an_invalid_key_file(folder: Path, content: bytes) -> None:
    """A damaged key file is refused by name and never overwritten."""
    folder.mkdir(parents=True)
    file = folder / "fingerprint.key"
    file.write_bytes(content)
    file.chmod(0o600)

    with pytest.raises(SecretsError, match=r"fingerprint\.key"):
        open_keeper(folder, mode=SecretsMode.REDACT, create=True)

    assert file.read_bytes() == content


def test_folders_in_place_of_files(folder: Path) -> None:
    """A folder at the path of a key file is an error with a message."""
    (folder / "identity.txt").mkdir(parents=True)

    with pytest.raises(SecretsError, match=r"cannot read .*identity\.txt: Is a directory"):
        open_keeper(folder, mode=SecretsMode.ENCRYPT, create=True)


def test_a_file_in_place_of_the_folder(folder: Path) -> None:
    """A file at the path of the keys folder is an error with a message."""
    folder.parent.write_text("")

    with pytest.raises(GitsnapError, match="Not a directory"):
        open_keeper(folder, mode=SecretsMode.REDACT, create=True)


# Permissions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fingerprint.key", "identity.txt"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o777])
def test_files_that_others_can_open_are_refused(folder: Path, name: str, mode: int) -> None:
    """As in ssh, the message names the mode and the command that corrects the mode."""
    opened(folder, create=True)
    (folder / name).chmod(mode)

    with pytest.raises(SecretsError, match=f"{name} is a private key that others can read .mode 0{mode:o}") as caught:
        open_keeper(folder, mode=SecretsMode.ENCRYPT)

    assert caught.value.hint == f"chmod 600 {folder / name}"


def test_a_world_writable_folder_is_refused(folder: Path) -> None:
    """In such a folder any user could replace the key."""
    opened(folder, create=True)
    folder.chmod(0o777)

    with pytest.raises(SecretsError, match=r"everybody can write to it .mode 0777"):
        open_keeper(folder, mode=SecretsMode.ENCRYPT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize(("mode", "accepted"), [(0o440, True), (0o640, True), (0o444, False)])
def test_a_mounted_secret_may_be_read_by_the_group(folder: Path, mode: int, *, accepted: bool) -> None:
    """The files of a mounted Secret have another owner and can be read by the group of the pod, but not by others."""
    opened(folder, create=True)
    for file in folder.iterdir():
        os.chown(file, 12345, -1)
        file.chmod(mode)

    with contextlib.nullcontext() if accepted else pytest.raises(SecretsError, match="others can read"):
        open_keeper(folder, mode=SecretsMode.ENCRYPT)


# Identities and recipients --------------------------------------------------------------------------------------------


@pytest.fixture(params=["ed25519", "rsa"])
def ssh_key(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """A function that creates an SSH key with a passphrase or without."""
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("ssh-keygen is not installed")

    def make(passphrase: str) -> Path:
        file = tmp_path / "id"
        size = ["-b", "2048"] if request.param == "rsa" else []
        subprocess.run(
            [program, "-q", "-t", request.param, *size, "-N", passphrase, "-C", "me@host", "-f", file], check=True
        )
        return file

    return make


def test_ssh_keys_are_recipients_and_identities(folder: Path, ssh_key: Callable[[str], Path]) -> None:
    """An SSH key serves as recipient and as identity."""
    file = ssh_key("")
    public = file.with_suffix(".pub").read_text()

    keeper = opened(folder, recipients=[public], identities=[file], create=True)

    assert keeper.recipients == (public.strip(),)
    assert keeper.unseal(keeper.seal(b"value")) == b"value"


def test_an_ssh_key_with_a_passphrase_is_refused(folder: Path, ssh_key: Callable[[str], Path]) -> None:
    """gitsnap never asks for a passphrase. The message names the alternatives."""
    with pytest.raises(SecretsError, match="without a passphrase"):
        open_keeper(folder, mode=SecretsMode.ENCRYPT, identities=[ssh_key("pass phrase")], create=True)


def test_an_identity_file_can_have_several_identities(folder: Path, age_identity: tuple[Path, str]) -> None:
    """As in age, a file may have comments, empty lines and several identities."""
    opened(folder, create=True)
    own = folder / "identity.txt"
    own.write_text(f"{own.read_text()}\n  # another\n  {age_identity[0].read_text().splitlines()[2]}  \n")

    keeper = opened(folder)

    assert len(keeper.recipients) == 2
    assert Keeper(KEY, recipients=[age_identity[1]]).seal(b"value") != b"value"
    assert keeper.unseal(Keeper(KEY, recipients=[age_identity[1]]).seal(b"value")) == b"value"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"AGE-SECRET-KEY-1{CANARY.upper()}\n", "not an age identity file"),
        (f"{CANARY}\n", "not an age identity file"),
        (f"AGE-PLUGIN-YUBIKEY-1{CANARY.upper()}\n", "not an age identity file"),
        (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n-----END OPENSSH PRIVATE KEY-----\n", "not an age identity"),
        ("# nothing\n", "not an age identity file"),
        ("", "not an age identity file"),
        (f"age-encryption.org/v1\n{CANARY}", "protected by a passphrase"),
        (f"-----BEGIN AGE ENCRYPTED FILE-----\n{CANARY}\n", "protected by a passphrase"),
    ],
)
def test_invalid_identity_files(folder: Path, tmp_path: Path, content: str, message: str) -> None:
    """The message names the file and shows no content. No file is written."""
    file = tmp_path / "me.txt"
    file.write_text(content)
    file.chmod(0o600)

    with pytest.raises(SecretsError, match=rf"me\.txt is .*{message}") as caught:
        open_keeper(folder, mode=SecretsMode.ENCRYPT, identities=[file], create=True)

    assert CANARY not in printable_text(caught.value)
    assert CANARY.upper() not in printable_text(caught.value)
    assert not folder.exists()


def test_a_missing_identity_file(folder: Path, tmp_path: Path) -> None:
    """A named identity file must exist."""
    with pytest.raises(SecretsError, match=r"there is no identity file .*absent\.txt"):
        open_keeper(folder, mode=SecretsMode.ENCRYPT, identities=[tmp_path / "absent.txt"], create=True)


@pytest.mark.parametrize(
    "recipient",
    ["age1nonsense", "age1yubikey1qwertyuiop", "ssh-ed25519 AAAA", "ssh-dss AAAA me", "ecdsa-sha2-nistp256 AAAA"],
)
def test_an_invalid_recipient_is_named(folder: Path, recipient: str) -> None:
    """The message shows the public key. No file is written."""
    with pytest.raises(SecretsError, match="is not a recipient") as caught:
        open_keeper(folder, mode=SecretsMode.ENCRYPT, recipients=[recipient], create=True)

    assert repr(recipient) in caught.value.message
    assert not folder.exists()


@pytest.mark.parametrize(
    "mistaken", [f"AGE-SECRET-KEY-1{CANARY.upper()}", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}", CANARY, ""]
)
def test_a_private_key_as_recipient_is_not_shown(folder: Path, age_identity: tuple[Path, str], mistaken: str) -> None:
    """If the text does not start like a public key, the message names the number of the recipient only."""
    with pytest.raises(SecretsError, match="number 2 of the recipients is not a recipient") as caught:
        open_keeper(folder, mode=SecretsMode.ENCRYPT, recipients=[age_identity[1], mistaken], create=True)

    assert CANARY.upper() not in printable_text(caught.value).upper()


def test_a_recipient_of_two_lines_is_refused(folder: Path, ssh_key: Callable[[str], Path]) -> None:
    """Recipients are stored in gitsnap.yaml, so a recipient must be a single line."""
    public = ssh_key("").with_suffix(".pub").read_text().strip()

    with pytest.raises(SecretsError, match="number 1"):
        open_keeper(folder, mode=SecretsMode.ENCRYPT, recipients=[f"{public}\nanything"], create=True)


def test_the_program_age_decrypts_ciphertexts(folder: Path) -> None:
    """Ciphertexts are ordinary age files, so the values can be decrypted without gitsnap."""
    program = shutil.which("age")
    if program is None:
        pytest.skip("age is not installed")
    keeper = opened(folder, create=True)

    done = subprocess.run(
        [program, "-d", "-i", folder / "identity.txt"], input=keeper.seal(b"value"), check=True, capture_output=True
    )

    assert done.stdout == b"value"


# Sealing --------------------------------------------------------------------------------------------------------------


def test_ciphertexts_contain_no_plaintext(folder: Path) -> None:
    """A ciphertext does not contain the value, and two ciphertexts of a value differ."""
    keeper = opened(folder, create=True)

    first, second = keeper.seal(CANARY.encode()), keeper.seal(CANARY.encode())

    assert first.startswith(b"age-encryption.org/v1\n")
    assert CANARY.encode() not in first
    assert first != second


def test_the_wrong_identity_is_refused(folder: Path, age_identity: tuple[Path, str]) -> None:
    """The message names identities and recipients, without terms of cryptography."""
    keeper = opened(folder, create=True)

    with pytest.raises(SecretsError, match="cannot be read with the identities at hand") as caught:
        keeper.unseal(Keeper(KEY, recipients=[age_identity[1]]).seal(CANARY.encode()))

    assert "--identity" in caught.value.hint


def damaged(sealed: bytes) -> Iterator[bytes]:
    """Damaged variants of a ciphertext: a changed byte at each position, a truncated end, and appended bytes."""
    for position in range(0, len(sealed), 3):
        yield sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        yield sealed[:position]
    yield sealed + b"x"


def test_damaged_files_are_refused(folder: Path) -> None:
    """Damage never results in another plaintext or another type of error."""
    keeper = opened(folder, create=True)

    for ciphertext in damaged(keeper.seal(CANARY.encode())):
        with pytest.raises(SecretsError) as caught:
            keeper.unseal(ciphertext)
        assert CANARY not in printable_text(caught.value)


def test_a_failed_encryption_reveals_no_value(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the library fails, neither the error nor its causes contain the value."""
    keeper = opened(folder, create=True)

    def fail(plaintext: bytes, _: object) -> bytes:
        raise pyrage.EncryptError(plaintext.decode())

    monkeypatch.setattr(pyrage, "encrypt", fail)

    with pytest.raises(SecretsError, match="could not be encrypted") as caught:
        keeper.seal(CANARY.encode())

    assert CANARY not in printable_text(caught.value)


def test_no_key_is_shown_or_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the representations nor the logs of objects with keys contain a key."""
    caplog.set_level(logging.DEBUG)
    keeper = opened(folder, create=True)
    private = (folder / "identity.txt").read_text().splitlines()[2]
    identity = Identity(private, "age1x")

    shown = f"{keeper!r} {keeper} {identity!r} {identity} {caplog.text}"

    assert private not in shown
    assert keeper.fingerprint_key.hex() not in shown
    assert repr(keeper.fingerprint_key) not in shown
