"""``gitsnap demo``: the guestbook walk-through, which ``gitsnap.demo`` implements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="New or empty folder, which is kept.")] = Path(
        "gitsnap-demo"
    ),
) -> None:
    """Walk through capture, diff and rollback on a small cluster.

    The cluster is a folder of YAML files. The demo takes some seconds.

    Example: gitsnap demo /tmp/gitsnap-demo
    """
    from gitsnap.archive import find_enclosing
    from gitsnap.core.errors import StorageError
    from gitsnap.demo import play

    if (archive := find_enclosing(folder)) is not None:
        raise StorageError(f"{folder} is inside the archive {archive}", hint="Name a new folder: gitsnap demo DIR")
    play(folder)
