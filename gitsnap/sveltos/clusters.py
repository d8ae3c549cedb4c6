"""The view that templates have of a managed cluster: the archived part of its object, and marks for the other fields.

A capture and a diff must render the same names. Both therefore evaluate templates on this view and not on the live
object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gitsnap.core.model import JsonObject
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.templates import UNKNOWN

ClusterObjects = Callable[[ClusterRef], JsonObject | None]
"""Returns the object of a managed cluster, made by ``template_view``; None if the object is not known."""

_NOT_ARCHIVED = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "managedFields", "selfLink", "ownerReferences", "finalizers",
)  # fmt: skip
_ANNOTATIONS_NOT_ARCHIVED = ("kubectl.kubernetes.io/last-applied-configuration",)


def no_objects(_cluster: ClusterRef) -> JsonObject | None:
    """ClusterObjects for callers that know only the names of clusters."""
    return None


def template_view(document: JsonObject, *, more_labels: Mapping[str, str] | None = None) -> JsonObject:
    """The value of ``.Cluster`` in templates. Fields of the cluster's object that are not archived are UNKNOWN.

    ``more_labels`` are the labels that an archive contains in its inventory and not in the object.
    """
    metadata = document.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), **dict.fromkeys(_ANNOTATIONS_NOT_ARCHIVED, UNKNOWN)}
    return {
        "apiVersion": document.get("apiVersion"),
        "kind": document.get("kind"),
        "metadata": {
            **dict.fromkeys(_NOT_ARCHIVED, UNKNOWN),
            "name": metadata.get("name"),
            "namespace": metadata.get("namespace"),
            "labels": {**(metadata.get("labels") or {}), **(more_labels or {})},
            "annotations": annotations,
        },
        "spec": document.get("spec") or {},
        "status": UNKNOWN,
    }
