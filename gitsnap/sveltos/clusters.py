"""What templates see of a managed cluster: as much of its object as an archive keeps, and marks for the rest.

A capture and a diff must render the same names, so both look at the same fields. This module must not read objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gitsnap.core.model import JsonObject
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.templates import UNKNOWN

ClusterObjects = Callable[[ClusterRef], JsonObject | None]
"""The object of a managed cluster, as ``template_view`` gives it; None where it is not known."""

_NOT_KEPT = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "managedFields", "selfLink", "ownerReferences", "finalizers",
)  # fmt: skip
_NOT_KEPT_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)


def no_objects(_cluster: ClusterRef) -> JsonObject | None:
    """For callers that know clusters by name only."""
    return None


def template_view(document: JsonObject, *, more_labels: Mapping[str, str] | None = None) -> JsonObject:
    """The object that ``.Cluster`` stands for. ``more_labels``: those that an archive keeps in its inventory."""
    metadata = document.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), **dict.fromkeys(_NOT_KEPT_ANNOTATIONS, UNKNOWN)}
    return {
        "apiVersion": document.get("apiVersion"),
        "kind": document.get("kind"),
        "metadata": {
            **dict.fromkeys(_NOT_KEPT, UNKNOWN),
            "name": metadata.get("name"),
            "namespace": metadata.get("namespace"),
            "labels": {**(metadata.get("labels") or {}), **(more_labels or {})},
            "annotations": annotations,
        },
        "spec": document.get("spec") or {},
        "status": UNKNOWN,
    }
