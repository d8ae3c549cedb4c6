"""Objects of a cluster: one value for an object, equality of JSON values, and the fields in which two values differ.

Python takes ``True`` for ``1`` and ``1`` for ``1.0``. The readers of an object do not: the API server, Helm, and the
archive, whose bytes differ. No other module compares JSON values with ``==`` (a test looks for such comparisons).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gitsnap.core.model import JsonObject, Kind, ObjectKey


@dataclass(frozen=True, slots=True, eq=False)
class KubeObject:
    """An object as the API server sends it, with the parts that most code reads.

    Nothing is copied or checked: the mappings belong to ``raw``, and a field of a malformed object may have any type.
    An absent or null mapping reads as an empty one. Two values are equal only if they are the same value
    (see ``same_json`` for their JSON).
    """

    key: ObjectKey
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]
    raw: JsonObject
    """The whole JSON object, with ``status``."""

    @classmethod
    def of(cls, raw: JsonObject) -> KubeObject:
        """The object of a JSON document; a missing name is ``""``."""
        metadata = raw.get("metadata") or {}
        key = ObjectKey(Kind.of(raw), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        return cls(key, metadata.get("labels") or {}, metadata.get("annotations") or {}, raw.get("spec") or {}, raw)

    @property
    def kind(self) -> Kind:
        """The kind of the object, without its API version."""
        return self.key.kind

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The whole ``metadata``."""
        return self.raw.get("metadata") or {}

    @property
    def status(self) -> Mapping[str, Any]:
        """What controllers report."""
        return self.raw.get("status") or {}

    @property
    def is_terminating(self) -> bool:
        """Whether the API server is deleting the object."""
        return bool(self.metadata.get("deletionTimestamp"))


class ObjectHead(NamedTuple):
    """The part of an object's metadata that tells whether the object has changed."""

    key: ObjectKey
    uid: str
    resource_version: str
    is_terminating: bool
    """Whether the API server is deleting the object."""
    position: int
    """The position of the object on its page, from 0."""


_KEY_BY_KEY = frozenset({"data", "binaryData", "metadata.labels", "metadata.annotations"})
"""Paths of mappings whose keys are listed one by one, even if only one side has the mapping."""


def same_json(first: Any, second: Any) -> bool:
    """Whether two JSON values have the same canonical bytes.

    Types count: ``true`` is not ``1``, ``1`` is not ``1.0``, ``0.0`` is not ``-0.0``. The order of keys does not count.
    """
    pending = [(first, second)]  # an explicit stack: values may be nested more deeply than Python's recursion limit
    while pending:
        left, right = pending.pop()
        if left is not right and not _same_level(left, right, pending):
            return False
    return True


def _same_level(left: Any, right: Any, pending: list[tuple[Any, Any]]) -> bool:
    """Compare two values without their children. The pairs of children are added to ``pending``."""
    kind = type(left)
    if kind is not type(right):
        return False
    if kind is dict:
        if left.keys() != right.keys():
            return False
        pending.extend((value, right[name]) for name, value in left.items() if right[name] is not value)
        return True
    if kind is list or kind is tuple:
        pending.extend(zip(left, right, strict=False))
        return len(left) == len(right)
    if kind is float:
        return repr(left) == repr(right)
    return bool(left == right)


def changed_fields(before: Any, after: Any) -> tuple[str, ...]:
    """The sorted paths of the fields that differ, such as ``spec.policyRefs[0].name`` or ``data.database.yaml``.

    A list whose length changed is one field: its elements have no identity. Paths hold no values, which may be secret.
    """
    return tuple(sorted(set(_changed(before, after, ""))))


def _changed(before: Any, after: Any, path: str) -> Iterator[str]:
    if before is after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            inner = f"{path}.{key}" if path else str(key)
            if key in before and key in after:
                yield from _changed(before[key], after[key], inner)
            else:
                yield from _one_sided(before.get(key, after.get(key)), inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changed(old, new, f"{path}[{index}]")
    elif not same_json(before, after):
        yield path


def _one_sided(value: Any, path: str) -> Iterator[str]:
    if path in _KEY_BY_KEY and isinstance(value, dict) and value:
        yield from (f"{path}.{key}" for key in value)
    else:
        yield path
