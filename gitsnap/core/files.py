"""Files that only their owner may read: keys and identities. Made at once and whole, never through a link.

Folders for the time of one command are here as well. Their owner holds a lock on such a folder, which the kernel drops
when the owner dies: so a later process knows what a killed one left. This module must not know what is in the files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets as random_source
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gitsnap.core.errors import SecretsError, StorageError

_LARGEST_FILE = 1 << 20
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_TEMPORARY = "gitsnap-tmp."
"""How the names of temporary folders begin."""

_held: dict[Path, int] = {}
"""The temporary folders of this process -> the descriptor that holds the lock."""


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


def rename_private(file: Path, target: Path) -> None:
    """Give a file another name, in place of what has that name. Raises StorageError."""
    try:
        file.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder that only this user can read, and that is gone afterwards. Raises StorageError."""
    folder = _claimed_folder()
    try:
        yield folder
    finally:
        _discard(folder)


def write_temporary(file: Path, content: bytes, *, mode: int = 0o600) -> Path:
    """Write a new file in a temporary folder, never through a link or over another file. Raises StorageError."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as target:
            target.write(content)
    except OSError as error:
        raise StorageError(
            f"cannot write a temporary file in {file.parent.parent}: {error.strerror}",
            hint="Make room there, or name another folder with TMPDIR.",
        ) from None
    return file


def lock_of(folder: Path) -> int:
    """The descriptor that keeps a temporary folder from being taken for abandoned: for a child that may outlive us."""
    return _held[folder]


def discard_temporary_folders() -> None:
    """Remove all temporary folders of this process, for an end that runs no ``finally``."""
    for folder in list(_held):
        _discard(folder)


def clear_abandoned_folders() -> None:
    """Remove the temporary folders of this user whose owner is dead. What cannot be removed stays."""
    with suppress(OSError), os.scandir(_temporary_place()) as entries:
        for entry in entries:
            if entry.name.startswith(_TEMPORARY) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _clear_if_abandoned(Path(entry.path))


def _clear_if_abandoned(folder: Path) -> None:
    """Raises BlockingIOError where somebody holds the folder, OSError where it cannot be opened."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _claimed_folder() -> Path:
    """A new temporary folder with the lock on it. Between making and locking another process may take it away."""
    place = _temporary_place()
    try:
        while True:
            folder = Path(place, f"{_TEMPORARY}{random_source.token_hex(8)}")
            folder.mkdir(mode=0o700)
            with suppress(FileNotFoundError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                with suppress(OSError):  # a file system without locks: then nobody takes the folder for abandoned
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if folder.exists():
                    _held[folder] = descriptor
                    return folder
                os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"cannot make a temporary folder in {place}: {error.strerror}",
            hint="Name a folder that this user can write to with TMPDIR.",
        ) from None


def _temporary_place() -> str:
    """Where temporary folders are: ``TMPDIR``, or where that is no folder to write to, /tmp or /var/tmp."""
    places = [os.environ.get("TMPDIR") or "/tmp", "/tmp", "/var/tmp"]  # noqa: S108 - below it names by chance, mode 0700
    return next((place for place in places if os.access(place, os.W_OK | os.X_OK)), places[0])


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    descriptor = _held.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


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
