"""Samples without objects: refused unless the archive knows the cluster, and reported by the controller."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from gitsnap import capture
from gitsnap.archive import GitArchive, create_archive
from gitsnap.cli.commands import capture as command
from gitsnap.controller.metrics import Metrics
from gitsnap.controller.policy_state import ServedPolicy, Services
from gitsnap.controller.reporter import KubeEvent, Reporter
from gitsnap.controller.status import completeness
from gitsnap.core.errors import EmptyError
from gitsnap.core.model import (
    ChangeCounts,
    IncompleteKind,
    IncompleteReason,
    JsonObject,
    Kind,
    ObjectKey,
    ResourceSelector,
    SecretsInfo,
    SecretsMode,
    Substitute,
    TreeInfo,
    Trigger,
)
from gitsnap.core.ports import ClusterInfo
from gitsnap.format.paths import path_of, shown_key
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.samples import NOON, sample
from tests.support.trees import config_map, profile

_PROFILE = profile("guestbook", {})


class _Cluster(MemoryCluster):
    """A cluster in memory with an identity of its own."""

    identity: ClusterInfo | None = None
    without: frozenset[Kind] = frozenset()

    def info(self) -> ClusterInfo:
        """See ports.Cluster."""
        return self.identity or super().info()

    def resource_type(self, kind: Kind) -> Any:
        """See ports.Cluster. The kinds of ``without`` are not served."""
        return None if kind in self.without else super().resource_type(kind)


class _Reporter:
    """Keeps the Events, and drops the status."""

    def __init__(self) -> None:
        self.events: list[KubeEvent] = []

    def write_event(self, event: KubeEvent) -> None:
        """See Reporter."""
        self.events.append(event)

    def write_status(self, *_: object) -> None:
        """See Reporter."""


@pytest.fixture
def archive(tmp_path: Path) -> GitArchive:
    """An archive without samples."""
    return create_archive(tmp_path, "p")


def _take(archive: GitArchive, cluster: MemoryCluster, *selectors: str, **more: Any) -> capture.CaptureResult:
    resources = tuple(ResourceSelector(Kind.parse(selector)) for selector in selectors)
    info = TreeInfo("p", archive.branch, tuple(sorted(kinds.CAPTURED_KINDS)), SecretsInfo(SecretsMode.OMIT), resources)
    time = datetime(2026, 1, 1, len(archive.samples()), tzinfo=UTC)
    return capture.capture(cluster, archive, capture.Request(info, None, time, Trigger.MANUAL, **more))


def _cluster(*objects: JsonObject, **fields: Any) -> _Cluster:
    cluster = _Cluster.of(objects)
    assert isinstance(cluster, _Cluster)
    for name, value in fields.items():
        setattr(cluster, name, value)
    return cluster


def test_the_first_sample_must_have_an_object(archive: GitArchive) -> None:
    """The cluster may be the wrong one. --allow-empty and the controller record the sample."""
    with pytest.raises(EmptyError, match="no object of the kinds that are captured"):
        _take(archive, _cluster(config_map("shop", {})))
    assert not archive.samples()

    assert _take(archive, _cluster(), allow_empty=True).recorded.sample.metadata.objects == 0


def test_a_cluster_without_sveltos_is_named(archive: GitArchive) -> None:
    """The server answers, but serves no kind of Sveltos."""
    with pytest.raises(EmptyError, match="serves no kind of Sveltos"):
        _take(archive, _cluster(without=kinds.LISTED_KINDS))


def test_the_known_cluster_may_lose_everything(archive: GitArchive) -> None:
    """The sample records that the objects were deleted, because the API server has the same uid."""
    _take(archive, _cluster(_PROFILE))

    emptied = _take(archive, _cluster())

    assert emptied.recorded.changes == ChangeCounts(deleted=1)
    assert [(entry.action, str(key)) for entry, key in emptied.changed] == [
        ("deleted", "ClusterProfile.config.projectsveltos.io guestbook")
    ]
    assert command._may_lack_objects(emptied, allow_empty=False)
    assert not command._may_lack_objects(emptied, allow_empty=True)
    assert ["the sample is empty" in line for line in command._messages(emptied, allow_empty=False)] == [True]
    assert list(command._messages(emptied, allow_empty=True)) == []


def test_the_event_is_written_once() -> None:
    """Each sample without objects sets the condition. Only the first one writes the Event."""
    reporter = _Reporter()
    services = Services(cast("Reporter", reporter), Metrics(), jitter=lambda: 0.5)
    served = ServedPolicy.new({"metadata": {"name": "hourly", "creationTimestamp": None}, "spec": {}}, services, NOON)
    complete = completeness(replace(sample(1, NOON).metadata, objects=0))

    for _ in range(3):
        served._report_suspect(complete, NOON)
        served._report_conditions(NOON, complete)

    assert [(event.reason, event.warning) for event in reporter.events] == [("NoObjects", True)]


@pytest.mark.parametrize("change", [{"uid": "uid-of-another"}, {"is_folder": True, "objects": 3}])
def test_another_cluster_or_a_folder_may_not(archive: GitArchive, change: dict[str, Any]) -> None:
    """Neither a rebuilt cluster nor a folder that may be unmounted proves a deletion."""
    _take(archive, _cluster(_PROFILE))
    identity = replace(_cluster().info(), **change)

    with pytest.raises(EmptyError) as refused:
        _take(archive, _cluster(identity=identity), adopt=True)

    assert "has 1 object" in refused.value.hint
    assert len(archive.samples()) == 1


_MISSING = IncompleteKind(Kind("", "ConfigMap"), Substitute.MISSING, IncompleteReason.FORBIDDEN)


@pytest.mark.parametrize(
    ("fields", "not_served", "expected"),
    [
        ({"objects": 3}, (), (True, "AllKindsRead", "every kind was read")),
        ({"objects": 3}, (Kind("apps", "Deploymnt"),), (True, "KindsNotServed", "Deploymnt.apps")),
        ({"objects": 0}, (), (False, "NoObjects", "the cluster has no object")),
        ({"objects": 0, "changes": ChangeCounts(deleted=400)}, (), (False, "NoObjects", "400 objects deleted")),
        ({"objects": 0, "incomplete": (_MISSING,)}, (), (False, "KindsMissing", "could not be read")),
    ],
)
def test_the_condition_complete(
    fields: dict[str, Any], not_served: tuple[Kind, ...], expected: tuple[bool, str, str]
) -> None:
    """A sample without objects is not complete, and a kind that is not served is named."""
    update = completeness(replace(sample(1, NOON).metadata, **fields), not_served)

    assert (update.status, str(update.reason)) == expected[:2]
    assert expected[2] in update.message


@pytest.mark.parametrize("name", ["guestbook", "system:admin", "A.B_c", "con", ".hidden", "x" * 200])
@pytest.mark.parametrize("namespace", ["", "default"])
def test_the_key_of_a_path(name: str, namespace: str) -> None:
    """The names in the report of a capture are those of the objects, whatever the file system allows."""
    key = ObjectKey(Kind("apps", "Deployment"), namespace, name)

    assert shown_key(path_of(key)) == key
