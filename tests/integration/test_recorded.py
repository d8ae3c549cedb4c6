"""What a real Sveltos wrote, stage by stage: captured from folders, and compared."""

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
"""The rows between each stage and the one before it, from the recording's own account of what was done.

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
"""Each resource, from which stage it was what it is called here; ``""`` is gone. From the recording's account."""


def _state(stage: int) -> dict[_Resource, str]:
    """What the two clusters have at a stage."""
    found = {row: [what for since, what in moments if since <= stage] for row, moments in TIMELINE.items()}
    return {row: states[-1] for row, states in found.items() if states and states[-1]}


def _rows_between(before: int, after: int) -> list[tuple[str, ...]]:
    """The rows that any two stages differ in, whatever happened between them."""
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
    """The stages by the names of their folders, in their order: nobody changes them, so each is read once."""
    return {one.name: adapters.open_directory(one) for one in sorted((shared / "recorded").glob("[0-9]*"))}


@pytest.fixture(scope="module")
def recorded(stages: Mapping[str, Cluster], tmp_path_factory: pytest.TempPathFactory) -> GitArchive:
    """An archive with one sample of each stage."""
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
    """Bring a server to a stage of the recording, statuses included; an old one has ``schemas`` to go by.

    ``brought``: what it was brought to before. What is the same in this stage is not written again.
    """
    for kind in [_NAMESPACE, *sorted(CAPTURED_KINDS)]:
        resource = target.resource_type(kind)
        if resource is None:
            assert schemas is not None, f"{kind} is not served"
            continue
        recorded = (
            _all(source, kind) if schemas is None else [_as_of_0_57(one, schemas[kind]) for one in _all(source, kind)]
        )
        wanted = {ObjectKey.of(one): one for one in recorded}
        live = {ObjectKey.of(one): one for one in _all(target, kind)}
        for key in live.keys() - wanted.keys() if kind.name != "Namespace" else ():
            target.delete(key, uid=live[key]["metadata"]["uid"])
            brought.pop(key, None)
        for key, one in wanted.items():
            metadata = {field: value for field, value in one["metadata"].items() if field not in _ASSIGNED}
            document = {**one, "apiVersion": resource.api_version, "metadata": metadata}
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
    """An object as Sveltos 0.57 had it: without the fields that came later, which its server would refuse.

    Its inventory lists remote resources only, each with the source it came from.
    """
    if document["kind"] == "ClusterConfiguration":
        return _with_owners(document)
    pruned: JsonObject = (
        _pruned(document, {"properties": {**schema["properties"], "metadata": {}}}) if schema else document
    )
    return pruned


def _pruned(value: Any, schema: JsonObject) -> Any:
    """A value without the fields that a schema does not have."""
    fields, items = schema.get("properties"), schema.get("items")
    if isinstance(value, dict) and fields:
        return {name: _pruned(below, fields[name]) for name, below in value.items() if name in fields}
    return [_pruned(entry, items) for entry in value] if isinstance(value, list) and items else value


def _schema(api: ApiServer, kind: Kind) -> JsonObject:
    """The schema that a server holds objects of a kind against, empty for its own kinds."""
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
            listed = [one for one in feature.get("resources") or () if one.pop("deploymentType", "Remote") == "Remote"]
            for one in listed:
                kind, _, place = _OWNERS[one["name"]].partition(" ")
                namespace, _, name = place.partition("/")
                one["owner"] = {"kind": kind, "namespace": namespace, "name": name}
            if listed:
                feature["resources"] = listed
    return document


def _all(of: Cluster, kind: Kind) -> list[JsonObject]:
    resource = of.resource_type(kind)
    return [one for page in of.list(resource) for one in page.items] if resource else []


@pytest.mark.parametrize("server", ["api", "old_api"])
def test_rows_of_the_recording_on_a_real_server(
    request: pytest.FixtureRequest, server: str, stages: Mapping[str, Cluster], tmp_path: Path
) -> None:
    """The same stages, one after the other on one API server of either era: the same rows as from folders."""
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
            # 0.57 did not list what was deployed to the management cluster.
            expected = [row for row in EXPECTED[number] if not (old and row[:4] == _DASHBOARD)]
            assert sorted(found) == sorted(expected), name


def _between(recorded: GitArchive, before: int, after: int) -> Comparison:
    samples = recorded.samples()
    return compare(recorded.tree(samples[before]), recorded.tree(samples[after]))


@pytest.mark.parametrize("stage", EXPECTED)
def test_rows_of_a_stage(recorded: GitArchive, stage: int) -> None:
    """Exactly the resources that changed, in every stage of the recording."""
    rows = _between(recorded, stage - 1, stage).rows

    found = [(row.cluster, row.resource_type, row.namespace, row.name, str(row.action)) for row in rows]
    assert sorted(found) == sorted(EXPECTED[stage])


def test_rows_between_any_two_stages(recorded: GitArchive) -> None:
    """All forwards and some backwards: what differs between the ends, whatever came and went between them."""
    trees = [recorded.tree(sample) for sample in recorded.samples()]
    assert len(trees) == 24

    for before, after in itertools.permutations(range(len(trees)), 2):
        if before > after and (before + after) % 5:
            continue
        rows = compare(trees[before], trees[after]).rows
        found = [(row.cluster, row.resource_type, row.namespace, row.name, str(row.action)) for row in rows]
        assert sorted(found) == _rows_between(before, after), (before, after)


def test_the_timeline_is_that_of_the_stages() -> None:
    """The two hand-made accounts of the recording agree."""
    assert {stage: _rows_between(stage - 1, stage) for stage in EXPECTED} == {
        stage: sorted(rows) for stage, rows in EXPECTED.items()
    }


def test_an_upgrade_of_sveltos_is_no_change(shared: Path) -> None:
    """From 0.57 to 1.14 the inventory loses the sources and gains local resources, specs gain defaults: one row."""
    objects = load_folder(shared / "recorded" / "14-unpaused")
    older = [_with_owners(one) if one["kind"] == "ClusterConfiguration" else without_defaults(one) for one in objects]

    comparison = compare(build(older), build(objects))

    assert [(row.cluster, row.resource_type, row.namespace, row.name, row.action) for row in comparison.rows] == [
        (*_DASHBOARD, "added")
    ]
    assert comparison.management == ()


def test_what_was_put_back_is_no_change(recorded: GitArchive) -> None:
    """Re-stamped times alone make no row, in neither table."""
    assert not _between(recorded, 1, 3)
    assert not _between(recorded, 14, 16)


def test_both_tables_with_their_messages(recorded: GitArchive) -> None:
    """Between each stage and the one before: reviewed by hand once. GITSNAP_UPDATE_GOLDEN=1 writes the file anew."""
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
