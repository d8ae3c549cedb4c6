"""The patches of profiles: which of them changed between two sides, and which resources they select.

Sveltos applies them after it parsed a document, so a resource changes with a patch while its document stays the same.
This module must not apply patches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gitsnap.core.json_paths import values_at
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.diff.sides import Side
from gitsnap.diff.source_documents import texts_of
from gitsnap.format import encode
from gitsnap.sveltos.documents import load
from gitsnap.sveltos.reference_paths import ADD_ONS_AT
from gitsnap.sveltos.references import Reference

_LONGEST = 500
_MOST_CHOICES = 3
_REPEATED = re.compile(r"[*+?{]")
_REPEATED_GROUP = re.compile(r"\)[*+?{]")


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch, and where it stands."""

    source: ObjectKey
    """The profile, or the ConfigMap or Secret that holds it."""
    text: bytes
    """The whole of it, to compare."""
    target: tuple[tuple[str, str], ...]
    """Fields of its ``target``; none select everything."""

    def selects(self, key: ObjectKey) -> bool:
        """Whether it may apply to a resource; what labels and annotations select cannot be known."""
        fields = {"group": key.kind.group, "kind": key.kind.name, "namespace": key.namespace, "name": key.name}
        return all(_matches(pattern, fields[field]) for field, pattern in self.target)


def changed_patches(sides: Iterable[tuple[Side, JsonObject | None, list[Reference]]]) -> tuple[Patch, ...]:
    """The patches that only one of two sides has, of a profile and with its references for one cluster."""
    before, after = (frozenset(_patches(*side)) for side in sides)
    return tuple(sorted(before ^ after, key=lambda patch: (patch.source, patch.text)))


def _patches(side: Side, profile: JsonObject | None, references: Iterable[Reference]) -> Iterator[Patch]:
    if profile is None:
        return
    place = ADD_ONS_AT.get(Kind.of(profile))
    for entry in values_at(profile, f"{place}.patches[]"):
        yield _patch(ObjectKey.of(profile), entry)
    for reference in references:
        document = side.get(reference.target) if reference.path == f"{place}.patchesFrom[]" else None
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
    wanted = tuple((field, str(fields[field])) for field in ("group", "kind", "namespace", "name") if fields.get(field))
    return Patch(source, encode(entry if isinstance(entry, dict) else {"text": entry}), wanted)


def _matches(pattern: str, value: str) -> bool:
    """Patterns are regular expressions of the whole value; one that is not evaluated here may select anything.

    Sveltos evaluates them in linear time. Python tries all ways to match: only what has few of them is evaluated.
    """
    choices = len(_REPEATED.findall(pattern)) + (pattern.count("(") if "|" in pattern else 0)
    if len(pattern) > _LONGEST or choices > _MOST_CHOICES or _REPEATED_GROUP.search(pattern):
        return True
    try:
        return re.fullmatch(pattern, value) is not None
    except (re.error, OverflowError, RecursionError):
        return True
