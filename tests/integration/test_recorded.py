"""The stages of a recording of a running Sveltos: captured from folders and from an API server, and compared."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.capture import Request, capture, tree_info
from gitsnap.core.model import JsonObject, Kind, ObjectKey, SecretsMode, Trigger
from gitsnap.core.ports import Cluster, ControlPlane
from gitsnap.diff.comparison import compare
from gitsnap.diff.rows import Comparison, DiffRow, ManagementRow
from gitsnap.policy import snapshot
from gitsnap.secrets import age
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.kinds import BY_KIND, CAPTURED_KINDS
from tests.support import adapters
from tests.support.trees import build, load_folder
from tests.testbed.apiserver import ApiServer

_UPDATE = os.environ.get("GITSNAP_UPDATE_GOLDEN") == "1"
_GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "recorded" / "rows.txt"
_W, _O = "default/sveltos--clusterapi-workload", "tenant-a/capi--orders"
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
_GUESTBOOK_PROFILE, _CREDENTIALS_PROFILE = (
    (_W, "config.projectsveltos.io/ClusterProfile", "", name) for name in ("guestbook", "credentials")
)

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
    15: [(*_FOLLOWER, "modified"), (*_GUESTBOOK_PROFILE, "modified")],
    16: [(*_FOLLOWER, "modified"), (*_GUESTBOOK_PROFILE, "modified")],
    17: [(_W, "/Secret", "test", "redis-auth", "modified")],
    18: [(*row, "deleted") for row in _TEAM],
    19: [(*_PODINFO, "deleted")],
    20: [],
    21: [],
    22: [(*_LEADER, "modified")],
    23: [(*_DASHBOARD, "deleted"), (*_CREDENTIALS_PROFILE, "modified"), (*_GUESTBOOK_PROFILE, "modified")],
}
"""The rows between each stage and the previous stage, from the recording's notes.

In stage 15 a deployment failed. In stage 22 the controller was stopped; in stage 23 it applied the changes of stage 22.
"""


_Resource = tuple[str, ...]
TIMELINE: dict[_Resource, list[tuple[int, str]]] = {
    **{row: [(1, "as published")] for row in _GUESTBOOK if row not in (_FOLLOWER, _LEADER)},
    _FOLLOWER: [(1, "app: redis"), (2, "app: redis-follower"), (3, "app: redis"), (15, "70000"), (16, "app: redis")],
    _LEADER: [(1, "6.0.5"), (13, "6.2.14"), (22, "7.4.1")],
    (_W, "/Service", "test", "frontend"): [(1, "as published"), (7, "")],
    (_W, "apps/Deployment", "test", "frontend"): [(1, "as published"), (7, "")],
    _DASHBOARD: [(4, "a dashboard"), (23, "")],
    (_W, "/Secret", "test", "redis-auth"): [(4, "one password"), (17, "another")],
    **{row: [(5, "for a team"), (18, "")] for row in _TEAM},
    (_W, "/ConfigMap", "kube-public", "info-clusterapi-workload"): [(6, "info")],
    (_W, "/ConfigMap", "kube-public", "settings"): [(6, "settings")],
    (_O, "/ConfigMap", "kube-public", "info-orders"): [(6, "info")],
    (_O, "/ConfigMap", "kube-public", "settings"): [(6, "settings")],
    _PODINFO: [(8, "0.1.0"), (9, "0.2.0"), (10, "inline values"), (11, "values from a ConfigMap"), (19, "")],
    (_W, "/ConfigMap", "eng", "production-the-map"): [(12, "kustomized")],
    (_W, "/Service", "eng", "production-the-service"): [(12, "kustomized")],
}
"""Resource -> (first stage, state) for each of its states, from the recording's notes. ``""`` is deleted."""


def _state(stage: int) -> dict[_Resource, str]:
    """The resources of both clusters at a stage, and their states."""
    found = {row: [state for since, state in states if since <= stage] for row, states in TIMELINE.items()}
    return {row: states[-1] for row, states in found.items() if states and states[-1]}


def _rows_between(before: int, after: int) -> list[tuple[str, ...]]:
    """The rows of a comparison of any two stages, from the states at both stages."""
    old, new = _state(before), _state(after)
    words = {
        row: "added" if row not in old else "deleted" if row not in new else "modified"
        for row in old.keys() | new.keys()
    }
    profiles: list[tuple[str, ...]] = [(*_GUESTBOOK_PROFILE, "modified")] if (before == 15) != (after == 15) else []
    if {before, after} == {22, 23}:
        profiles = [(*_CREDENTIALS_PROFILE, "modified"), (*_GUESTBOOK_PROFILE, "modified")]
    return sorted([(*row, word) for row, word in words.items() if old.get(row) != new.get(row)] + profiles)


@pytest.fixture(scope="module")
def stages(shared: Path) -> dict[str, Cluster]:
    """The stages by folder name, in order. No test changes the folders, so each folder is read once."""
    return {folder.name: adapters.open_directory(folder) for folder in sorted((shared / "recorded").glob("[0-9]*"))}


@pytest.fixture(scope="module")
def recorded(stages: Mapping[str, Cluster], tmp_path_factory: pytest.TempPathFactory) -> GitArchive:
    """An archive with a sample of each stage."""
    storage = tmp_path_factory.mktemp("storage")
    made = archive.create_archive(storage, "hourly")
    keeper = age.open_keeper(storage / ".keys" / "hourly", mode=SecretsMode.ENCRYPT, create=True)
    info = tree_info(snapshot.default("hourly"), branch=made.branch, keeper=keeper)
    time = datetime(2026, 1, 1, tzinfo=UTC)
    for stage in stages.values():
        capture(stage, made, Request(info, keeper, time, Trigger.MANUAL))
        time += timedelta(minutes=5)
    return made


_NAMESPACE = Kind("", "Namespace")
_ASSIGNED = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "finalizers", "selfLink")


def _mirror(
    source: Cluster,
    target: ControlPlane,
    schemas: Mapping[Kind, JsonObject] | None,
    brought: dict[ObjectKey, tuple[JsonObject, object]],
) -> None:
    """Bring a server to a stage of the recording, with statuses. ``schemas``: those of a server of Sveltos 0.57.

    ``brought``: the objects that earlier calls wrote. Objects that are equal in this stage are not written again.
    """
    for kind in [_NAMESPACE, *sorted(CAPTURED_KINDS)]:
        resource = target.resource_type(kind)
        if resource is None:
            assert schemas is not None, f"{kind} is not served"
            continue
        recorded = (
            _list_all(source, kind)
            if schemas is None
            else [_as_of_0_57(raw, schemas[kind]) for raw in _list_all(source, kind)]
        )
        wanted = {ObjectKey.of(raw): raw for raw in recorded}
        live = {ObjectKey.of(raw): raw for raw in _list_all(target, kind)}
        for key in live.keys() - wanted.keys() if kind.name != "Namespace" else ():
            target.delete(key, uid=live[key]["metadata"]["uid"])
            brought.pop(key, None)
        for key, raw in wanted.items():
            metadata = {field: value for field, value in raw["metadata"].items() if field not in _ASSIGNED}
            document = {**raw, "apiVersion": resource.api_version, "metadata": metadata}
            status = document.pop("status", None)
            if key in live and brought.get(key) == (document, status):
                continue
            brought[key] = (document, status)
            if key not in live:
                target.create(document)
            elif kind.name != "Namespace":
                precondition = {name: live[key]["metadata"][name] for name in ("uid", "resourceVersion")}
                target.update({**document, "metadata": metadata | precondition})
            if status and kind.group:
                target.patch_status(key, {"status": None})
                target.patch_status(key, {"status": status})


_OWNERS = {
    "redis-leader": "ConfigMap default/database",
    "redis-follower": "ConfigMap default/database",
    "frontend": "ConfigMap default/frontend",
    "redis-auth": "Secret default/db-credentials",
    **dict.fromkeys((name for *_, name in _TEAM), "ConfigMap tenant-a/team-base"),
    "settings": "ConfigMap default/clusterapi-workload-cm",
    "info-clusterapi-workload": "ConfigMap default/cluster-info",
    "info-orders": "ConfigMap default/cluster-info",
    "production-the-map": "ConfigMap default/kustomize",
    "production-the-service": "ConfigMap default/kustomize",
}


def _as_of_0_57(document: JsonObject, schema: JsonObject) -> JsonObject:
    """An object in the form of Sveltos 0.57: without the later fields, which its server would refuse.

    The inventory of 0.57 lists only remote resources, each with its source.
    """
    if document["kind"] == "ClusterConfiguration":
        return _with_owners(document)
    pruned: JsonObject = (
        _pruned(document, {"properties": {**schema["properties"], "metadata": {}}}) if schema else document
    )
    return pruned


def _pruned(value: Any, schema: JsonObject) -> Any:
    """A value without the fields that its schema does not define."""
    fields, items = schema.get("properties"), schema.get("items")
    if isinstance(value, dict) and fields:
        return {name: _pruned(below, fields[name]) for name, below in value.items() if name in fields}
    return [_pruned(entry, items) for entry in value] if isinstance(value, list) and items else value


def _schema(api: ApiServer, kind: Kind) -> JsonObject:
    """The schema by which a server validates a custom kind. Empty for built-in kinds."""
    if not kind.group:
        return {}
    name = f"{BY_KIND[kind].plural}.{kind.group}"
    status, crd = api.request("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    assert status == 200
    schema: JsonObject = crd["spec"]["versions"][-1]["schema"]["openAPIV3Schema"]
    return schema


def _with_owners(document: JsonObject) -> JsonObject:
    document = copy.deepcopy(document)
    for profile in itertools.chain.from_iterable(document.get("status", {}).values()):
        for feature in profile.get("Features") or ():
            listed = [
                resource
                for resource in feature.get("resources") or ()
                if resource.pop("deploymentType", "Remote") == "Remote"
            ]
            for resource in listed:
                kind, _, place = _OWNERS[resource["name"]].partition(" ")
                namespace, _, name = place.partition("/")
                resource["owner"] = {"kind": kind, "namespace": namespace, "name": name}
            if listed:
                feature["resources"] = listed
    return document


def _list_all(cluster: Cluster, kind: Kind) -> list[JsonObject]:
    resource = cluster.resource_type(kind)
    return [document for page in cluster.list(resource) for document in page.items] if resource else []


@pytest.mark.parametrize("server", ["api", "old_api"])
def test_rows_of_the_recording_on_a_real_server(
    request: pytest.FixtureRequest, server: str, stages: Mapping[str, Cluster], tmp_path: Path
) -> None:
    """The stages on an API server, with the kinds of the current Sveltos or of 0.57, give the rows of the folders."""
    api: ApiServer = request.getfixturevalue(server)
    old = server == "old_api"
    target = adapters.connect(kubeconfig=str(api.kubeconfig()))
    served = [kind for kind in (_NAMESPACE, *CAPTURED_KINDS) if target.resource_type(kind) is not None]
    schemas = {kind: _schema(api, kind) for kind in served} if old else None
    made = archive.create_archive(tmp_path, "hourly")
    keeper = age.open_keeper(tmp_path / ".keys" / "hourly", mode=SecretsMode.ENCRYPT, create=True)
    info = tree_info(snapshot.default("hourly"), branch=made.branch, keeper=keeper)
    time = datetime(2026, 1, 1, tzinfo=UTC)
    brought: dict[ObjectKey, tuple[JsonObject, object]] = {}
    for number, (name, stage) in enumerate(stages.items()):
        _mirror(stage, target, schemas, brought)
        time += timedelta(minutes=5)
        taken = capture(target, made, Request(info, keeper, time, Trigger.MANUAL))
        assert taken.recorded.sample.metadata.consistency == "exact"
        if number:
            rows = _between(made, number - 1, number).rows
            found = [(row.cluster, row.resource_type, row.namespace, row.name, str(row.action)) for row in rows]
            # Sveltos 0.57 does not list resources that it deploys to the management cluster.
            expected = [row for row in EXPECTED[number] if not (old and row[:4] == _DASHBOARD)]
            assert sorted(found) == sorted(expected), name


def _between(recorded: GitArchive, before: int, after: int) -> Comparison:
    samples = recorded.samples()
    return compare(recorded.tree(samples[before]), recorded.tree(samples[after]))


@pytest.mark.parametrize("stage", EXPECTED)
def test_rows_of_a_stage(recorded: GitArchive, stage: int) -> None:
    """The comparison lists exactly the resources that changed in the stage."""
    rows = _between(recorded, stage - 1, stage).rows

    found = [(row.cluster, row.resource_type, row.namespace, row.name, str(row.action)) for row in rows]
    assert sorted(found) == sorted(EXPECTED[stage])


def test_rows_between_any_two_stages(recorded: GitArchive) -> None:
    """All pairs forwards and some backwards: the rows depend only on the two stages, not on the stages between them."""
    trees = [recorded.tree(sample) for sample in recorded.samples()]
    assert len(trees) == 24

    for before, after in itertools.permutations(range(len(trees)), 2):
        if before > after and (before + after) % 5:
            continue
        rows = compare(trees[before], trees[after]).rows
        found = [(row.cluster, row.resource_type, row.namespace, row.name, str(row.action)) for row in rows]
        assert sorted(found) == _rows_between(before, after), (before, after)


def test_the_timeline_agrees_with_the_stages() -> None:
    """EXPECTED and TIMELINE, both written by hand, agree."""
    assert {stage: _rows_between(stage - 1, stage) for stage in EXPECTED} == {
        stage: sorted(rows) for stage, rows in EXPECTED.items()
    }


def test_an_upgrade_of_sveltos_is_no_change(shared: Path) -> None:
    """From 0.57 to 1.14 the inventory loses sources and gains local resources, and specs gain defaults."""
    objects = load_folder(shared / "recorded" / "14-unpaused")
    older = [_with_owners(raw) if raw["kind"] == "ClusterConfiguration" else without_defaults(raw) for raw in objects]

    comparison = compare(build(older), build(objects))

    assert [(row.cluster, row.resource_type, row.namespace, row.name, row.action) for row in comparison.rows] == [
        (*_DASHBOARD, "added")
    ]
    assert comparison.management == ()


def test_a_reverted_change_gives_no_row(recorded: GitArchive) -> None:
    """New timestamps alone give no row in either table."""
    assert not _between(recorded, 1, 3)
    assert not _between(recorded, 14, 16)


def test_both_tables_with_their_messages(recorded: GitArchive) -> None:
    """Each stage compared with the previous stage. GITSNAP_UPDATE_GOLDEN=1 rewrites the golden file for review."""
    lines = []
    for stage in EXPECTED:
        found = _between(recorded, stage - 1, stage)
        lines.append(f"== {stage - 1} -> {stage}")
        lines += [" | ".join(_cells(row)) for row in found.rows]
        lines += ["* " + " | ".join(_cells(row)) for row in found.management]
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    if _UPDATE:
        _GOLDEN.write_text(text)
    assert text == _GOLDEN.read_text()


def _cells(row: DiffRow | ManagementRow) -> list[str]:
    return [str(getattr(row, field.name)) for field in dataclasses.fields(row)]


def test_no_value_of_a_secret_is_in_the_archive(recorded: GitArchive, shared: Path) -> None:
    """No content in a tree of any sample contains a value, as text or in base64."""
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
