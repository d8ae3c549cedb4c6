"""Two versions of an object for a text: archives as their files, marks in place of hidden values.

The marks of a field are equal if and only if its values are equal, so that a diff shows which values change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject, Kind, SensitiveField
from gitsnap.core.objects import same_json
from gitsnap.format import masking
from gitsnap.format.fingerprint import is_fingerprint
from gitsnap.sveltos import embedded_secrets, kinds, kustomize_archives

MASK = "(not shown)"
MASK_BEFORE = "(not shown, before)"
MASK_AFTER = "(not shown, after)"
_MARKS = MASK_BEFORE, MASK_AFTER

Versions = tuple[JsonObject | None, JsonObject | None]
"""An object before and after; None on the side that lacks it."""


def shown_versions(before: JsonObject | None, after: JsonObject | None, *, shows_manifests: bool = False) -> Versions:
    """Return both versions with marks in place of the values of a Secret, except fingerprints.

    The values of Secret manifests in other objects have marks too, unless ``shows_manifests``. A Kustomize archive in a
    ConfigMap is shown as its files.
    """
    if Kind.of(before or after or {}) != kinds.SECRET:
        versions = _with_archive_files(before, after)
        return versions if shows_manifests else without_embedded_values(*versions)
    old, new = ((side or {}).get("data") or {} for side in (before, after))
    return _mask_values(before, old, new, MASK_BEFORE), _mask_values(after, new, old, MASK_AFTER)


def _with_archive_files(before: JsonObject | None, after: JsonObject | None) -> Versions:
    """Return both versions of an object; a Kustomize archive in a ConfigMap is replaced by its files."""
    if Kind.of(before or after or {}) != kinds.CONFIG_MAP:
        return before, after
    old_files, new_files = (side and kustomize_archives.with_files(side) for side in (before, after))
    # If only the packing differs, the files are equal and the archives themselves are shown.
    return (before, after) if same_json(old_files, new_files) else (old_files, new_files)


def without_embedded_values(before: Any, after: Any) -> tuple[Any, Any]:
    """Return two versions of an object or a text with marks in place of the values of Secret manifests in them.

    Texts that differ have versions that differ, also if only a comment in a manifest changed.
    """
    sides = before, after
    if all(isinstance(side, dict) and not embedded_secrets.is_manifest(side) for side in sides):
        pairs = {name: without_embedded_values(before.get(name), after.get(name)) for name in {**before, **after}}
        return {name: pairs[name][0] for name in before}, {name: pairs[name][1] for name in after}
    values: tuple[dict[embedded_secrets.Steps, Any], ...] = ({}, {})
    for side, by_steps in zip(sides, values, strict=True):
        embedded_secrets.replace_values(side, by_steps.setdefault)
    if not any(values):
        return before, after
    shown = [
        embedded_secrets.replace_values(side, _Marks(values[1 - number], _MARKS[number]))
        for number, side in enumerate(sides)
    ]
    if isinstance(before, str) and isinstance(after, str) and same_json(*shown) and not same_json(before, after):
        shown = [_with_note(text, mark) for text, mark in zip(shown, _MARKS, strict=True)]
    return shown[0], shown[1]


def _with_note(text: str, mark: str) -> str:
    return text.removesuffix("\n") + f"\n# comments and format: {mark}\n"


@dataclass(frozen=True, slots=True)
class _Marks:
    """Returns the mark in place of a value, which differs from MASK if the ``other`` side has another value."""

    other: Mapping[embedded_secrets.Steps, Any]
    mark: str

    def __call__(self, steps: embedded_secrets.Steps, value: Any) -> str:
        return MASK if steps not in self.other or same_json(self.other[steps], value) else self.mark


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
