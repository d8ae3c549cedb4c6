"""The patches of profiles: which of them changed between two trees, and which resources they select.

Sveltos applies a patch to a parsed document, so a resource can change although its document stays the same.
This module must not apply patches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gitsnap.core.json_paths import values_at
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.format import encode
from gitsnap.sveltos.documents import load
from gitsnap.sveltos.reference_paths import ADD_ONS_AT
from gitsnap.sveltos.references import Reference
from gitsnap.sveltos.source_documents import texts_of
from gitsnap.sveltos.tree_view import TreeView

_LONGEST_PATTERN = 500
_MOST_CHOICES = 3
_REPEATED = re.compile(r"[*+?{]")
_REPEATED_GROUP = re.compile(r"\)[*+?{]")


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch, and the object that contains it."""

    source: ObjectKey
    """The profile, or a ConfigMap or Secret in its ``patchesFrom``."""
    text: bytes
    """The whole entry, for comparison."""
    target: tuple[tuple[str, str], ...]
    """Fields of its ``target`` and their patterns. A patch without any selects every resource."""

    def selects(self, key: ObjectKey) -> bool:
        """Return whether the patch may apply to a resource. Selectors for labels and annotations are not evaluated."""
        fields = {"group": key.kind.group, "kind": key.kind.name, "namespace": key.namespace, "name": key.name}
        return all(_may_match(pattern, fields[field]) for field, pattern in self.target)


def changed_patches(sides: Iterable[tuple[TreeView, JsonObject | None, list[Reference]]]) -> tuple[Patch, ...]:
    """Return the patches of a profile that only one side has. ``sides``: tree, profile, references for one cluster."""
    before, after = (frozenset(_patches(*side)) for side in sides)
    return tuple(sorted(before ^ after, key=lambda patch: (patch.source, patch.text)))


def _patches(side: TreeView, profile: JsonObject | None, references: Iterable[Reference]) -> Iterator[Patch]:
    if profile is None:
        return
    prefix = ADD_ONS_AT.get(Kind.of(profile))
    for entry in values_at(profile, f"{prefix}.patches[]"):
        yield _patch(ObjectKey.of(profile), entry)
    for reference in references:
        document = side.get(reference.target) if reference.path == f"{prefix}.patchesFrom[]" else None
        if document is None:
            continue
        texts = texts_of(document, local=False)
        if texts is None:
            yield Patch(reference.target, encode(document.get("data") or {}), ())
            continue
        for text in texts:
            yield _patch(reference.target, load(text.content) or text.content)


def _patch(source: ObjectKey, entry: Any) -> Patch:
    target = entry.get("target") if isinstance(entry, dict) else None
    fields = target if isinstance(target, dict) else {}
    names = ("group", "kind", "namespace", "name")
    patterns = tuple((name, str(fields[name])) for name in names if fields.get(name))
    return Patch(source, encode(entry if isinstance(entry, dict) else {"text": entry}), patterns)


def _may_match(pattern: str, value: str) -> bool:
    """Return whether a regular expression matches a whole value. A pattern that is too costly here may match anything.

    Go matches in linear time. Python backtracks, so only patterns with few choices are evaluated.
    """
    choices = len(_REPEATED.findall(pattern)) + (pattern.count("(") if "|" in pattern else 0)
    if len(pattern) > _LONGEST_PATTERN or choices > _MOST_CHOICES or _REPEATED_GROUP.search(pattern):
        return True
    try:
        return re.fullmatch(pattern, value) is not None
    except (re.error, OverflowError, RecursionError):
        return True
