"""Types of fields: the first field of another type than its kind expects is named."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.sveltos.field_types import type_problem
from gitsnap.sveltos.reference_paths import REFERENCE_PATHS

_PROFILE = "config.projectsveltos.io/v1beta1"


def _object(api_version: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, **fields}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (_object(_PROFILE, "ClusterProfile", spec="x"), "spec is not a mapping"),
        (_object(_PROFILE, "ClusterProfile", spec=[1]), "spec is not a mapping"),
        (_object(_PROFILE, "ClusterProfile", status=7), "status is not a mapping"),
        (_object(_PROFILE, "ClusterProfile", spec={"policyRefs": {}}), "spec.policyRefs is not a list"),
        (_object(_PROFILE, "ClusterProfile", spec={"policyRefs": [{}, 7]}), "spec.policyRefs[1] is not a mapping"),
        (
            _object(_PROFILE, "ClusterProfile", spec={"helmCharts": [{"valuesFrom": "x"}]}),
            "spec.helmCharts[0].valuesFrom is not a list",
        ),
        (
            _object(_PROFILE, "ClusterProfile", status={"matchingClusters": [1]}),
            "status.matchingClusters[0] is not a mapping",
        ),
        (_object("v1", "ConfigMap", data=[]), "data is not a mapping"),
        (_object("v1", "Secret", data={"password": 7}), "data.* is not a string"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 7}}, "metadata.name is not a string"),
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": "x"}},
            "metadata.labels is not a mapping",
        ),
        ({"apiVersion": "v1", "kind": "Widget", "metadata": 7}, "metadata is not a mapping"),
    ],
)
def test_the_field_is_named(document: dict[str, Any], problem: str) -> None:
    """The message has the path of the field and no value."""
    assert type_problem(document) == problem


@pytest.mark.parametrize(
    "document",
    [
        _object(_PROFILE, "ClusterProfile"),
        _object(_PROFILE, "ClusterProfile", spec=None, status=None),
        _object(_PROFILE, "ClusterProfile", spec={"clusterSelector": "env=fv", "policyRefs": None, "unknown": 7}),
        _object("v1", "ConfigMap", data={"a": "b"}, binaryData=None),
        _object("example.com/v1", "Widget", spec=[7], status="x", data=7),
    ],
)
def test_objects_without_a_problem(document: dict[str, Any]) -> None:
    """Absent fields, selectors in the form of old versions, and kinds that gitsnap does not know."""
    assert type_problem(document) == ""


def test_every_reference_is_checked() -> None:
    """A string in place of the first field of any reference path is reported."""
    for kind, rows in REFERENCE_PATHS.items():
        for row in rows:
            first, _, rest = row.path.partition(".")
            if rest and kind.name != "Deployment":
                assert (
                    type_problem(_object(f"{kind.group}/v1", kind.name, **{first: "text"}))
                    == f"{first} is not a mapping"
                )
