"""Files and folders on disk: atomic and durable writes, private key files, and temporary folders.

A temporary folder exists for one command. Its owner holds a lock on the folder, and the kernel frees the lock when the
owner dies, so a later process recognises the folder of a killed process. This module must not depend on the
content of the files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gitsnap.core.errors import SecretsError, StorageError

_LARGEST_KEY_FILE = 1 << 20
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_TEMPORARY = "gitsnap-tmp."
"""Prefix of the names of temporary folders."""

_LONGEST_STEM = 200
"""Bytes of a file's name that the name of its temporary file repeats: Linux allows 255 bytes in a name."""

_DESCRIPTORS = frozenset(map(Path, ("/dev", "/dev/fd", "/proc/self/fd")))
"""Folders whose names stand for devices and descriptors, such as ``/dev/stdout``, also if these are ordinary files."""

_held: dict[Path, int] = {}
"""The temporary folders of this process -> the descriptor that holds the lock."""


# Atomic and durable writes --------------------------------------------------------------------------------------------


def replace_file(
    file: Path,
    content: bytes,
    *,
    mode: int = 0o600,
    keep_mode: bool = False,
    temporary: Path | None = None,
    durable: bool = False,
) -> None:
    """Write a file atomically: readers see the old content or the new content, never a part of it.

    The content goes to a temporary file, which is renamed to ``file`` when it is complete. Neither name is followed
    where it is a symbolic link. When the write fails, ``file`` is unchanged and the temporary file is removed.

    Args:
        file: The file to create or to replace. Its folder must exist.
        content: The whole new content.
        mode: Permission bits, less the umask.
        keep_mode: Whether an existing file keeps its permission bits instead.
        temporary: Path of the temporary file, on the same file system. Only one process may use it at a time, and a
            file that a killed process left there is replaced. By default a hidden file with a random name in the folder
            of ``file``.
        durable: Whether the content is synced before the rename, and the folder after it. After a power failure a
            durable file has its old or its new content; once this function has returned, the new content. Without
            ``durable`` the file may be empty after a power failure: use it only for files that can be made again.

    Raises:
        OSError: The file could not be written, or not be made durable.
    """
    if temporary is None:
        temporary = _temporary_name(file)
    try:
        kept_mode = _permission_bits(file) if keep_mode else None
        with create_file(temporary, mode=mode) as target:
            if kept_mode is not None:
                os.fchmod(target.fileno(), kept_mode)
            target.write(content)
            if durable:
                sync_file(target)
        temporary.replace(file)
    except BaseException:  # also Ctrl-C: no temporary file is left behind
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_folder(file.parent)


def write_output(file: Path, content: bytes, *, keep_mode: bool = False) -> None:
    """Write the content to a file that a user named. An ordinary file is replaced atomically. Raises OSError.

    A device, a pipe or a descriptor is opened and written, because the superuser could replace ``/dev/null`` or
    ``/dev/stdout`` by an ordinary file. ``keep_mode``: as for ``replace_file``.
    """
    if file.is_dir() or not _is_special(file):
        replace_file(file, content, keep_mode=keep_mode)
        return
    with file.open("wb") as target:
        target.write(content)


def _is_special(file: Path) -> bool:
    """Whether a file exists and is not an ordinary file, or its name stands for a descriptor."""
    return file.exists() and (file.absolute().parent in _DESCRIPTORS or not file.is_file())


def create_file(file: Path, *, mode: int = 0o600) -> BinaryIO:
    """Create a file, open for writing and reading. A file or symbolic link that has the name is removed first.

    ``mode``: permission bits, less the umask. Raises OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(file, flags, mode)
    except FileExistsError:
        file.unlink(missing_ok=True)
        descriptor = os.open(file, flags, mode)
    return os.fdopen(descriptor, "w+b")


def sync_file(file: BinaryIO) -> None:
    """Make the content that was written to an open file durable. Its name is durable after ``sync_folder``.

    Raises OSError.
    """
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: files that were created, renamed or removed there.

    Does nothing on file systems that cannot sync a folder. Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): the file system does not support syncing this kind of file
            raise
    finally:
        os.close(descriptor)


def why_not_writable(folder: Path) -> str:
    """``is not writable for this user`` or ``is on a read-only file system``; ``""`` for a writable folder."""
    if os.access(folder, os.W_OK):
        return ""
    with suppress(OSError):
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return "is on a read-only file system"
    return "is not writable for this user"


def _temporary_name(file: Path) -> Path:
    """A hidden name with a random suffix in the folder of a file."""
    stem = os.fsdecode(os.fsencode(file.name)[:_LONGEST_STEM])
    return file.with_name(f".{stem}.{os.urandom(8).hex()}")


def _permission_bits(file: Path) -> int | None:
    """The permission bits of a file; None where there is no file."""
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        return None


# Private key files ----------------------------------------------------------------------------------------------------


def check_keys_folder(folder: Path) -> None:
    """Raise SecretsError where every user may replace the keys in a folder. A missing folder is accepted."""
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


def read_private_text(file: Path) -> str | None:
    """Read a text file that other users cannot read.

    Returns None where there is no file. Raises SecretsError where the file cannot be read, is open to other users, is
    larger than 1 MiB, or is not UTF-8.
    """
    problem = "it is not a text file"
    try:
        with file.open("rb") as source:
            _check_private(file, os.fstat(source.fileno()))
            content = source.read(_LARGEST_KEY_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretsError(f"cannot read {file}: {error.strerror}") from None
    if len(content) > _LARGEST_KEY_FILE:
        problem = "it is too large for a key"
    else:
        with suppress(UnicodeDecodeError):
            return content.decode()
    raise SecretsError(f"cannot read {file}: {problem}")


def _check_private(file: Path, status: os.stat_result) -> None:
    """Raise SecretsError where other users can read a key file.

    As for ssh, the group may read a file that another user owns: Kubernetes mounts a Secret like this for the fsGroup
    of a pod.
    """
    too_open = stat.S_IRWXO | (stat.S_IRWXG if status.st_uid == os.geteuid() else 0)
    if stat.S_ISREG(status.st_mode) and status.st_mode & too_open:
        raise SecretsError(
            f"{file} is a private key that others can read (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod 600 {file}",
        )


def create_private(file: Path, text: str) -> bool:
    """Create a file that only its owner can read. An existing file is never replaced.

    The file is complete and durable before it gets its name. Its folder, and the folder above, are made with mode 0700
    where they are missing. Returns False where a file has the name already. Raises StorageError.
    """
    temporary = _temporary_name(file)
    try:
        for folder in (file.parent.parent, file.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        try:
            with create_file(temporary) as target:
                target.write(text.encode())
                sync_file(target)
            created = _link_new(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
        for folder in (file.parent, file.parent.parent, file.parent.parent.parent):
            sync_folder(folder)
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror}") from None
    return created


def rename_private(file: Path, target: Path) -> None:
    """Rename a file durably; replace the file that has the name ``target``. Raises StorageError."""
    try:
        file.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from None


def _link_new(temporary: Path, file: Path) -> bool:
    """Give a complete file its name; False where another file has the name.

    On a file system without hard links another process may create ``file`` between the check and the rename.
    """
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


# Temporary folders ----------------------------------------------------------------------------------------------------


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that only this user can read, and remove it at the end of the context. Raises StorageError."""
    folder = _make_temporary_folder()
    try:
        yield folder
    finally:
        _discard(folder)


def write_temporary(file: Path, content: bytes, *, mode: int = 0o600) -> Path:
    """Write a new file in a temporary folder, and return its path.

    Fails where a file or a symbolic link has the name. ``mode``: permission bits, less the umask. Raises StorageError.
    """
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


def lock_descriptor(folder: Path) -> int:
    """The descriptor that holds the lock on a temporary folder.

    A child process that inherits the descriptor keeps the folder from being removed as abandoned, even when this
    process dies first.
    """
    return _held[folder]


def discard_temporary_folders() -> None:
    """Remove all temporary folders of this process: for an exit that runs no ``finally`` blocks."""
    for folder in list(_held):
        _discard(folder)


def remove_abandoned_folders() -> None:
    """Remove the temporary folders of this user whose owner is dead. A folder that cannot be removed stays."""
    with suppress(OSError), os.scandir(_temporary_root()) as entries:
        for entry in entries:
            if entry.name.startswith(_TEMPORARY) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _clear_if_abandoned(Path(entry.path))


def _clear_if_abandoned(folder: Path) -> None:
    """Remove a folder of this user that no process has locked. Raises BlockingIOError for a locked folder, OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _make_temporary_folder() -> Path:
    """Make and lock a temporary folder. Another process may remove the folder before it is locked: then try again."""
    root = _temporary_root()
    try:
        while True:
            folder = Path(root, f"{_TEMPORARY}{os.urandom(8).hex()}")
            folder.mkdir(mode=0o700)
            with suppress(FileNotFoundError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                with suppress(OSError):  # no locks: no process can find an abandoned folder there either
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if folder.exists():
                    _held[folder] = descriptor
                    return folder
                os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"cannot make a temporary folder in {root}: {error.strerror}",
            hint="Name a folder that this user can write to with TMPDIR.",
        ) from None


def _temporary_root() -> str:
    """The folder for temporary folders: ``TMPDIR``, or /tmp or /var/tmp where ``TMPDIR`` cannot be written."""
    roots = [os.environ.get("TMPDIR") or "/tmp", "/tmp", "/var/tmp"]  # noqa: S108 - the folders in it have mode 0700 and random names
    return next((root for root in roots if os.access(root, os.W_OK | os.X_OK)), roots[0])


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    descriptor = _held.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)
