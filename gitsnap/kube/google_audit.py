"""Reads entries of Google's Cloud Audit Logs about a GKE cluster.

An entry lacks the groups and the extra fields of the user, the impersonated user, the query of the request, and the
time at which the request was received. Dry runs cannot be distinguished from writes. Both are returned as writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SERVICE = "k8s.io"
_UNCERTAIN = frozenset({2, 4, 13, 14})
"""Codes of google.rpc: unknown, deadline exceeded, internal, unavailable."""


@dataclass(frozen=True, slots=True)
class GoogleEntry:
    """A request to the API server of a GKE cluster."""

    username: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    subresource: str
    operation: str
    """Id of the request; its first and its last entry have the same id. ``""`` if unknown."""
    answered: bool
    """False for the first entry of a request that has another one."""
    succeeded: bool
    certain: bool
    """Whether the code tells for certain if the write succeeded."""


def read_google_entry(entry: Mapping[str, Any]) -> GoogleEntry | None:
    """Read a LogEntry with a ``protoPayload``. Returns None for another service of Google.

    Raises ValueError where the entry does not name a Kubernetes resource.
    """
    payload = _mapping(entry.get("protoPayload"))
    if payload.get("serviceName") != _SERVICE:
        return None
    operation = _mapping(entry.get("operation"))
    code: int = _mapping(payload.get("status")).get("code") or 0
    group, resource, namespace, name, subresource = _parse_path(str(payload.get("resourceName") or ""))
    return GoogleEntry(
        username=str(_mapping(payload.get("authenticationInfo")).get("principalEmail") or ""),
        verb=str(payload.get("methodName") or "").rpartition(".")[2].lower(),
        group=group,
        resource=resource,
        namespace=namespace,
        name=name,
        subresource=subresource,
        operation=str(operation.get("id") or ""),
        answered=bool(operation.get("last", True)),
        succeeded=code == 0,
        certain=code not in _UNCERTAIN,
    )


def _parse_path(path: str) -> tuple[str, str, str, str, str]:
    """Parse ``core/v1/namespaces/default/configmaps/database``. Returns group, resource, namespace, name, subresource.

    The path of a write of a whole collection has no name. Raises ValueError.
    """
    group, *rest = path.split("/")
    if len(rest) < 2 or not all(rest):
        raise ValueError("the resource name of the entry is not that of a Kubernetes resource")
    group = "" if group == "core" else group
    rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("finalize", "status"):
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = [*rest, "", ""][:3]
    return group, resource, namespace, name, subresource


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
