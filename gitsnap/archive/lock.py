"""One writer at a time: a lock that the kernel drops when its holder dies, and the locks that a dead git left behind.

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
_SETTLED_SECONDS = 2.0
"""A leftover lock file younger than this may belong to a git that is just running."""


@contextlib.contextmanager
def writers_lock(git_folder: Path, *, patience: float = PATIENCE_SECONDS) -> Iterator[int]:
    """Hold the archive's lock, by the descriptor that is given: a child that inherits it holds the lock as well.

    Raises ConflictError, naming the holder, when it is not free within ``patience``.
    """
    path = git_folder / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"cannot write in the archive {git_folder.parent}: {error.strerror}") from error
    try:
        _acquire(descriptor, git_folder, patience)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
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
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise ConflictError(
                    f"another process (pid {holder}) is writing to the archive {git_folder.parent}",
                    hint="Wait for it to finish and try again.",
                ) from None
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise StorageError(
                f"the file system of {git_folder.parent} does not support file locks ({error.strerror})",
                hint="Use a local file system or NFS version 4.",
            ) from error
        else:
            return


def clear_stale_locks(git_folder: Path, branch: str) -> None:
    """Remove lock files of the branch, its tags, gitsnap's own refs and the index that no live process holds.

    Only to be called under the writer's lock. A git that was killed leaves them, and they make every retry fail.
    """
    candidates = [git_folder / "index.lock", git_folder / "packed-refs.lock", git_folder / "HEAD.lock"]
    candidates.append(git_folder / "refs" / "heads" / f"{branch}.lock")
    candidates += _locks_below(git_folder / "refs" / "tags" / branch)
    candidates += _locks_below(git_folder / "refs" / "gitsnap")
    stale = [path for path in candidates if _settled(path)]
    if stale:
        held = _open_files()
        for path in stale:
            if str(path.resolve()) not in held:
                path.unlink(missing_ok=True)


def _locks_below(folder: Path) -> Iterator[Path]:
    """Lock files in a folder of refs. ``git pack-refs`` may take folders away meanwhile, which os.walk passes over."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.endswith(".lock"))


def _settled(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > _SETTLED_SECONDS
    return False


def _open_files() -> set[str]:
    """Files that processes have open, as far as /proc shows them; a system without /proc relies on the age alone."""
    files: set[str] = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            files.add(str(link.readlink()))
    return files
