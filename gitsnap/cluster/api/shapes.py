"""Whether an answer has the form that the Kubernetes API promises, before anything relies on it.

A proxy or a broken aggregated server may answer anything. Messages name the field, never its value.
This module must not send requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitsnap.cluster.api.responses import Request
from gitsnap.core.errors import ClusterError
from gitsnap.core.model import JsonObject

_HINT = "Is this a Kubernetes API server, and does nothing before it change its answers?"

_TEXTS = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_MAPPINGS = ("labels", "annotations")
_LISTS = {"finalizers": str, "ownerReferences": dict, "managedFields": dict}


def bad_answer(request: Request, problem: str) -> ClusterError:
    """The error for an answer that makes no sense; ``problem`` says which part of it."""
    return ClusterError(f"{request.server}: cannot {request.what}: {problem}", hint=_HINT)


def mapping(value: Any, request: Request, place: str) -> Mapping[str, Any]:
    """The mapping at a place of an answer, empty where there is none. Raises ClusterError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_answer(request, f"{place} of the answer is no mapping")
    return value


def mappings(value: Any, request: Request, place: str) -> Sequence[JsonObject]:
    """The list of mappings at a place of an answer, empty where there is none. Raises ClusterError."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise bad_answer(request, f"{place} of the answer is no list of mappings")
    return value


def text(value: Any, request: Request, place: str) -> str:
    """The text at a place of an answer, which must be there. Raises ClusterError."""
    if not isinstance(value, str) or not value:
        raise bad_answer(request, f"{place} of the answer is no text")
    return value


def api_object(answer: JsonObject, request: Request) -> JsonObject:
    """The answer, if it is an object with a name. Raises ClusterError."""
    problem = _problem(answer)
    if problem:
        raise bad_answer(request, f"the answer is no object: {problem}")
    return answer


def check_items(items: Sequence[Any], request: Request) -> None:
    """Raises ClusterError for an item of a list that is no object."""
    for position, item in enumerate(items):
        problem = _problem(item) if isinstance(item, dict) else "it is no mapping"
        if problem:
            raise bad_answer(request, f"items[{position}] of the answer is no object: {problem}")


def _problem(item: JsonObject) -> str:
    """What of an object's metadata is not as the API promises, ``""`` where all is."""
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        return "it has no metadata"
    if not metadata.get("name"):
        return "it has no metadata.name"
    for field in _TEXTS:
        if not isinstance(metadata.get(field, ""), str) and metadata[field] is not None:
            return f"metadata.{field} is no text"
    for field in _MAPPINGS:
        value = metadata.get(field)
        if value is not None and not (isinstance(value, dict) and all(isinstance(one, str) for one in value.values())):
            return f"metadata.{field} is no mapping of texts"
    for field, entry in _LISTS.items():
        value = metadata.get(field)
        if value is not None and not (isinstance(value, list) and all(isinstance(one, entry) for one in value)):
            return f"metadata.{field} is no list as the API has it"
    return ""
