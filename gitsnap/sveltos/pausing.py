"""The annotation that makes Sveltos leave a profile alone, and gitsnap's own use of it while a rollback is under way.

A paused profile keeps the clusters it matched, whatever becomes of its selector and of their labels; what its
references contain is deployed all the same. This module must not decide what is held.
"""

from __future__ import annotations

from gitsnap.core.model import JsonObject, Kind
from gitsnap.sveltos import kinds

PAUSED_ANNOTATION = "profile.projectsveltos.io/paused"
"""Its presence counts, not its value."""

HELD = "gitsnap-rollback"
"""The value that tells gitsnap's own pause from somebody else's."""


def paused(document: JsonObject) -> bool:
    """Whether Sveltos leaves this profile alone."""
    return Kind.of(document) in kinds.PROFILE_KINDS and PAUSED_ANNOTATION in _annotations(document)


def held(document: JsonObject) -> bool:
    """Whether a rollback holds this profile, or has left it so because it was killed."""
    return Kind.of(document) in kinds.PROFILE_KINDS and _annotations(document).get(PAUSED_ANNOTATION) == HELD


def without_hold(document: JsonObject) -> JsonObject:
    """The object as its owner wrote it: a sample may have been taken while a rollback held the profile."""
    if not held(document):
        return document
    metadata = dict(document["metadata"])
    annotations = {key: value for key, value in metadata.pop("annotations").items() if key != PAUSED_ANNOTATION}
    return {**document, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def hold_patch(live: JsonObject) -> JsonObject:
    """A merge patch that pauses a profile, with the live uid and resource version as preconditions."""
    return _patch(live, HELD)


def release_patch(live: JsonObject) -> JsonObject:
    """The inverse of ``hold_patch``."""
    return _patch(live, None)


def _patch(live: JsonObject, value: str | None) -> JsonObject:
    metadata: JsonObject = {field: live["metadata"][field] for field in ("uid", "resourceVersion")}
    return {"metadata": {**metadata, "annotations": {PAUSED_ANNOTATION: value}}}


def _annotations(document: JsonObject) -> JsonObject:
    return (document.get("metadata") or {}).get("annotations") or {}
