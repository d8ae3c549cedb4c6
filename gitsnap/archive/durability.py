"""Makes names durable: a power loss takes neither a file's name nor a ref, nor the folders that were made for it.

This module must not know what a file or a ref stands for.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pygit2


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_ref(repository: pygit2.Repository, name: str, target: str, *, force: bool = False) -> None:
    """Make a ref, or with ``force`` move it, for good. Raises what pygit2 raises, and OSError.

    libgit2 makes the ref durable, but not the folders that it makes for it.
    """
    refs = Path(repository.path) / "refs"
    above = (Path(repository.path) / name).parent
    is_new = not above.is_dir()
    repository.references.create(name, pygit2.Oid(hex=target), force=force)
    while is_new and above != refs:
        above = above.parent
        with contextlib.suppress(FileNotFoundError):  # git pack-refs keeps the ref, and takes its folder away
            sync_folder(above)
