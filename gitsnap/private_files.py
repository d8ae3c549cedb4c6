"""Files that only their owner may read: keys and identities. Made at once and whole, never through a link.

This module must not know what is in them.
"""

from __future__ import annotations

import errno
import os
import secrets as random_source
import stat
from contextlib import suppress
from pathlib import Path

from gitsnap.errors import SecretsError, StorageError

_LARGEST_FILE = 1 << 20
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def check_folder(folder: Path) -> None:
    """Raises SecretsError where anybody could put another key in place of ours."""
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SecretsError(f"cannot read {folder}: {error.strerror}") from None
    if mode & stat.S_IWOTH:
        raise SecretsError(
            f"{folder} holds private keys, and everybody can write to it (mode {stat.S_IMODE(mode):04o})",
            hint=f"chmod 700 {folder}",
        )


def private_text(file: Path) -> str | None:
    """The text of a file that others cannot read, None where there is none. Raises SecretsError."""
    problem = "it is no text"
    try:
        with file.open("rb") as source:
            _check_private(file, os.fstat(source.fileno()))
            content = source.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretsError(f"cannot read {file}: {error.strerror}") from None
    if len(content) > _LARGEST_FILE:
        problem = "it is too large for a key"
    else:
        with suppress(UnicodeDecodeError):
            return content.decode()
    raise SecretsError(f"cannot read {file}: {problem}")


def _check_private(file: Path, facts: os.stat_result) -> None:
    """As ssh does, the group may read a file of another user: so Kubernetes mounts a Secret for a pod's fsGroup."""
    too_open = stat.S_IRWXO | (stat.S_IRWXG if facts.st_uid == os.geteuid() else 0)
    if stat.S_ISREG(facts.st_mode) and facts.st_mode & too_open:
        raise SecretsError(
            f"{file} is a private key that others can read (mode {stat.S_IMODE(facts.st_mode):04o})",
            hint=f"chmod 600 {file}",
        )


def create_private(file: Path, text: str) -> bool:
    """A new file that only its owner can read, whole and durable before it has its name, never in place of another.

    False where there is one already. Raises StorageError.
    """
    temporary = file.with_name(f".{file.name}.{random_source.token_hex(8)}")
    try:
        for folder in (file.parent.parent, file.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as target:
                target.write(text)
                target.flush()
                os.fsync(target.fileno())
            created = _publish(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
        for folder in (file.parent, file.parent.parent, file.parent.parent.parent):
            _sync_folder(folder)
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror}") from None
    return created


def add_private(file: Path, text: str) -> None:
    """A file that explains or marks a folder of private files, where it is not there yet. Raises StorageError.

    It is no key, so a loss of power may take it away: the next call makes it again.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        return
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror}") from None


def rename_private(file: Path, target: Path) -> None:
    """Give a file another name, in place of what has that name. Raises StorageError."""
    try:
        file.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from None


def _publish(temporary: Path, file: Path) -> bool:
    try:
        os.link(temporary, file)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if file.exists():
            return False
        temporary.rename(file)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot do this for a folder
            raise
    finally:
        os.close(descriptor)
