"""Captures that skip unchanged objects give the same trees as full captures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitsnap import capture as sampling
from gitsnap.archive import GitArchive, create_archive
from gitsnap.cluster.api import client
from gitsnap.core.model import Kind, ResourceSelector, Sample, SecretsMode, Substitute, Trigger
from gitsnap.policy import snapshot
from gitsnap.secrets import age
from gitsnap.sveltos import kinds
from tests.support.adapters import connect
from tests.testbed.apiserver import ApiServer

_PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
_MERGE = "application/merge-patch+json"
_START = datetime(2023, 8, 26, 5, 0, tzinfo=UTC)


class _Bench:
    """An archive, and captures with different kubeconfigs."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self.archive: GitArchive = create_archive(folder, "hourly")
        self._keeper = age.open_keeper(folder / ".keys" / "hourly", mode=SecretsMode.ENCRYPT, create=True)
        self._count = 0

    def capture(
        self, *, kubeconfig: Path | None = None, full: bool = False, resources: tuple[ResourceSelector, ...] = ()
    ) -> Sample:
        """Take the next sample, a minute after the previous sample. ``resources`` are added by the policy."""
        self._count += 1
        made = replace(snapshot.default("hourly"), resources=resources)
        info = sampling.tree_info(made, branch="hourly", keeper=self._keeper)
        moment = _START + timedelta(minutes=self._count)
        request = sampling.Request(info, self._keeper, moment, Trigger.MANUAL, full=full)
        taken = sampling.capture(connect(kubeconfig=str(kubeconfig or self._api.kubeconfig())), self.archive, request)
        return taken.recorded.sample

    @property
    def cache(self) -> Path:
        """The cache file for the next capture."""
        return self._folder / "hourly" / ".git" / "gitsnap-seen.json"


@pytest.fixture
def bench(api: ApiServer, tmp_path: Path) -> _Bench:
    """A profile with a ConfigMap and a Secret that it refers to, and a cluster."""
    references = [{"kind": kind, "namespace": "default", "name": "content"} for kind in ("ConfigMap", "Secret")]
    spec = {"clusterSelector": {"matchLabels": {"env": "a"}}, "policyRefs": references}
    metadata = {"name": "content", "namespace": "default"}
    group = "lib.projectsveltos.io/v1beta1"
    for path, kind, document in (
        (_PROFILES, "config.projectsveltos.io/v1beta1 ClusterProfile", {"metadata": {"name": "p"}, "spec": spec}),
        ("/api/v1/namespaces/default/configmaps", "v1 ConfigMap", {"metadata": metadata, "data": {"a": "1"}}),
        (
            "/api/v1/namespaces/default/secrets",
            "v1 Secret",
            {
                "metadata": metadata,
                "stringData": {"a": "hidden"},
                "type": "addons.projectsveltos.io/cluster-profile",
            },
        ),
        (
            f"/apis/{group}/namespaces/default/sveltosclusters",
            f"{group} SveltosCluster",
            {"metadata": {"name": "c", "labels": {"env": "a", "speed": "fast"}}, "spec": {}},
        ),
    ):
        version, name = kind.split()
        api.ask("POST", path, {"apiVersion": version, "kind": name, **document})
    return _Bench(api, tmp_path)


def test_each_change_is_captured(api: ApiServer, bench: _Bench) -> None:
    """After each kind of change, a skipping capture gives the commit of a full capture."""
    first = bench.capture()
    assert bench.capture().commit == first.commit
    content = "/api/v1/namespaces/default/{}/content"
    commits = [first.commit]
    for method, path, body in (
        ("PATCH", content.format("configmaps"), {"data": {"a": "2"}}),
        ("PATCH", content.format("secrets"), {"stringData": {"a": "other"}}),
        ("PATCH", f"{_PROFILES}/p", {"spec": {"tier": 7}}),
        ("DELETE", content.format("configmaps"), None),
        (
            "POST",
            "/apis/lib.projectsveltos.io/v1beta1/classifiers",
            {
                "apiVersion": "lib.projectsveltos.io/v1beta1",
                "kind": "Classifier",
                "metadata": {"name": "speed"},
                "spec": {
                    "classifierLabels": [{"key": "speed", "value": "fast"}],
                    "kubernetesVersionConstraints": [{"comparison": "Equal", "version": "1.30.0"}],
                },
            },
        ),
    ):
        api.ask(method, path, body, content_type=_MERGE if method == "PATCH" else "application/json")
        quick = bench.capture()
        assert quick.commit != commits[-1], (method, path)
        assert bench.capture(full=True).commit == quick.commit, (method, path)
        commits.append(quick.commit)


def test_the_server_lists_only_metadata(api: ApiServer, bench: _Bench) -> None:
    """Lists of metadata work for each kind, with and without objects. They make an unchanged capture cheap."""
    cluster = connect(kubeconfig=str(api.kubeconfig()))
    for kind in (kinds.CONFIG_MAP, kinds.SECRET, kinds.CLUSTER_PROFILE, kinds.EVENT_TRIGGER):
        resource = cluster.resource_type(kind)
        assert resource is not None
        pages = list(cluster.list(resource, metadata_only=True))
        assert {page.whole for page in pages} == {False}
        documents = [document for page in pages for document in page.items]
        assert {field for document in documents for field in document} <= {"apiVersion", "kind", "metadata"}
        assert bool(documents) == (kind != kinds.EVENT_TRIGGER)
    assert bench.capture().metadata.objects


def test_a_few_changes_of_many_objects(api: ApiServer, bench: _Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists over several pages, for referenced objects and for added kinds, give the tree of a full capture."""
    monkeypatch.setattr(client, "PAGE_SIZE", 3)
    references = [{"kind": "ConfigMap", "namespace": "default", "name": f"many-{number}"} for number in range(8)]
    spec = {"clusterSelector": {"matchLabels": {"env": "a"}}, "policyRefs": references}
    api.ask("PATCH", f"{_PROFILES}/p", {"spec": spec}, content_type=_MERGE)
    place = "/api/v1/namespaces/default/configmaps"
    for number in range(10):
        document = {"metadata": {"name": f"many-{number}", "namespace": "default"}, "data": {"a": "1"}}
        api.ask("POST", place, {"apiVersion": "v1", "kind": "ConfigMap", **document})
    for resources in ((), (ResourceSelector(kinds.CONFIG_MAP, namespaces=("default",)),)):
        before = bench.capture(resources=resources)
        api.ask("PATCH", f"{place}/many-3", {"data": {"b": str(len(resources))}}, content_type=_MERGE)
        changed = bench.capture(resources=resources)
        assert changed.metadata.changes.modified == 1
        assert changed.metadata.objects == before.metadata.objects
        assert bench.capture(resources=resources, full=True).commit == changed.commit
        for number in range(10):
            api.ask("PATCH", f"{place}/many-{number}", {"data": {"c": str(len(resources))}}, content_type=_MERGE)
        changed = bench.capture(resources=resources)
        assert changed.metadata.changes.modified == (10 if resources else 8)
        assert bench.capture(resources=resources, full=True).commit == changed.commit


def test_a_carried_kind_is_read_again(api: ApiServer, bench: _Bench) -> None:
    """A kind changes while it cannot be read. The next capture that can read the kind has the change."""
    before = bench.capture()
    blind = api.new_user(
        {"apiGroups": [""], "resources": ["namespaces", "configmaps", "secrets"], "verbs": ["get", "list"]},
    )
    api.ask("PATCH", f"{_PROFILES}/p", {"spec": {"tier": 7}}, content_type=_MERGE)

    carried = bench.capture(kubeconfig=api.kubeconfig(blind))
    seeing = bench.capture()

    assert {entry.substitute for entry in carried.metadata.incomplete} == {Substitute.CARRIED}
    assert not carried.metadata.changes
    assert before.metadata.changes.added
    assert seeing.metadata.changes.modified == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"layout": 1}', b'{"layout": 99}', b"[]", b"\xff"])
def test_a_damaged_cache_is_ignored(bench: _Bench, content: bytes) -> None:
    """A damaged cache costs time and has no other effect."""
    first = bench.capture()
    bench.cache.write_bytes(content)

    assert bench.capture().commit == first.commit


def test_the_cache_holds_no_value(bench: _Bench) -> None:
    """The cache has names, versions and hashes, and no value of a Secret."""
    bench.capture()

    text = bench.cache.read_text()
    assert "hidden" not in text
    assert "default/Secret/content.yaml" in json.loads(text)["versions"]
    assert bench.cache.stat().st_mode & 0o077 == 0


def test_a_new_api_version_of_a_kind(api: ApiServer, bench: _Bench) -> None:
    """After a kind is served at another API version, a skipping capture gives the tree of a full capture.

    The object keeps its resource version, and its file has the API version of the request.
    """
    group, kind, plural = api.install_late_kind()
    definition = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}"
    body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "w"}}
    api.ask("POST", f"/apis/{group}/v1/namespaces/default/{plural}", body)
    added = (ResourceSelector(Kind(group, kind)),)
    first = bench.capture(resources=added)

    made = api.ask("GET", definition)
    (old,) = made["spec"]["versions"]
    made["spec"]["versions"] = [old, {**old, "name": "v2", "storage": False}]
    api.ask("PUT", definition, made)
    _wait_until(lambda: _served(api, Kind(group, kind)) == "v2")
    quick = bench.capture(resources=added)

    assert quick.commit != first.commit
    assert bench.capture(full=True, resources=added).commit == quick.commit


def _served(api: ApiServer, kind: Kind) -> str:
    resource = connect(kubeconfig=str(api.kubeconfig())).resource_type(kind)
    return resource.version if resource else ""


def _wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("the API server does not serve the new version")
