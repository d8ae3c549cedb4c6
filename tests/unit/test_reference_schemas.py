"""Every field of the published CRDs that may name an object has a row in the table, or a reason here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.model import Kind
from gitsnap.format import iterate_documents, load_documents
from gitsnap.sveltos.kinds import CLUSTER_KINDS, DEPLOYMENT, USER_KINDS
from gitsnap.sveltos.reference_paths import REFERENCE_PATHS

_NAMING = re.compile(r"(?:[sS]ecret|[cC]onfigMap|[rR]efs?|From|[rR]eference|Generator|dependsOn|Name|repositoryURL)$")
"""Names of fields that refer to an object whatever their type."""

_CHECKS = r"(?:(?:pre|post)(?:Deploy|Delete)Checks|validateHealths|postDelayHealthChecks)\[\]"
NOT_FOLLOWED: dict[str, str] = {
    rf".*\.{_CHECKS}": "selects resources in the managed cluster",
    rf".*\.{_CHECKS}\.metricSource\.secretRef": "is read in the managed cluster",
    r".*\.(?:resourceSelectors|matchResources)\[\]": "selects what may come and go: input, no configuration",
    r".*\.(?:driftExclusions|patches)\[\]\.target": "selects what is deployed",
    r".*\.helmCharts\[\]\.(?:chartName|releaseName|repositoryName)": "names nothing in the API",
    r".*\.fromManage(?:d|ment)\.(?:logs|resources)\[\]": "what a support bundle collects",
    r".*\.templateResourceRefs(?:\[\])?": "holds a name for templates beside the reference, which is its resource",
    r"spec\.serviceAccountName": "the identity of a tenant, which Sveltos makes",
    r"spec\.tokenRequestRenewalOption\.saName": "stands in the managed cluster",
    r"spec\.(?:kubeconfigName|(?:tokenRequestRenewalOption\.)?kubeconfigKeyName)": "credentials, which Sveltos renews",
    r"spec\.workloadIdentity\.(?:aws|azure|gcp)\.clusterName": "names a cluster of a cloud",
}
"""By pattern of a path, the reason why a field is not a reference."""


def _fields(schema: Any, path: str) -> Iterator[str]:
    """Paths of the fields that may name an object: by their own name, or by their fields name and namespace."""
    properties = schema.get("properties") or {}
    place = {"namespace", "kind"} & properties.keys()
    if ("name" in properties and place) or _NAMING.search(path.rpartition(".")[2].removesuffix("[]")):
        yield path
    for field, below in properties.items():
        yield from _fields(below, f"{path}.{field}")
    if "items" in schema:
        yield from _fields(schema["items"], f"{path}[]")


@pytest.fixture(scope="module")
def published(shared: Path) -> frozenset[tuple[Kind, str]]:
    """The fields that may name an object in every kind that users write, in the CRDs of v0.57 and v1.14."""
    found = frozenset(_published(shared))
    assert len(found) > 100
    return found


def _published(shared: Path) -> Iterator[tuple[Kind, str]]:
    for file in sorted((shared / "crds").glob("sveltos-*/*.yaml")):
        for crd in iterate_documents(load_documents(file.read_bytes(), file.name), file.name):
            if crd.get("kind") != "CustomResourceDefinition":
                continue
            kind = Kind(crd["spec"]["group"], crd["spec"]["names"]["kind"])
            for version in crd["spec"]["versions"]:
                spec = version["schema"]["openAPIV3Schema"]["properties"].get("spec")
                if kind in USER_KINDS | CLUSTER_KINDS and spec:
                    yield from ((kind, path) for path in _fields(spec, "spec"))


def _is_followed(kind: Kind, path: str) -> bool:
    """Whether the table has a row for a field or, for a list, for its entries."""
    rows = [row.path for row in REFERENCE_PATHS.get(kind, ())]
    return path in rows or f"{path}[]" in rows


def test_every_reference_of_the_published_crds_is_followed(published: frozenset[tuple[Kind, str]]) -> None:
    """A new field without a row or a reason fails here."""
    undecided = [
        f"{kind} {path}"
        for kind, path in sorted(published)
        if not _is_followed(kind, path) and not any(re.fullmatch(pattern, path) for pattern in NOT_FOLLOWED)
    ]

    assert undecided == []


def test_every_row_of_the_table_is_a_field_of_the_published_crds(published: frozenset[tuple[Kind, str]]) -> None:
    """A misspelled row would follow nothing. Annotations and flags are not in the schema."""
    rows = [(kind, row.path) for kind, listed in REFERENCE_PATHS.items() for row in listed if kind != DEPLOYMENT]

    spelled = [(kind, path) for kind, path in rows if not path.startswith("metadata.")]
    assert len(spelled) > 50
    assert [f"{kind} {path}" for kind, path in spelled if not {(kind, path), (kind, path[:-2])} & published] == []


def test_every_reason_is_needed(published: frozenset[tuple[Kind, str]]) -> None:
    """Each pattern matches a field of the published CRDs."""
    paths = {path for _, path in published}

    assert [pattern for pattern in NOT_FOLLOWED if not any(re.fullmatch(pattern, path) for path in paths)] == []
