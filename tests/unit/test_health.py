"""The checks of ``gitsnap status`` that need a cluster with rights, or a disk that is full."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gitsnap.archive import create_archive
from gitsnap.core.errors import AccessDeniedError
from gitsnap.core.model import Kind, ResourceType
from gitsnap.core.ports import Page
from gitsnap.core.text import age, byte_size
from gitsnap.health import State, archive_checks
from gitsnap.health.cluster_checks import check_rights
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


class _LimitedCluster(MemoryCluster):
    """A cluster that serves some kinds, and whose user may not list some of these."""

    served: frozenset[Kind] = kinds.LISTED_KINDS
    denied: frozenset[Kind] = frozenset()

    def resource_type(self, kind: Kind) -> ResourceType | None:
        return super().resource_type(kind) if kind in self.served else None

    def list(self, resource: ResourceType, **options: Any) -> Iterator[Page]:
        if resource.kind in self.denied:
            raise AccessDeniedError(f"listing {resource.plural} is denied")
        return super().list(resource, **options)


def test_rights_name_the_kinds_that_may_not_be_listed() -> None:
    """A kind that is not installed is not a problem. A kind that the user may not list is a problem."""
    cluster = _LimitedCluster()
    cluster.served = kinds.LISTED_KINDS - {kinds.EVENT_TRIGGER}
    assert check_rights(cluster).state is State.OK
    cluster.denied = frozenset({kinds.CLUSTER_PROFILE})
    check = check_rights(cluster)
    assert check.state is State.WRONG
    assert check.message == "this user may not list ClusterProfile"


def test_rights_are_those_that_the_sample_needs() -> None:
    """A policy that captures fewer kinds needs fewer rights."""
    cluster = _LimitedCluster()
    cluster.denied = frozenset({kinds.CLUSTER_PROFILE})
    assert check_rights(cluster, [kinds.PROFILE]).state is State.OK


def test_a_cluster_without_sveltos_is_the_wrong_cluster() -> None:
    """A cluster without kinds of Sveltos is probably a managed cluster."""
    cluster = _LimitedCluster()
    cluster.served = frozenset()
    assert "serves no kind of Sveltos" in check_rights(cluster).message


def test_a_disk_that_is_almost_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little free space, the next capture may fail."""
    archive = create_archive(tmp_path, "hourly")
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=10**6))
    checks = {check.subject: check for check in archive_checks.check_archive(archive, _NOW)}
    assert checks["storage"].message == "only 1.0 MB free on the disk of the archive"
    assert checks["samples"].message == "the archive has no sample"


@pytest.mark.parametrize(
    ("elapsed", "text"),
    [
        (timedelta(seconds=-61), "in the future"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(hours=48), "2 days ago"),
    ],
)
def test_ages(elapsed: timedelta, text: str) -> None:
    """Units change at one minute, one hour and two days."""
    assert age(elapsed) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (10**13, "10.0 TB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_byte_sizes(size: int, text: str) -> None:
    """Units are decimal, with one decimal place. 1000.0 of a unit is 1.0 of the next unit."""
    assert byte_size(size) == text
