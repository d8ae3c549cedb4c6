"""Defects of the old Sveltos Snapshot feature that gitsnap avoids and that no other test module covers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitsnap.archive import open_archive
from gitsnap.core.model import Area
from tests.support.commands import gitsnap
from tests.testbed.apiserver import ApiServer
from tests.testbed.definitions import definitions
from tests.testbed.fixtures import SHARED

_PROFILE = """apiVersion: config.projectsveltos.io/v1beta1
kind: ClusterProfile
metadata:
  name: p
spec:
  clusterSelector:
    matchLabels:
      env: a
  policyRefs:
  - {kind: ConfigMap, namespace: "", name: "{{ .ClusterName }}-content"}
"""
_CLUSTER = """---
apiVersion: lib.projectsveltos.io/v1beta1
kind: SveltosCluster
metadata:
  name: CLUSTER
  namespace: NAMESPACE
  labels: {env: a}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: CLUSTER-content
  namespace: NAMESPACE
data: {a: b}
"""


def _capture(folder: Path, *arguments: str, policy: str = "hourly") -> subprocess.CompletedProcess[str]:
    return gitsnap(folder, "capture", "--create", "--snapshot", policy, "--secrets-mode", "omit", *arguments)


def test_defect_03_an_empty_namespace_is_that_of_each_cluster(tmp_path: Path) -> None:
    """One templated reference matches two clusters in two namespaces: both ConfigMaps are captured."""
    clusters = (("west", "team-a"), ("east", "team-b"))
    text = "".join(_CLUSTER.replace("CLUSTER", name).replace("NAMESPACE", place) for name, place in clusters)
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "all.yaml").write_text(_PROFILE + text)

    done = _capture(tmp_path, "--from-dir", "cluster")

    assert done.returncode == 0, done.stderr
    archive = open_archive(tmp_path, "hourly")
    files = archive.tree(archive.samples()[-1]).files(Area.CONFIGURATION)
    assert {"team-a/ConfigMap/west-content.yaml", "team-b/ConfigMap/east-content.yaml"} <= set(files)


def test_names_made_of_labels_are_followed(tmp_path: Path) -> None:
    """A template reads a label of the cluster: the capture includes the ConfigMap that Sveltos would deploy."""
    template = '{{ printf "%s-content" (index .Cluster.metadata.labels "zone") | lower }}'
    profile = _PROFILE.replace("{{ .ClusterName }}-content", template.replace('"', '\\"'))
    cluster = _CLUSTER.replace("{env: a}", "{env: a, zone: EU-1}").replace("NAMESPACE", "team-a")
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "all.yaml").write_text(profile + cluster.replace("CLUSTER-content", "eu-1-content"))

    done = _capture(tmp_path, "--from-dir", "cluster", "-o", "json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["unresolved"] == []
    archive = open_archive(tmp_path, "hourly")
    assert "team-a/ConfigMap/eu-1-content.yaml" in archive.tree(archive.samples()[-1]).files(Area.CONFIGURATION)


@pytest.fixture
def api_without_capi(api: ApiServer) -> Iterator[ApiServer]:
    """The server without Cluster API's Cluster, during the test."""
    name = "clusters.cluster.x-k8s.io"
    api.ask("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    for _ in range(200):
        if api.request("GET", "/apis/cluster.x-k8s.io")[0] == 404:
            break
        threading.Event().wait(0.1)
    yield api
    published = definitions(SHARED if SHARED.is_dir() else None)
    capi = [definition for definition in published if definition["metadata"]["name"] == name]
    for _ in range(200):  # the name is free when the old definition is gone
        if api.request("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")[0] == 404:
            break
        threading.Event().wait(0.1)
    api.install(capi)


def test_defect_04_a_cluster_without_cluster_api_is_captured(api_without_capi: ApiServer, tmp_path: Path) -> None:
    """A kind that is not installed counts as empty: no error, and the sample is complete."""
    done = _capture(tmp_path, "--kubeconfig", str(api_without_capi.kubeconfig()), "--allow-empty", "-o", "json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sample"]["incomplete"] == []


def test_defect_14_a_damaged_archive_hides_no_other(tmp_path: Path) -> None:
    """`list` shows the other archives, names the damaged one, and exits with the code for damage."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "p.yaml").write_text(_PROFILE)
    for policy in ("daily", "hourly"):
        assert _capture(tmp_path, "--from-dir", "cluster", policy=policy).returncode == 0
    shutil.rmtree(tmp_path / "daily" / ".git" / "objects")

    done = gitsnap(tmp_path, "list")

    assert "| hourly" in done.stdout
    assert "daily" in done.stderr
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    checked = gitsnap(tmp_path, "verify")
    whole = re.search(r"^hourly: 1 sample, newest [0-9a-f]{40}, nothing wrong$", checked.stdout, re.MULTILINE)
    assert (checked.returncode, bool(whole)) == (5, True)


def test_defect_17_tag_names_are_in_utc_and_unique(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tag names do not depend on the local time zone. A second sample within a second gets a number."""
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "p.yaml").write_text(_PROFILE)
    for _ in range(3):
        assert _capture(tmp_path, "--from-dir", "cluster").returncode == 0

    listed = json.loads(gitsnap(tmp_path, "list", "-o", "json").stdout)["samples"]

    for sample in listed:
        stamp = sample["tag"].partition("/")[2]
        assert stamp.startswith(sample["time"].replace(":", "-"))
        assert sample["time"].endswith("Z")
    assert [sample["sequence"] for sample in listed] == [1, 2, 3]
    assert len({sample["tag"] for sample in listed}) == 3
