"""Checks that a response has the form that the Kubernetes API promises.

A proxy or a broken aggregated API server may send anything. Messages name the field, never its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitsnap.cluster.api.responses import Request
from gitsnap.core.errors import ClusterError
from gitsnap.core.model import JsonObject

_HINT = "Is this a Kubernetes API server? A proxy in front of it may change its responses."

_TEXTS = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_MAPPINGS = ("labels", "annotations")
_LISTS = {"finalizers": str, "ownerReferences": dict, "managedFields": dict}


def bad_answer(request: Request, problem: str) -> ClusterError:
    """The error for an invalid response; ``problem`` names the invalid part."""
    return ClusterError(f"{request.server}: cannot {request.action}: {problem}", hint=_HINT)


def mapping(value: Any, request: Request, path: str) -> Mapping[str, Any]:
    """The mapping at a path of a response, empty for null. Raises ClusterError for any other value."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_answer(request, f"{path} of the answer is not a mapping")
    return value


def mappings(value: Any, request: Request, path: str) -> Sequence[JsonObject]:
    """The list of mappings at a path of a response, empty for null. Raises ClusterError for any other value."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise bad_answer(request, f"{path} of the answer is not a list of mappings")
    return value


def text(value: Any, request: Request, path: str) -> str:
    """The non-empty string at a path of a response. Raises ClusterError for any other value."""
    if not isinstance(value, str) or not value:
        raise bad_answer(request, f"{path} of the answer is not a string")
    return value


def api_object(answer: JsonObject, request: Request) -> JsonObject:
    """The response, if it is an object with a name. Raises ClusterError."""
    problem = _problem(answer)
    if problem:
        raise bad_answer(request, f"the answer is not an object: {problem}")
    return answer


def check_items(items: Sequence[Any], request: Request) -> None:
    """Check the items of a list. Raises ClusterError for an item that is not an object."""
    for position, item in enumerate(items):
        problem = _problem(item) if isinstance(item, dict) else "it is not a mapping"
        if problem:
            raise bad_answer(request, f"items[{position}] of the answer is not an object: {problem}")


def _problem(item: JsonObject) -> str:
    """The first problem of an object's metadata, ``""`` where there is none."""
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        return "it has no metadata"
    if not metadata.get("name"):
        return "it has no metadata.name"
    for field in _TEXTS:
        if not isinstance(metadata.get(field, ""), str) and metadata[field] is not None:
            return f"metadata.{field} is not a string"
    for field in _MAPPINGS:
        value = metadata.get(field)
        is_valid = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        if value is not None and not is_valid:
            return f"metadata.{field} is not a mapping of strings"
    for field, entry_type in _LISTS.items():
        value = metadata.get(field)
        is_valid = isinstance(value, list) and all(isinstance(item, entry_type) for item in value)
        if value is not None and not is_valid:
            return f"metadata.{field} is not a list of the expected type"
    return ""
