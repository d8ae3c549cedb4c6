"""``gitsnap demo``: the guestbook story on an embedded cluster.

This module must not know the story; ``gitsnap.demo`` tells it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="A new or empty folder.")] = Path("gitsnap-demo"),
) -> None:
    """Walk through capture, diff and rollback on a small cluster.

    The cluster is embedded; it takes seconds.

    Example: gitsnap demo /tmp/gitsnap-demo
    """
    from gitsnap.demo import play

    play(folder)
