"""Two versions of an object for a text: archives as their files, marks in place of hidden values.

The marks of a field are equal if and only if its values are equal, so that a diff shows which values change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from gitsnap.core.model import JsonObject, Kind, SensitiveField
from gitsnap.core.objects import same_json
from gitsnap.format import masking
from gitsnap.format.fingerprint import is_fingerprint
from gitsnap.sveltos import kinds, kustomize_archives

MASK = "(not shown)"
MASK_BEFORE = "(not shown, before)"
MASK_AFTER = "(not shown, after)"

Versions = tuple[JsonObject | None, JsonObject | None]
"""An object before and after; None on the side that lacks it."""


def shown_versions(before: JsonObject | None, after: JsonObject | None) -> Versions:
    """Return both versions with marks in place of the values of a Secret, except fingerprints.

    A Kustomize archive in a ConfigMap is shown as its files.
    """
    kind = Kind.of(before or after or {})
    if kind == kinds.CONFIG_MAP:
        old_files, new_files = (side and kustomize_archives.with_files(side) for side in (before, after))
        # If only the packing differs, the files are equal and the archives themselves are shown.
        return (before, after) if same_json(old_files, new_files) else (old_files, new_files)
    if kind != kinds.SECRET:
        return before, after
    old, new = ((side or {}).get("data") or {} for side in (before, after))
    return _mask_values(before, old, new, MASK_BEFORE), _mask_values(after, new, old, MASK_AFTER)


def _mask_values(
    secret: JsonObject | None, own: Mapping[str, Any], other: Mapping[str, Any], mark: str
) -> JsonObject | None:
    """Replace the values of a Secret, except fingerprints. Values that differ from the ``other`` side get ``mark``."""
    if secret is None or "data" not in secret:
        return secret
    data = {
        name: value if is_fingerprint(value) else MASK if name not in other or same_json(other[name], value) else mark
        for name, value in own.items()
    }
    return {**secret, "data": data}


def without_sensitive_values(
    before: JsonObject | None, after: JsonObject | None, fields: Iterable[SensitiveField]
) -> Versions:
    """Return both versions with marks in place of the values of sensitive fields."""
    # A field that contains another field is replaced first.
    fields = sorted(fields, key=lambda field: len(masking.steps_of(field.path)))
    old, new = (_texts_by_field(side, fields) for side in (before, after))
    shared = {steps: [text for text in old[steps] if text in new[steps]] for steps in old.keys() & new.keys()}
    marks = {
        (steps, text): MASK if len(texts) == 1 else f"(not shown, value {number})"
        for steps, texts in shared.items()
        for number, text in enumerate(texts, start=1)
    }

    def with_marks(document: JsonObject | None, mark: str) -> JsonObject | None:
        return document and masking.replace_sensitive_values(
            document, fields, lambda steps, value: marks.get((steps, _text(value)), mark)
        )

    return with_marks(before, MASK_BEFORE if after else MASK), with_marks(after, MASK_AFTER if before else MASK)


def _texts_by_field(
    document: JsonObject | None, fields: Iterable[SensitiveField]
) -> Mapping[tuple[str, ...], dict[str, None]]:
    """Return the distinct values of sensitive fields as JSON, by the steps that lead to them, in order."""
    texts: dict[tuple[str, ...], dict[str, None]] = {}
    for steps, value in masking.sensitive_values(document, fields) if document else ():
        texts.setdefault(steps, {})[_text(value)] = None
    return texts


def _text(value: Any) -> str:
    """Return a value as JSON. Texts are equal if and only if the values are equal (``same_json``)."""
    return json.dumps(value, sort_keys=True)
