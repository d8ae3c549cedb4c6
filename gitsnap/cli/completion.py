"""What a shell offers behind Tab: policies, samples, kinds and names, read from the archive that the line names.

A line that is still being written may name no archive, or a wrong one: then nothing is offered. Nothing is asked over
a network. This module must not print.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gitsnap.core.errors import GitsnapError

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.model import ObjectKey

_MOST = 100
"""More than this nobody reads: objects are offered up to their next slash then, samples beginning with the newest."""


def policies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Policies that the storage has an archive of."""
    found: list[str] = []
    with contextlib.suppress(GitsnapError):
        from gitsnap.archive import list_archives

        names = [one.policy for one in list_archives(Path(ctx.params.get("storage") or ""), problems=[])]
        found = [name for name in names if name.startswith(incomplete)]
    return found


def samples(ctx: typer.Context, incomplete: str) -> list[str]:
    """Samples by the end of their tags, which has no colon for a shell to break the word at; as `list` has it, too."""
    found: list[str] = []
    with contextlib.suppress(GitsnapError):
        archive = _archive(ctx)
        listed = reversed(archive.samples()) if archive is not None else ()
        names = (name for one in listed for name in (one.tag.rpartition("/")[2], one.moment))
        fitting = (name for name in names if name.startswith(incomplete) and ("Z" in name or ":" in incomplete))
        found = [name for name in ("latest",) if name.startswith(incomplete)] + list(islice(fitting, _MOST))
    return found


def objects(ctx: typer.Context, incomplete: str) -> list[str]:
    """Objects of the sample, ``KIND/NAMESPACE/NAME`` or ``KIND/NAME``; only kinds or namespaces where they are many."""
    names = {"/".join(part for part in (key.kind.name, key.namespace, key.name) if part) for key in _keys(ctx)}
    found = sorted(name for name in names if name.startswith(incomplete) and name.isprintable())
    if len(found) <= _MOST:
        return found
    return sorted({_up_to_next_slash(name, len(incomplete)) for name in found})[:_MOST]


def names_of(kind: str) -> Callable[[typer.Context, str], list[str]]:
    """What offers the names of one kind, with the namespace before them where there is one."""

    def names(ctx: typer.Context, incomplete: str) -> list[str]:
        found = {"/".join(filter(None, (key.namespace, key.name))) for key in _keys(ctx) if key.kind.name == kind}
        return sorted(name for name in found if name.startswith(incomplete) and name.isprintable())[:_MOST]

    return names


def _up_to_next_slash(name: str, start: int) -> str:
    return name[: name.find("/", start) + 1] or name


def _keys(ctx: typer.Context) -> Iterator[ObjectKey]:
    """Of the objects in the sample that the line names, else in the newest."""
    from gitsnap.core.model import Area
    from gitsnap.format import key_of
    from gitsnap.history import samples

    with contextlib.suppress(GitsnapError):
        archive = _archive(ctx)
        if archive is not None:
            sample = samples.find_sample(archive.samples(), ctx.params.get("sample") or "latest")
            yield from filter(None, map(key_of, archive.tree(sample).files(Area.CONFIGURATION)))


def _archive(ctx: typer.Context) -> GitArchive | None:
    """The archive that the line means so far; None for one that is behind a URL."""
    from gitsnap.cli.resolve import ArchiveChoice

    given: dict[str, Any] = ctx.params  # words as they stand in the line, or already what they mean
    path = given.get("archive") or ""
    choice = ArchiveChoice(
        given.get("snapshot") or "", Path(given.get("storage") or ""), path if isinstance(path, str) else path[0]
    )
    return None if choice.is_remote else choice.open()
