"""Paths of the Kubernetes API (Kubernetes API concepts, resource URIs)."""

from __future__ import annotations

from urllib.parse import quote

from gitsnap.core.errors import RejectedError
from gitsnap.core.model import ObjectKey, ResourceType


def list_path(resource: ResourceType, namespace: str) -> str:
    """The path of a kind's objects in one namespace, or in all namespaces where ``namespace`` is empty."""
    group = resource.kind.group
    root = f"/apis/{group}/{resource.version}" if group else f"/api/{resource.version}"
    scope = f"/namespaces/{_segment(namespace)}" if namespace else ""
    return f"{root}{scope}/{resource.plural}"


def object_path(resource: ResourceType, key: ObjectKey) -> str:
    """The path of one object. Raises RejectedError for a name that no object can have."""
    return f"{list_path(resource, key.namespace)}/{_segment(key.name)}"


def _segment(name: str) -> str:
    """A name as a segment of a path; ``.`` and ``..`` would lead to another object."""
    if name in (".", ".."):
        raise RejectedError(f"an object cannot be named {name!r}")
    return quote(name, safe="")
