"""Reads annotated tag objects from their bytes.

Everybody who may push can plant a tag. libgit2 decodes the name and the message of a tag as UTF-8 and fails on other
bytes, so one planted tag would stop every command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from gitsnap.archive.completeness import hint_for_missing_objects
from gitsnap.archive.object_reader import is_object_id, read_object
from gitsnap.core.errors import ArchiveError
from gitsnap.git.process import run_git

_TAG_OF_COMMIT = re.compile(rb"object ([0-9a-f]{40})\ntype commit\ntag ([^\n]*)\n(?:tagger [^\n]*\n)?\n")
"""The header of an annotated tag of a commit as git writes it, up to the message."""


class ForeignTagError(ArchiveError):
    """A tag that gitsnap did not make. It has no sequence number."""


class DamagedTagError(ArchiveError):
    """A tag whose object is missing or damaged. It may be the tag of a sample."""


@dataclass(frozen=True, slots=True)
class TagObject:
    """An annotated tag of a commit."""

    commit: str
    """The id of the commit that the tag points at."""
    name: str
    """The name in the tag object. A ref of another name may point at the object."""
    message: str
    """Bytes that are not UTF-8 are lone surrogates."""


def read_tag(repository: pygit2.Repository, name: str, target: str) -> TagObject:
    """Read the tag object with the id ``target``. ``name``: of the tag. Raises DamagedTagError, ForeignTagError."""
    try:
        kind, content = read_object(repository, target, f"the tag {name}")
    except ArchiveError:
        raise DamagedTagError(
            f"the tag {name} points at an object that is missing or damaged", hint=hint_for_missing_objects(repository)
        ) from None
    if kind != ObjectType.TAG:
        raise ForeignTagError(
            f"the tag {name} is not an annotated tag, so gitsnap did not make it",
            hint="Delete it with `git tag --delete`, or keep it under another prefix.",
        )
    return _parsed(content, name)


def _parsed(content: bytes, name: str) -> TagObject:
    match = _TAG_OF_COMMIT.match(content)
    commit, tag, message = (*match.groups(), content[match.end() :]) if match else _parse_other(content, name)
    return TagObject(
        commit.decode(), tag.decode("utf-8", "surrogateescape"), message.decode("utf-8", "surrogateescape")
    )


def _parse_other(content: bytes, name: str) -> tuple[bytes, bytes, bytes]:
    """The commit, the name and the message of a tag with an unusual header. Raises ForeignTagError."""
    header, _, message = content.partition(b"\n\n")
    fields = dict(line.partition(b" ")[::2] for line in reversed(header.split(b"\n")))
    commit, kind = fields.get(b"object", b""), fields.get(b"type", b"")
    if kind != b"commit" or not is_object_id(commit.decode("ascii", "replace")):
        target = kind.decode("ascii", "replace") or "nothing"
        raise ForeignTagError(f"the tag {name} points at a {target}, not at a commit: gitsnap did not make it")
    return commit, fields.get(b"tag", b""), message


def tag_objects(repository: pygit2.Repository) -> Iterator[tuple[str, TagObject]]:
    """Yield id and content of every tag object in the archive, whether or not a ref names it.

    Tags that cannot be read are left out. This lists all objects of the repository, so it is slow.
    """
    listed = run_git(Path(repository.path), "cat-file", "--batch-all-objects", "--batch-check", "--unordered").stdout
    for line in listed.splitlines():
        target, kind, _ = f"{line}  ".split(" ", 2)
        if kind == "tag":
            try:
                yield target, read_tag(repository, target, target)
            except ArchiveError:
                continue
