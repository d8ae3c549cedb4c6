"""One writer at a time: a lock that the kernel drops when its holder dies.

This module must not write anything but the lock's own file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gitsnap.errors import ConflictError, StorageError

LOCK_NAME = "gitsnap.lock"
PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.1


@contextlib.contextmanager
def writers_lock(git_folder: Path, *, patience: float = PATIENCE_SECONDS) -> Iterator[int]:
    """Hold the archive's lock, by the descriptor that is given: a child that inherits it holds the lock as well.

    Raises ConflictError, naming the holder, when it is not free within ``patience``.
    """
    path = git_folder / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot write in the archive {git_folder.parent}: {error.strerror}",
            hint="Run gitsnap as the user whose archive it is, or mend the permissions.",
        ) from error
    try:
        _acquire(descriptor, git_folder, patience)
        with contextlib.suppress(OSError):  # who holds it is for people to read: the lock itself is the kernel's
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)  # the kernel lets go of the lock with it


def _acquire(descriptor: int, git_folder: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 300, 0).decode("ascii", "replace").strip() or "unknown"
                raise ConflictError(
                    f"another process (pid {holder}) is writing to the archive {git_folder.parent}",
                    hint="Try again when it is done. Should it hang, end it: its lock goes, and nothing is lost.",
                ) from None
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise StorageError(
                f"the file system of {git_folder.parent} does not support file locks ({error.strerror})",
                hint="Use a local file system or NFS version 4.",
            ) from error
        else:
            return
