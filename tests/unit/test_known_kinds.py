"""The choice between API versions that a cluster serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitsnap.cluster import open_directory
from gitsnap.cluster.known_kinds import preferred_version
from gitsnap.core.model import Kind
from gitsnap.sveltos.kinds import BY_KIND, CAPI_CLUSTER, CLUSTER_PROFILE

_WIDGET = Kind("example.com", "Widget")


@pytest.mark.parametrize(
    ("kind", "served", "version"),
    [
        (CAPI_CLUSTER, [*reversed(BY_KIND[CAPI_CLUSTER].versions)], BY_KIND[CAPI_CLUSTER].versions[0]),
        (CLUSTER_PROFILE, ["v1", "v1beta1"], "v1beta1"),
        (CLUSTER_PROFILE, ["v1", "v2"], "v1"),
        (_WIDGET, ["v2", "v1"], "v2"),
        (_WIDGET, [], None),
    ],
)
def test_a_version_that_the_caller_understands_comes_first(kind: Kind, served: list[str], version: str | None) -> None:
    """Otherwise the order of the server decides, also for a kind that the caller does not know."""
    assert preferred_version(kind, served, BY_KIND) == version
    assert preferred_version(kind, served, {}) == next(iter(served), None)


def test_a_folder_serves_the_kinds_that_its_caller_knows(tmp_path: Path) -> None:
    """The adapter knows no product: without the table, an empty folder serves only kinds of Kubernetes."""
    known, unknown = (open_directory(tmp_path, known_kinds=kinds) for kinds in (BY_KIND, {}))

    assert all(known.resource_type(kind) is not None for kind in BY_KIND)
    assert unknown.resource_type(CLUSTER_PROFILE) is None
    assert unknown.resource_type(Kind("", "ConfigMap")) is not None
