"""The types of the fields that gitsnap reads. Tells a malformed object from a defect of gitsnap.

Only types are checked. A message names the field and never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gitsnap.core.model import JsonObject, Kind
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import SELECTOR_PATHS, STATUS_FIELDS
from gitsnap.sveltos.reference_paths import REFERENCE_PATHS, Form

_MAPPING, _TEXT, _ANY, _ELEMENTS = "{}", "text", "", "[]"

_EVERY_KIND = (
    "metadata{}", "metadata.labels{}", "metadata.annotations{}", "metadata.ownerReferences[]{}",
    "metadata.managedFields[]{}", "metadata.name text", "metadata.namespace text",
    "metadata.labels.* text", "metadata.annotations.* text",
)  # fmt: skip
_CAPTURED = ("spec{}", "status{}")
_BY_KIND = {
    kinds.CONFIG_MAP: ("data{}", "binaryData{}", "data.* text", "binaryData.* text"),
    kinds.SECRET: ("data{}", "stringData{}", "data.* text", "stringData.* text"),
    kinds.CLUSTER_CONFIGURATION: tuple(
        path
        for field in ("clusterProfileResources", "profileResources")
        for path in (
            f"status.{field}[].Features[].resources[]{{}}",
            f"status.{field}[].Features[].charts[]{{}}",
        )
    ),
    kinds.CLUSTER_SUMMARY: (
        "spec.clusterProfileSpec{}", "status.featureSummaries[]{}", "status.helmReleaseSummaries[]{}",
    ),
    kinds.CLASSIFIER: ("spec.classifierLabels[]{}",),
    kinds.MANAGEMENT_CLUSTER_CLASSIFIER: ("spec.classifierLabels[]{}",),
    kinds.CAPI_CLUSTER: ("spec.topology{}", "spec.topology.variables[]{}"),
}  # fmt: skip
"""Paths as in ``reference_paths``: ``[]`` after a list, ``*`` for every value of a mapping. A path ends with the
expected type: ``{}`` for a mapping, ``text``, or nothing for any type."""

_STEP = re.compile(r"\.?([^.\[\]{} ]+)|(\[\])")


def type_problem(document: JsonObject) -> str:
    """A sentence about the first field of another type than its kind expects; ``""`` if every type is right."""
    kind = Kind.of(document)
    for path in _paths(kind):
        for problem in _problems(document, _steps(path), ""):
            return problem
    return ""


@lru_cache(maxsize=256)
def _paths(kind: Kind) -> tuple[str, ...]:
    paths = [*_EVERY_KIND]
    if kind in kinds.CAPTURED_KINDS:
        paths += [] if kind in kinds.REFERENCED_KINDS else _CAPTURED
        paths += _BY_KIND.get(kind, ())
    if kind in STATUS_FIELDS:
        paths.append(f"status.{STATUS_FIELDS[kind]}[]{{}}")
    # A selector itself may have any type: v1alpha1 has text, and a value that is not a selector matches no cluster.
    paths += [f"spec.{path.rpartition('.')[0]}{{}}" for path in SELECTOR_PATHS.get(kind, ()) if "." in path]
    for row in REFERENCE_PATHS.get(kind, ()):
        if row.form is not Form.FLAG:
            paths.append(f"{row.path}{_MAPPING if row.form is Form.OBJECT else _ANY}")
    return tuple(paths)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str, ...]:
    """The names of the fields along a path, ``[]`` for the elements of a list, and last the expected type."""
    fields, _, expected = path.partition(" ")
    is_mapping = fields.endswith(_MAPPING)
    steps = [match[1] or match[2] for match in _STEP.finditer(fields.removesuffix(_MAPPING))]
    return (*steps, _MAPPING if is_mapping else expected)


def _problems(value: Any, steps: tuple[str, ...], location: str) -> Iterator[str]:
    """A sentence for each value of another type along a path. Absent and null fields are no problem."""
    step, *rest = steps
    if value is None or step == _ANY:
        return
    expected, name = {_ELEMENTS: (list, "list"), _TEXT: (str, "string")}.get(step, (dict, "mapping"))
    if not isinstance(value, expected):
        yield f"{location or 'the object'} is not a {name}"
    elif step not in (_TEXT, _MAPPING):
        for inner_location, inner in _descend(value, step, location):
            yield from _problems(inner, tuple(rest), inner_location)


def _descend(value: Any, step: str, location: str) -> Iterator[tuple[str, Any]]:
    """The values one step below a value, each with its location."""
    if step == _ELEMENTS:
        yield from ((f"{location}[{position}]", item) for position, item in enumerate(value))
    elif step == "*":
        yield from ((f"{location}.*", item) for item in value.values())
    else:
        yield f"{location}.{step}" if location else step, value.get(step)
