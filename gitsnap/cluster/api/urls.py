"""Where things are below an API server (Kubernetes API concepts, resource URIs).

This module must not send requests.
"""

from __future__ import annotations

from urllib.parse import quote

from gitsnap.core.errors import RejectedError
from gitsnap.core.model import ObjectKey, ResourceType


def list_path(resource: ResourceType, namespace: str) -> str:
    """The path of a kind's objects, of all namespaces where ``namespace`` is empty."""
    group = resource.kind.group
    root = f"/apis/{group}/{resource.version}" if group else f"/api/{resource.version}"
    place = f"/namespaces/{_step(namespace)}" if namespace else ""
    return f"{root}{place}/{resource.plural}"


def object_path(resource: ResourceType, key: ObjectKey) -> str:
    """The path of one object. Raises RejectedError for what can be no name."""
    return f"{list_path(resource, key.namespace)}/{_step(key.name)}"


def _step(name: str) -> str:
    """A name as one step of a URL's path; dots would be taken for the folder above, which is another object."""
    if name in (".", ".."):
        raise RejectedError(f"an object cannot be named {name!r}")
    return quote(name, safe="")
