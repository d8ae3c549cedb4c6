"""The words that Tab offers: policies, samples, kinds and names, read from the archive of the unfinished command line.

Nothing is offered if the line names no archive or a wrong one. Completion uses no network and prints no message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gitsnap.cli.archive_location import ArchiveLocation
from gitsnap.core.errors import GitsnapError

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.model import ObjectKey

_MAX_OFFERED = 100
"""The largest number of words to offer. For more objects, only the part up to the next slash is offered."""


def complete_policy(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the policies of the archives in the storage folder."""
    with contextlib.suppress(GitsnapError):
        from gitsnap.archive import list_archives

        location = ArchiveLocation(storage=Path(ctx.params.get("storage") or ""))
        enclosing = location.enclosing()
        archives = list_archives(enclosing.parent if enclosing is not None else location.folder, problems=[])
        return [archive.policy for archive in archives if archive.policy.startswith(incomplete)]
    return []


def complete_sample(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer `latest` and the samples, newest first.

    A sample is offered by the last part of its tag, since bash splits a word at a colon. A word that has a colon
    already is completed with the date that `gitsnap list` prints.
    """
    with contextlib.suppress(GitsnapError):
        archive = _archive(ctx)
        samples = reversed(archive.samples()) if archive is not None else ()
        names = (name for sample in samples for name in (sample.tag.rpartition("/")[2], sample.moment))
        matching = (name for name in names if name.startswith(incomplete) and ("Z" in name or ":" in incomplete))
        return [*(name for name in ("latest",) if name.startswith(incomplete)), *islice(matching, _MAX_OFFERED)]
    return []


def complete_words(*, samples: int, objects: bool) -> Callable[[typer.Context, str], list[str]]:
    """Return a function that offers samples and objects for positional arguments.

    ``samples``: the number of samples that the command takes. After that number, only objects are offered.
    """

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        start, dots, rest = incomplete.rpartition("..") if samples == _BOTH_ENDS else ("", "", incomplete)
        earlier, offered = len(_named_samples(ctx)), list[str]()
        if earlier < samples:
            offered = [f"{start}{dots}{name}" for name in complete_sample(ctx, rest)]
            if samples == _BOTH_ENDS and (earlier or dots or rest) and "live".startswith(rest):
                offered.append(f"{start}{dots}live")
        return offered + (complete_object(ctx, incomplete) if objects else [])

    return complete


_BOTH_ENDS = 2
"""The number of samples of a range. Two dots may join them, and the newer one may be `live`."""


def _named_samples(ctx: typer.Context) -> list[str]:
    """Return the samples among the positional arguments before the incomplete word."""
    from gitsnap.history.samples import is_sample_name

    words = ctx.params.get("words") or ()
    return [word for word in words if is_sample_name(word)]


def complete_object(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the objects of the sample as ``KIND/NAMESPACE/NAME`` or ``KIND/NAME``.

    The kind is written as the incomplete word writes it: ``cm/``, or in lower case. If there are too many objects,
    kinds or namespaces are offered.
    """
    from gitsnap.sveltos.kind_names import is_name_of

    typed, slash, _ = incomplete.partition("/")

    def write(key: ObjectKey) -> str:
        name = key.kind.name if key.kind.name.startswith(typed) else key.kind.name.lower()
        return "/".join(part for part in (typed if slash else name, key.namespace, key.name) if part)

    names = {write(key) for key in _keys(ctx) if not slash or is_name_of(typed, key.kind)}
    matching = sorted(name for name in names if name.startswith(incomplete) and name.isprintable())
    if len(matching) <= _MAX_OFFERED:
        return matching
    return sorted({_up_to_next_slash(name, len(incomplete)) for name in matching})[:_MAX_OFFERED]


def complete_name(kind: str) -> Callable[[typer.Context, str], list[str]]:
    """Return a function that offers the objects of one kind as ``NAMESPACE/NAME`` or ``NAME``."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        names = {"/".join(filter(None, (key.namespace, key.name))) for key in _keys(ctx) if key.kind.name == kind}
        return sorted(name for name in names if name.startswith(incomplete) and name.isprintable())[:_MAX_OFFERED]

    return complete


def _up_to_next_slash(name: str, start: int) -> str:
    return name[: name.find("/", start) + 1] or name


def _keys(ctx: typer.Context) -> Iterator[ObjectKey]:
    """Yield the keys of the objects in the sample that the line names, or in the newest sample."""
    from gitsnap.core.model import Area
    from gitsnap.format import key_of
    from gitsnap.history import samples

    with contextlib.suppress(GitsnapError):
        archive = _archive(ctx)
        if archive is not None:
            name = ctx.params.get("sample") or next(iter(_named_samples(ctx)), "latest")
            sample = samples.find_sample(archive.samples(), name, now=datetime.now(UTC))
            yield from filter(None, map(key_of, archive.tree(sample).files(Area.CONFIGURATION)))


def _archive(ctx: typer.Context) -> GitArchive | None:
    """Return the archive that the line names so far, or None if it is at a URL."""
    params: dict[str, Any] = ctx.params  # the value of an option is a string, or has its type already
    archive = params.get("archive") or ""
    location = ArchiveLocation(
        snapshot=params.get("snapshot") or "",
        storage=Path(params.get("storage") or ""),
        archive=archive if isinstance(archive, str) else archive[0],
    )
    return None if location.is_remote else location.find()
