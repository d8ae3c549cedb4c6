"""Kinds that a policy adds, on the real API server: captured with all fields that users set, compared, rolled back."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey
from gitsnap.core.ports import Tree
from gitsnap.format import decode
from tests.support.beds import ServerBed, config_map
from tests.support.commands import gitsnap
from tests.testbed.apiserver import ApiServer

DEPLOYMENT = Kind("apps", "Deployment")
SERVICE = Kind("", "Service")


def _deployment(name: str, namespace: str, **labels: str) -> JsonObject:
    pod = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [{"name": "main", "image": "example.com/main:1", "resources": {}}],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "finalizers": ["example.com/keep-me", "foregroundDeletion"],
        },
        "spec": {
            "replicas": 2,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": {"app": name}},
            "template": pod,
        },
    }


def _service(name: str, namespace: str) -> JsonObject:
    ports = [{"name": "web", "port": 80}, {"name": "metrics", "port": 9090}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": ports, "type": "NodePort"},
    }


class _Story:
    """Commands as a user types them, on one storage folder and one server."""

    def __init__(self, folder: Path, api: ApiServer) -> None:
        self.folder = folder
        self.kubeconfig = str(api.kubeconfig())

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return gitsnap(self.folder, *arguments, code=code, KUBECONFIG=self.kubeconfig)

    def capture(self, *arguments: str) -> Any:
        return json.loads(self.run("capture", "--secrets-mode", "omit", "-o", "json", *arguments).stdout)

    @property
    def tree(self) -> Tree:
        archive = open_archive(self.folder, "manual")
        return archive.tree(archive.samples()[-1])

    def paths(self, kind: Kind) -> list[str]:
        return [path for path in self.tree.files(Area.CONFIGURATION) if f"/{kind}/" in path]

    def archived(self, path: str) -> Any:
        return decode(self.tree.read(self.tree.files(Area.CONFIGURATION)[path]))


@pytest.fixture
def story(api: ApiServer, tmp_path: Path) -> _Story:
    """An empty storage folder."""
    return _Story(tmp_path, api)


def test_capture_diff_and_rollback_of_added_kinds(
    story: _Story, api: ApiServer, new_namespace: Callable[[], str]
) -> None:
    """Objects are captured completely, a change gives a row, and after the rollback there are no changes."""
    cluster = ServerBed(api, new_namespace).connect()
    place = new_namespace()
    cluster.create(_deployment("web", place, tier="front"))
    cluster.create(_service("web", place))
    scope = ("--resources", f"Deployment.apps in {place}", "--resources", f"Service in {place}")
    first = story.capture(*scope)

    deployment = story.archived(f"{place}/{DEPLOYMENT}/web.yaml")
    assert deployment["spec"]["revisionHistoryLimit"] == 3
    assert deployment["metadata"]["finalizers"] == ["example.com/keep-me"]
    assert deployment["spec"]["template"]["spec"]["volumes"][0]["emptyDir"] == {}
    service = story.archived(f"{place}/{SERVICE}/web.yaml")
    assert "clusterIP" not in service["spec"]
    assert "clusterIPs" not in service["spec"]

    live = cluster.get(ObjectKey(SERVICE, place, "web"))
    address, node_port = live["spec"]["clusterIP"], live["spec"]["ports"][0]["nodePort"]
    cluster.update({**live, "spec": {**live["spec"], "selector": {"app": "broken"}}})
    changed = cluster.get(ObjectKey(DEPLOYMENT, place, "web"))
    cluster.update({**changed, "spec": {**changed["spec"], "replicas": 0}})
    story.capture()  # captures the added kinds again

    rows = json.loads(story.run("diff", "-o", "json").stdout)
    assert [(row["name"], row["message"]) for row in rows["management"]] == [
        ("web", "spec.selector.app"),
        ("web", "spec.replicas"),
    ]
    story.run("rollback", "--sample", first["sample"]["tag"].rpartition("/")[2], "--yes")

    assert cluster.get(ObjectKey(DEPLOYMENT, place, "web"))["spec"]["replicas"] == 2
    restored = cluster.get(ObjectKey(SERVICE, place, "web"))
    assert restored["spec"]["selector"] == {"app": "web"}
    assert (restored["spec"]["clusterIP"], restored["spec"]["ports"][0]["nodePort"]) == (address, node_port)
    assert "no changes" in story.run("diff", "--from-sample", first["sample"]["tag"], "--to-sample", "live").stdout


def test_selected_objects(story: _Story, api: ApiServer, new_namespace: Callable[[], str]) -> None:
    """Namespaces by name and glob, labels and exclusions. Objects that Kubernetes itself creates are not captured."""
    cluster = ServerBed(api, new_namespace).connect()
    first, other = new_namespace(), new_namespace()
    for place in (first, other):
        cluster.create(_deployment("web", place, tier="front"))
        cluster.create(_deployment("jobs", place, tier="back"))
        cluster.create(config_map("own", place))
        cluster.create(config_map("kube-root-ca.crt", place))

    story.capture("--resources", f"Deployment.apps in {first},{other} with tier in (front)")
    assert story.paths(DEPLOYMENT) == sorted(f"{place}/{DEPLOYMENT}/web.yaml" for place in (first, other))

    story.capture("--resources", f"Deployment.apps in {first[:-1]}*,!{other}", "--resources", f"ConfigMap in {first}")
    assert {path.partition("/")[0] for path in story.paths(DEPLOYMENT)} >= {first}
    assert not any(path.startswith(f"{other}/") for path in story.paths(DEPLOYMENT))
    assert [path for path in story.paths(Kind("", "ConfigMap")) if path.startswith(f"{first}/")] == [
        f"{first}/ConfigMap/own.yaml"
    ]

    story.capture("--resources", "none", "--allow-empty")
    assert story.paths(DEPLOYMENT) == []


def test_another_scope_is_no_change_of_the_configuration(
    story: _Story, api: ApiServer, new_namespace: Callable[[], str]
) -> None:
    """The sample with the wider scope is a commit marked `scope`; a diff says that the older sample lacks the kind."""
    place = new_namespace()
    ServerBed(api, new_namespace).connect().create(_deployment("web", place))
    story.capture("--allow-empty")
    story.capture("--resources", f"Deployment.apps in {place}")

    found = json.loads(story.run("diff", "-o", "json", code=13).stdout)

    assert found["management"] == []
    assert found["notComparable"] == [
        {"kind": str(DEPLOYMENT), "reason": "not covered", "detail": "captured only after"}
    ]
    archive = open_archive(story.folder, "manual")
    log = subprocess.run(
        ["git", "log", "-1", "--format=%B", archive.samples()[-1].tag],
        cwd=archive.location,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Gitsnap-Changed: scope" in log


def test_a_new_scope_without_objects_is_named(tmp_path: Path) -> None:
    """The summary of a capture names the scope as the reason for a commit without changed objects."""
    (tmp_path / "cluster").mkdir()
    words = ("capture", "--from-dir", "cluster", "--secrets-mode", "omit")
    gitsnap(tmp_path, *words, "--allow-empty", code=0)

    wider = gitsnap(tmp_path, *words, "--allow-empty", "--resources", "Deployment.apps in nowhere", code=0).stdout

    assert re.search(r": 0 objects, scope changed, commit [0-9a-f]{12}\n", wider)


def test_a_forbidden_kind_is_carried_forward(api: ApiServer, tmp_path: Path, new_namespace: Callable[[], str]) -> None:
    """The objects come from the previous sample, and the exit code says that the sample is incomplete."""
    bed = ServerBed(api, new_namespace)
    place = new_namespace()
    bed.connect().create(_deployment("web", place))
    story = _Story(tmp_path, api)
    story.capture("--resources", f"Deployment.apps in {place}")
    groups = ["config.projectsveltos.io", "lib.projectsveltos.io", "cluster.x-k8s.io"]
    reader = api.new_user(
        {"apiGroups": groups, "resources": ["*"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ["get", "list"]},
    )
    story.kubeconfig = str(api.kubeconfig(reader))

    done = story.run("capture", "--secrets-mode", "omit", "-o", "json", code=13)

    incomplete = json.loads(done.stdout)["sample"]["incomplete"]
    assert {"kind": str(DEPLOYMENT), "substitute": "carried", "reason": "forbidden"} in incomplete
    assert story.paths(DEPLOYMENT) == [f"{place}/{DEPLOYMENT}/web.yaml"]


def test_a_kind_that_is_not_served_is_a_warning(story: _Story) -> None:
    """The name may be mistyped, or its CustomResourceDefinition may be installed later."""
    words = ("capture", "--allow-empty", "--secrets-mode", "omit", "--resources", "Deploymnt.apps")
    done = story.run(*words, code=13)

    assert "this cluster does not serve the kind Deploymnt.apps" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("deploymnt", "'deploymnt' is not a kind such as Deployment\nThe nearest kinds: Deployment"),
        ("Widget", "'Widget' is not a kind such as Deployment"),
        ("widgets.example.com", "'widgets.example.com' is not a kind such as Deployment"),
        ("SveltosCluster.lib.projectsveltos.io", "is always captured"),
        ("ClusterProfile.config.projectsveltos.io with a=b", "can only add objects that a controller owns"),
        ("Event", "not configuration"),
        ("ClusterReport.config.projectsveltos.io", "not configuration"),
        ("Deployment.apps at x", "the form is KIND[.GROUP]"),
        ("Deployment.apps in X", "'X' is not the name of a namespace"),
        ("Deployment.apps with a=b=c", "is not a selector such as"),
    ],
)
def test_invalid_scopes_are_refused(tmp_path: Path, api: ApiServer, words: str, message: str) -> None:
    """The error names the mistake, and no file is created."""
    done = _Story(tmp_path, api).run("capture", "--resources", words, code=3)

    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_without_sveltos(tmp_path: Path, api: ApiServer) -> None:
    """A folder of plain Kubernetes objects is a cluster too."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "web.json").write_text(json.dumps(_deployment("web", "shop")))
    story = _Story(tmp_path, api)

    taken = story.capture("--from-dir", "cluster", "--resources", "Deployment.apps")

    assert taken["sample"]["objects"] == 1
    assert "web" in story.run("show", "Deployment/shop/web").stdout
