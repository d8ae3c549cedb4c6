"""Reads git's tree objects from their bytes."""

from __future__ import annotations

import re

import pygit2
from pygit2.enums import ObjectType

from gitsnap.archive.object_reader import read_object, unreadable_object

FOLDER_MODES = frozenset({b"40000", b"040000"})
LINK_MODE = b"160000"
REGULAR_MODES = frozenset({b"100644", *FOLDER_MODES})
"""The modes of the entries that gitsnap writes. Others are of symbolic links, submodules and executable files."""

ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
"""An entry in the bytes of a tree object: mode, name, 20 bytes of the object id."""

_TREE = re.compile(rb"(?:[0-7]+ [^\0]+\0.{20})*", re.DOTALL)
_FORBIDDEN = frozenset({b".", b"..", b".git"})

RawEntry = tuple[bytes, bytes, bytes]
"""Mode, name, and the 20 bytes of the object id."""


def read_tree_content(repository: pygit2.Repository, tree: str, prefix: str) -> bytes:
    """The bytes of the tree object with the id ``tree``. Raises ArchiveError where it is missing, damaged or no tree.

    ``prefix``: path of the folder, for messages.
    """
    subject = _subject(tree, prefix)
    kind, content = read_object(repository, tree, subject)
    if kind != ObjectType.TREE:
        raise unreadable_object(repository, subject)
    return content


def parse_tree(repository: pygit2.Repository, content: bytes, tree: str, prefix: str) -> list[RawEntry]:
    """The entries of a tree object, in their order. Arguments as for ``read_tree_content``.

    Raises ArchiveError for a tree that git would not write. Everybody who may push can plant a tree with the names
    ``..`` or ``.git``, with two entries of one name, or in another order. Such a tree could lead out of the archive, or
    two readers could see different files: git does not find a file that is not in its place.
    """
    entries: list[RawEntry] = ENTRY.findall(content) if _TREE.fullmatch(content) else []
    names = keys = [name for _, name, _ in entries]
    if b"40000 " in content:  # git sorts folders as if their names ended with a slash
        keys = [name + b"/" if mode in FOLDER_MODES else name for mode, name, _ in entries]
    is_damaged = (bool(content) and not entries) or keys != sorted(keys)
    if is_damaged or len(set(names)) < len(names) or has_forbidden_name(b"\0".join(names)):
        raise unreadable_object(repository, _subject(tree, prefix))
    return entries


def read_tree(repository: pygit2.Repository, tree: str, prefix: str) -> list[RawEntry]:
    """The entries of the tree object with the id ``tree``, in their order. Raises ArchiveError."""
    return parse_tree(repository, read_tree_content(repository, tree, prefix), tree, prefix)


def has_forbidden_name(names: bytes) -> bool:
    """Whether one of some names, separated by zero bytes, is a name that no entry of a tree may have."""
    return b"/" in names or (b"." in names and not _FORBIDDEN.isdisjoint(names.lower().split(b"\0")))


def _subject(tree: str, prefix: str) -> str:
    return f"the folder {prefix or '/'} ({tree})"
