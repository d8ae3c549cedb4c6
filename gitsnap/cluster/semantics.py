"""What an API server does to an object on its way in, as far as a folder of files can know it; pure functions.

Preconditions, fields that cannot change, ``stringData``, status as a subresource, JSON merge patch.
This module must not know where objects are kept.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from gitsnap.core.errors import ConflictError, RejectedError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json

_CONFIG_MAP = Kind("", "ConfigMap")
_SECRET = Kind("", "Secret")


def require_identity(key: ObjectKey, metadata: Mapping[str, Any]) -> None:
    """An update names the object that it replaces. Raises RejectedError: never overwrite what was not read."""
    for field in ("uid", "resourceVersion"):
        if not metadata.get(field):
            raise RejectedError(f"{key}: metadata.{field} must be given for an update")


def refuse_version(key: ObjectKey, metadata: Mapping[str, Any]) -> None:
    """A new object has no resource version yet. Raises RejectedError: the caller took it for one that exists."""
    if metadata.get("resourceVersion"):
        raise RejectedError(f"{key}: metadata.resourceVersion must not be set on an object to be created")


def check_preconditions(key: ObjectKey, live: JsonObject, wanted: Mapping[str, Any]) -> None:
    """Uid and resource version, where given, are those of the live object. Raises ConflictError."""
    metadata = live["metadata"]
    if wanted.get("uid") and not same_json(wanted["uid"], metadata["uid"]):
        raise ConflictError(f"{key} was deleted and created again meanwhile")
    if wanted.get("resourceVersion") and not same_json(wanted["resourceVersion"], metadata["resourceVersion"]):
        raise ConflictError(f"{key} was changed by somebody else meanwhile")


def check_unchangeable(key: ObjectKey, old: JsonObject, new: JsonObject) -> None:
    """Name, namespace, a Secret's type, everything in an immutable ConfigMap or Secret. Raises RejectedError."""
    if ObjectKey.of(new) != key:
        raise RejectedError(f"{key}: kind, name and namespace of an object cannot be changed")
    if key.kind == _SECRET and not same_json(old.get("type") or "Opaque", new.get("type") or "Opaque"):
        raise RejectedError(f"{key}: type: field is immutable")
    if key.kind in (_CONFIG_MAP, _SECRET) and old.get("immutable") is True:
        for field in ("data", "binaryData", "immutable"):
            if not same_json(old.get(field) or None, new.get(field) or None):
                raise RejectedError(f"{key}: {field}: field is immutable when `immutable` is set")


def with_status_of(old: JsonObject | None, new: JsonObject) -> JsonObject:
    """The new object with the status of the old one: where status is a subresource, ordinary writes leave it alone."""
    result = {name: value for name, value in new.items() if name != "status"}
    if old is not None and "status" in old:
        result["status"] = old["status"]
    return result


def with_string_data(document: JsonObject) -> JsonObject:
    """A Secret with its ``stringData`` merged into ``data``; any other object as it is. Raises RejectedError."""
    if Kind.of(document) != _SECRET or "stringData" not in document:
        return document
    text = document["stringData"] or {}
    data = document.get("data") or {}
    if not isinstance(text, dict) or not isinstance(data, dict) or not all(isinstance(v, str) for v in text.values()):
        raise RejectedError(f"{ObjectKey.of(document)}: stringData: only text values are possible")
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in text.items()}
    result = {name: value for name, value in document.items() if name != "stringData"}
    if data or encoded:
        result["data"] = {**data, **encoded}
    return result


def merge_patch(target: Any, patch: Any) -> Any:
    """The target after a JSON merge patch (RFC 7386); neither is changed."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def copy_json(value: Any) -> Any:
    """A deep copy of a JSON value, several times faster than ``copy.deepcopy``."""
    if isinstance(value, dict):
        return {name: copy_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [copy_json(item) for item in value]
    return value
