"""The annotation that pauses a profile, and gitsnap's use of the annotation during a rollback.

A paused profile keeps its matching clusters, even if its selector or the labels of the clusters change. Changes to the
content of its references are deployed nevertheless (seen on addon-controller 1.14; docs/SVELTOS.md).
"""

from __future__ import annotations

from gitsnap.core.model import JsonObject, Kind
from gitsnap.sveltos import kinds

PAUSED_ANNOTATION = "profile.projectsveltos.io/paused"
"""The annotation pauses a profile with any value."""

HELD = "gitsnap-rollback"
"""The value that marks a pause by gitsnap. A pause with another value belongs to a user and stays."""


def is_paused(document: JsonObject) -> bool:
    """Whether an object is a paused profile."""
    return Kind.of(document) in kinds.PROFILE_KINDS and PAUSED_ANNOTATION in _annotations(document)


def is_held(document: JsonObject) -> bool:
    """Whether an object is a profile that a rollback has paused. A rollback that was killed leaves its pause behind."""
    return Kind.of(document) in kinds.PROFILE_KINDS and _annotations(document).get(PAUSED_ANNOTATION) == HELD


def without_hold(document: JsonObject) -> JsonObject:
    """The object without gitsnap's pause: a sample may have been taken during a rollback."""
    if not is_held(document):
        return document
    metadata = dict(document["metadata"])
    annotations = {key: value for key, value in metadata.pop("annotations").items() if key != PAUSED_ANNOTATION}
    return {**document, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def hold_patch(live: JsonObject) -> JsonObject:
    """A merge patch that pauses a profile. The live uid and resource version are its preconditions."""
    return _patch(live, HELD)


def release_patch(live: JsonObject) -> JsonObject:
    """A merge patch that removes the pause. The live uid and resource version are its preconditions."""
    return _patch(live, None)


def _patch(live: JsonObject, value: str | None) -> JsonObject:
    metadata: JsonObject = {field: live["metadata"][field] for field in ("uid", "resourceVersion")}
    return {"metadata": {**metadata, "annotations": {PAUSED_ANNOTATION: value}}}


def _annotations(document: JsonObject) -> JsonObject:
    return (document.get("metadata") or {}).get("annotations") or {}
