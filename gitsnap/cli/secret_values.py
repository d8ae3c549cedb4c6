"""Hidden values in a comparison of ``gitsnap diff``: decrypted on request, or compared across two archives.

This module must not compare objects; ``gitsnap.diff`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gitsnap.core.errors import SecretsError
from gitsnap.diff.comparability import CANNOT_TELL, find_comparability
from gitsnap.diff.raw_diff import RawDiff, object_texts, raw_diffs
from gitsnap.diff.rows import Comparison, object_title
from gitsnap.diff.shown_objects import MASK, MASK_AFTER, MASK_BEFORE
from gitsnap.format import fingerprint

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree
    from gitsnap.history.decryption import KeyedTree
    from gitsnap.sveltos.filters import Filters

_FINGERPRINT = re.compile(rf"{re.escape(fingerprint.PREFIX)}[0-9a-f]+")


class KeyedSide(Protocol):
    """One side of a comparison."""

    @property
    def tree(self) -> Tree:
        """The tree of the side."""

    @property
    def label(self) -> str:
        """The side in the headings of a raw diff."""

    def with_keys(self, identities: list[Path]) -> KeyedTree:
        """Return the tree and its keys. Raises SecretsError."""


def comparable_trees(
    before: KeyedSide, after: KeyedSide, identities: list[Path]
) -> tuple[tuple[Tree, Tree] | None, str]:
    """Return the trees of two archives with fingerprints by one key; None if the trees stay as they are.

    The text says why Secrets cannot be compared, or how to compare them; ``""`` if they can be compared. Raises
    SecretsError, NotFoundError, ArchiveError.
    """
    from gitsnap.history.common_key import with_common_key

    entries = find_comparability(before.tree, after.tree).entries
    if not any(entry.reason == CANNOT_TELL for entry in entries):
        return None, ""
    if not identities:
        return None, "Secrets of two archives can be compared with the keys of both: --identity"
    try:
        keyed = before.with_keys(identities), after.with_keys(identities)
    except SecretsError as error:
        return None, f"Secrets cannot be compared: {error.message}"
    trees = with_common_key(*keyed)
    return trees, "" if trees else "Secrets cannot be compared: the identities decrypt the values of neither archive"


def without_fingerprints(diffs: Iterable[RawDiff]) -> Iterator[RawDiff]:
    """Yield raw diffs with marks in place of fingerprints. A fingerprint by another archive's key must not be shown."""
    for diff in diffs:
        lines = diff.text.split("\n")
        yield RawDiff(diff.title, "\n".join([*lines[:2], *map(_without_fingerprints, lines[2:])]))


def _without_fingerprints(line: str) -> str:
    return _FINGERPRINT.sub({"-": MASK_BEFORE, "+": MASK_AFTER}.get(line[:1], MASK), line)


def decrypted_diffs(
    before: KeyedSide, after: KeyedSide, filters: Filters, identities: list[Path]
) -> Mapping[str, RawDiff]:
    """Return the raw diffs of objects with hidden values, with these values, by their titles."""
    from gitsnap.history.decryption import revealed_changes

    changes = revealed_changes(before.with_keys(identities), after.with_keys(identities), filters)
    pairs = (object_texts(object_title(key), *versions) for key, *versions in changes)
    return {diff.title: diff for diff in raw_diffs(pairs, before.label, after.label)}


def with_values_compared(comparison: Comparison) -> Comparison:
    """Return the comparison without its note that hidden values could not be compared. The decrypted values were."""
    remaining = tuple(entry for entry in comparison.not_comparable if entry.reason != CANNOT_TELL)
    return replace(comparison, not_comparable=remaining)
