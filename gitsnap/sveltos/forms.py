"""Which types the fields have that gitsnap looks into: says whether an object or gitsnap is at fault.

Nothing of an object is judged but types, and no value is named. This module must not change or interpret objects.
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

_MAPPING, _TEXT, _ANY = "{}", "text", ""

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
        for listed in ("clusterProfileResources", "profileResources")
        for path in (
            f"status.{listed}[].Features[].resources[]{{}}",
            f"status.{listed}[].Features[].charts[]{{}}",
        )
    ),
    kinds.CLUSTER_SUMMARY: (
        "spec.clusterProfileSpec{}", "status.featureSummaries[]{}", "status.helmReleaseSummaries[]{}",
    ),
    kinds.CLASSIFIER: ("spec.classifierLabels[]{}",),
    kinds.MANAGEMENT_CLUSTER_CLASSIFIER: ("spec.classifierLabels[]{}",),
    kinds.CAPI_CLUSTER: ("spec.topology{}", "spec.topology.variables[]{}"),
}  # fmt: skip
"""Paths as in reference_paths: ``[]`` after a list, ``*`` for each value of a mapping; then what is expected."""

_STEP = re.compile(r"\.?([^.\[\]{} ]+)|(\[\])")


def problem_of(document: JsonObject) -> str:
    """The first field whose type is not that of its kind, in words; ``""`` where there is none."""
    kind = Kind.of(document)
    for path in _paths(kind):
        for problem in _problems(document, _steps(path), ""):
            return problem
    return ""


@lru_cache(maxsize=256)
def _paths(kind: Kind) -> tuple[str, ...]:
    found = [*_EVERY_KIND]
    if kind in kinds.CAPTURED_KINDS:
        found += [] if kind in kinds.REFERENCED_KINDS else _CAPTURED
        found += _BY_KIND.get(kind, ())
    if kind in STATUS_FIELDS:
        found.append(f"status.{STATUS_FIELDS[kind]}[]{{}}")
    # A selector may have any type: old versions have a text, and what is none matches nothing.
    found += [f"spec.{path.rpartition('.')[0]}{{}}" for path in SELECTOR_PATHS.get(kind, ()) if "." in path]
    ends = {Form.OBJECT: _MAPPING}
    for row in REFERENCE_PATHS.get(kind, ()):
        if row.form is not Form.FLAG:
            found.append(f"{row.path}{ends.get(row.form, _ANY)}")
    return tuple(found)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str, ...]:
    """Names of fields, ``[]`` for the elements of a list, and at the end what is expected."""
    place, _, expected = path.partition(" ")
    mapping = place.endswith(_MAPPING)
    steps = [match[1] or match[2] for match in _STEP.finditer(place.removesuffix(_MAPPING))]
    return (*steps, _MAPPING if mapping else expected)


def _problems(value: Any, steps: tuple[str, ...], place: str) -> Iterator[str]:
    """What along a path is of another type; absent fields are in order."""
    step, *rest = steps
    if value is None or step == _ANY:
        return
    wanted, what = {"[]": (list, "list"), _TEXT: (str, "text")}.get(step, (dict, "mapping"))
    if not isinstance(value, wanted):
        yield f"{place or 'the object'} is no {what}"
    elif step not in (_TEXT, _MAPPING):
        for at, item in _inner(value, step, place):
            yield from _problems(item, tuple(rest), at)


def _inner(value: Any, step: str, place: str) -> Iterator[tuple[str, Any]]:
    """The values that a step leads to, each with its place."""
    if step == "[]":
        yield from ((f"{place}[{position}]", item) for position, item in enumerate(value))
    elif step == "*":
        yield from ((f"{place}.*", item) for item in value.values())
    else:
        yield f"{place}.{step}" if place else step, value.get(step)
