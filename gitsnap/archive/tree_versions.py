"""Compares two versions of a tree object by their bytes. Only the entries that differ are parsed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import sub
from typing import NamedTuple, TypeVar

from gitsnap.archive.tree_objects import ENTRY, FOLDER_MODES, REGULAR_MODES, RawEntry, has_forbidden_name

_Value = TypeVar("_Value")

_FIRST_STEP = 256
"""Bytes compared at first. The number doubles while the bytes are equal."""


class Edit(NamedTuple):
    """A difference between two versions: one entry was changed, added or removed."""

    start: int
    """Position in the former version, from 0."""
    end: int
    """The former entries from ``start`` to ``end`` are replaced: one entry, or none for a new entry."""
    key: bytes
    """Of the new entry (``entry_key``); ``b""`` for a removed entry."""
    child: bytes = b""
    """The 20 bytes of the object id."""
    length: int = 0
    """Bytes of the new entry."""


@dataclass(frozen=True, slots=True)
class TreeVersion:
    """A version of a tree object. Its entries are in git's order, and are ordinary files and folders."""

    content: bytes
    keys: list[bytes]
    """The key of each entry (``entry_key``)."""
    starts: list[int]
    """The offset of each entry in ``content``, and the length of ``content`` at the end."""

    def edits(self, content: bytes) -> list[Edit] | None:
        """The differences of the next version, in order. ``content``: of a tree object.

        None for a version that is to be parsed as a whole: it is damaged or unusual, or most entries differ.
        """
        edits: list[Edit] = []
        position, offset, last = 0, 0, b""  # the next former entry, where it is expected, and the key before
        most = len(self.keys) // 4 + 4
        while len(edits) <= most:
            start = self.starts[position]
            same = _equal_bytes(self.content, start, content, offset)
            unchanged = bisect_right(self.starts, start + same, position) - 1
            if unchanged > position:
                offset += self.starts[unchanged] - start
                position, last = unchanged, self.keys[unchanged - 1]
            if offset == len(content):
                edits += [Edit(gone, gone + 1, b"") for gone in range(position, len(self.keys))]
                return edits if self._has_unique_names(edits) else None
            entry = ENTRY.match(content, offset)
            if entry is None or entry[1] not in REGULAR_MODES or has_forbidden_name(entry[2]):
                return None
            key = entry_key(entry.groups())
            if key <= last:
                return None
            former = self.keys[position] if position < len(self.keys) else None
            if former is not None and former < key:
                edits.append(Edit(position, position + 1, b""))
                position += 1
                continue
            end = position + (former == key)
            edits.append(Edit(position, end, key, entry[3], entry.end() - offset))
            position, offset, last = end, entry.end(), key
        return None

    def _has_unique_names(self, edits: Sequence[Edit]) -> bool:
        """Whether no file has the name of a folder after some edits. The order of the keys excludes other doubles."""
        added = [edit.key for edit in edits if edit.key and edit.start == edit.end]
        if not added:
            return True
        keys = edited(self.keys, edits, [edit.key for edit in edits])
        for key in added:
            other = key[:-1] if key.endswith(b"/") else key + b"/"
            position = bisect_left(keys, other)
            if position < len(keys) and keys[position] == other:
                return False
        return True

    def edit(self, content: bytes, edits: Sequence[Edit]) -> TreeVersion:
        """The next version. ``edits``: its differences."""
        if all(self._keeps_size(edit) for edit in edits):
            return TreeVersion(content, self.keys, self.starts)
        lengths = map(sub, self.starts[1:], self.starts)
        return TreeVersion(
            content,
            edited(self.keys, edits, [edit.key for edit in edits]),
            list(accumulate(edited(list(lengths), edits, [edit.length for edit in edits]), initial=0)),
        )

    def _keeps_size(self, edit: Edit) -> bool:
        """Whether the edit changes no more than the object id of an entry."""
        start, end = self.starts[edit.start : edit.start + 2] if edit.start < edit.end else (0, 0)
        return edit.length == end - start and edit.key == self.keys[edit.start]


def tree_version(content: bytes, entries: Sequence[RawEntry]) -> TreeVersion | None:
    """The version with some entries; None if they are not in git's order, or not all ordinary files and folders."""
    keys = list(map(entry_key, entries))
    if any(mode not in REGULAR_MODES for mode, _, _ in entries) or keys != sorted(keys):
        return None
    lengths = (len(mode) + len(name) + 22 for mode, name, _ in entries)  # a space, a zero byte, the object id
    return TreeVersion(content, keys, list(accumulate(lengths, initial=0)))


def entry_key(entry: Iterable[bytes]) -> bytes:
    """The name of an entry, with a slash after the name of a folder. git sorts entries by these keys.

    The order of the keys is also the byte order of all paths below. ``entry``: as ``RawEntry``.
    """
    mode, name, _ = entry
    return name + b"/" if mode in FOLDER_MODES else name


def edited(values: Sequence[_Value], edits: Sequence[Edit], new: Sequence[_Value]) -> list[_Value]:
    """The values of the entries of the next version.

    ``values``: those of the former version. ``new``: a value for each edit, unused for a removed entry.
    """
    result: list[_Value] = []
    position = 0
    for edit, value in zip(edits, new, strict=True):
        result += values[position : edit.start]
        if edit.key:
            result.append(value)
        position = edit.end
    result += values[position:]
    return result


def _equal_bytes(first: bytes, start: int, second: bytes, offset: int) -> int:
    """The number of equal bytes at the beginning of ``first[start:]`` and ``second[offset:]``."""
    most = min(len(first) - start, len(second) - offset)
    equal, step = 0, _FIRST_STEP
    while equal < most:
        end = min(equal + step, most)
        if first[start + equal : start + end] != second[offset + equal : offset + end]:
            break
        equal, step = end, step * 2
    else:
        return most
    while end - equal > 1:  # the first difference is between `equal` and `end`
        middle = (equal + end) // 2
        if first[start + equal : start + middle] == second[offset + equal : offset + middle]:
            equal = middle
        else:
            end = middle
    return equal
