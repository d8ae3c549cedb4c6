"""What a real Sveltos wrote, stage by stage: captured from folders, and compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitsnap import archive, cluster, policy, secrets
from gitsnap.archive import GitArchive
from gitsnap.capture import Request, capture, tree_info
from gitsnap.compare import Comparison, compare
from gitsnap.model import JsonObject, Kind, ObjectKey, SecretsMode, Trigger
from gitsnap.ports import Cluster, ControlPlane
from gitsnap.sveltos.kinds import CAPTURED_KINDS
from tests.testbed.apiserver import ApiServer

_W, _O = "default/sveltos--clusterapi-workload", "tenant-a/capi--orders"
_RAW = "use --raw-diff option to see diff"
_GUESTBOOK = [
    (_W, "/Service", "test", "frontend"), (_W, "/Service", "test", "redis-follower"),
    (_W, "/Service", "test", "redis-leader"), (_W, "apps/Deployment", "test", "frontend"),
    (_W, "apps/Deployment", "test", "redis-follower"), (_W, "apps/Deployment", "test", "redis-leader"),
]  # fmt: skip
_TEAM = [
    (_O, "/ConfigMap", "default", "no-namespace-given"), (_O, "/Namespace", "", "orders"),
    (_O, "/ResourceQuota", "orders", "compute"), (_O, "rbac.authorization.k8s.io/ClusterRole", "", "orders-viewer"),
]  # fmt: skip
_PODINFO = (_W, "helm release", "podinfo", "podinfo")
_FOLLOWER = (_W, "/Service", "test", "redis-follower")
_LEADER = (_W, "apps/Deployment", "test", "redis-leader")
_DASHBOARD = (_W, "/ConfigMap", "default", "redis-dashboard")

EXPECTED: dict[int, list[tuple[str, ...]]] = {
    1: [(*row, "added") for row in _GUESTBOOK],
    2: [(*_FOLLOWER, "modified")],
    3: [(*_FOLLOWER, "modified")],
    4: [(*_DASHBOARD, "added"), (_W, "/Secret", "test", "redis-auth", "added")],
    5: [(*row, "added") for row in _TEAM],
    6: [
        (_W, "/ConfigMap", "kube-public", "info-clusterapi-workload", "added"),
        (_W, "/ConfigMap", "kube-public", "settings", "added"),
        (_O, "/ConfigMap", "kube-public", "info-orders", "added"),
        (_O, "/ConfigMap", "kube-public", "settings", "added"),
    ],
    7: [(_W, "/Service", "test", "frontend", "deleted"), (_W, "apps/Deployment", "test", "frontend", "deleted")],
    8: [(*_PODINFO, "added")],
    9: [(*_PODINFO, "modified")],
    10: [(*_PODINFO, "modified")],
    11: [(*_PODINFO, "modified")],
    12: [
        (_W, "/ConfigMap", "eng", "production-the-map", "added"),
        (_W, "/Service", "eng", "production-the-service", "added"),
    ],
    13: [(*_LEADER, "modified")],
    14: [],
    15: [(*_FOLLOWER, "modified")],
    16: [(*_FOLLOWER, "modified")],
    17: [(_W, "/Secret", "test", "redis-auth", "modified")],
    18: [(*row, "deleted") for row in _TEAM],
    19: [(*_PODINFO, "deleted")],
    20: [],
    21: [],
    22: [(*_LEADER, "modified")],
    23: [(*_DASHBOARD, "deleted")],
}
"""The rows between each stage and the one before it, from the recording's own account of what was done."""


@pytest.fixture(scope="module")
def recorded(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> GitArchive:
    """An archive with one sample of each stage."""
    storage = tmp_path_factory.mktemp("storage")
    made = archive.create_archive(storage, "hourly")
    keeper = secrets.open_keeper(storage / ".keys" / "hourly", mode=SecretsMode.ENCRYPT, create=True)
    info = tree_info(policy.default("hourly"), branch=made.branch, keeper=keeper)
    time = datetime(2026, 1, 1, tzinfo=UTC)
    for stage in sorted((shared / "recorded").glob("[0-9]*")):
        capture(cluster.open_directory(stage), made, Request(info, keeper, time, Trigger.MANUAL))
        time += timedelta(minutes=5)
    return made


_ASSIGNED = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "finalizers", "selfLink")


def _mirror(stage: Path, target: ControlPlane) -> None:
    """Bring a server to a stage of the recording, statuses included."""
    source = cluster.open_directory(stage)
    for kind in [Kind("", "Namespace"), *sorted(CAPTURED_KINDS)]:
        resource = target.resource_type(kind)
        assert resource is not None
        wanted = {ObjectKey.of(one): one for one in _all(source, kind)}
        live = {ObjectKey.of(one): one for one in _all(target, kind)}
        for key in live.keys() - wanted.keys() if kind.name != "Namespace" else ():
            target.delete(key, uid=live[key]["metadata"]["uid"])
        for key, one in wanted.items():
            metadata = {field: value for field, value in one["metadata"].items() if field not in _ASSIGNED}
            document = {**one, "apiVersion": resource.api_version, "metadata": metadata}
            status = document.pop("status", None)
            if key not in live:
                target.create(document)
            elif kind.name != "Namespace":
                precondition = {name: live[key]["metadata"][name] for name in ("uid", "resourceVersion")}
                target.update({**document, "metadata": metadata | precondition})
            if status and kind.group:
                target.patch_status(key, {"status": None})
                target.patch_status(key, {"status": status})


def _all(of: Cluster, kind: Kind) -> list[JsonObject]:
    resource = of.resource_type(kind)
    return [one for page in of.list(resource) for one in page.items] if resource else []


def test_rows_of_the_recording_on_a_real_server(api: ApiServer, shared: Path, tmp_path: Path) -> None:
    """The same stages, one after the other on one API server: the same rows as from folders."""
    target = cluster.connect(kubeconfig=str(api.kubeconfig()))
    made = archive.create_archive(tmp_path, "hourly")
    keeper = secrets.open_keeper(tmp_path / ".keys" / "hourly", mode=SecretsMode.ENCRYPT, create=True)
    info = tree_info(policy.default("hourly"), branch=made.branch, keeper=keeper)
    time = datetime(2026, 1, 1, tzinfo=UTC)
    for number, stage in enumerate(sorted((shared / "recorded").glob("[0-9]*"))):
        _mirror(stage, target)
        time += timedelta(minutes=5)
        taken = capture(target, made, Request(info, keeper, time, Trigger.MANUAL))
        assert taken.recorded.sample.metadata.consistency == "exact"
        if number:
            rows = _between(made, number - 1, number).rows
            found = [(row.cluster, row.resource_type, row.namespace, row.name, str(row.action)) for row in rows]
            assert sorted(found) == sorted(EXPECTED[number]), stage.name


def _between(recorded: GitArchive, before: int, after: int) -> Comparison:
    samples = recorded.samples()
    return compare(recorded.tree(samples[before]), recorded.tree(samples[after]))


@pytest.mark.parametrize("stage", EXPECTED)
def test_rows_of_a_stage(recorded: GitArchive, stage: int) -> None:
    """Exactly the resources that changed, in every stage of the recording."""
    rows = _between(recorded, stage - 1, stage).rows

    found = [(row.cluster, row.resource_type, row.namespace, row.name, str(row.action)) for row in rows]
    assert sorted(found) == sorted(EXPECTED[stage])


def test_what_was_put_back_is_no_change(recorded: GitArchive) -> None:
    """Re-stamped times alone make no row, in neither table."""
    assert not _between(recorded, 1, 3)
    assert not _between(recorded, 14, 16)


def test_messages(recorded: GitArchive) -> None:
    """Who reads a row knows where to look on."""
    messages = {stage: [row.message for row in _between(recorded, stage - 1, stage).rows] for stage in (2, 9, 17, 22)}

    assert messages == {
        2: [_RAW],
        9: ["To version: 0.2.0 From version 0.1.0"],
        17: ["To see diff compare Secret default/db-credentials"],
        22: [f"{_RAW} (not applied yet)"],
    }


def test_no_value_of_a_secret_is_in_the_archive(recorded: GitArchive, shared: Path) -> None:
    """Neither as text nor as base64, in no git object and no file of the working tree."""
    listed = (shared / "recorded" / "17-secret-changed" / "secrets.yaml").read_text()
    values = [
        line.split(": ", 1)[1].strip() for line in listed.splitlines() if line.startswith("    credentials.yaml: ")
    ]
    assert values

    for sample in recorded.samples():
        tree = recorded.tree(sample)
        for area in tree.all_files.values():
            content = tree.read(area)
            assert not any(value.encode() in content for value in values)
