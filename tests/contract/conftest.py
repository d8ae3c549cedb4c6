"""Each test with the fixture ``bed`` runs on each type of cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitsnap.cluster.api import client
from gitsnap.cluster.directory import cluster
from tests.support.beds import Bed, DirectoryBed, ServerBed


@pytest.fixture(params=["directory", "server"])
def bed(request: pytest.FixtureRequest, tmp_path: Path) -> Bed:
    """A cluster of YAML files or an API server. Its namespaces are new."""
    if request.param == "directory":
        folder = tmp_path / "cluster"
        folder.mkdir()
        return DirectoryBed(folder)
    return ServerBed(request.getfixturevalue("api"), request.getfixturevalue("new_namespace"))


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit the pages of lists to three objects."""
    monkeypatch.setattr(cluster, "PAGE_SIZE", 3)
    monkeypatch.setattr(client, "PAGE_SIZE", 3)
