"""Archives for the tests of ``gitsnap web``: many clusters, samples and archives, and hostile names and contents.

This module must not be imported by the package.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.history import make_archive
from tests.support.commands import gitsnap

EVIL = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}\x1b[31m\x9b\u202e\u2066\u200b\ufeff\x07"
)
_CONFIG = "config.projectsveltos.io/v1beta1"
_CLUSTERS = 400


def _write(folder: Path, name: str, document: dict[str, Any]) -> None:
    (folder / f"{name}.json").write_text(json.dumps(document))


def _config_map(name: str, data: dict[str, str], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "data": data,
    }


def _capture(folder: Path, policy: str, *words: str) -> None:
    (folder / "s").mkdir(exist_ok=True)
    options = ("--storage", "s", "--from-dir", "cluster", "--secrets-mode", "omit", *words)
    gitsnap(folder, "capture", "--snapshot", policy, *options, code=0)


def make_fleet_archive(folder: Path) -> None:
    """Make the archive ``s/fleet`` of two samples: a ConfigMap that 400 managed clusters use changes."""
    cluster = folder / "cluster"
    cluster.mkdir()
    names = [
        f"a-cluster-with-a-rather-long-name-in-the-north-of-europe-cluster-{number}" for number in range(_CLUSTERS)
    ]
    profile = {
        "apiVersion": _CONFIG,
        "kind": "ClusterProfile",
        "metadata": {"name": "web"},
        "spec": {
            "clusterSelector": {"matchLabels": {"env": "prod"}},
            "policyRefs": [{"kind": "ConfigMap", "namespace": "default", "name": "web"}],
        },
    }
    _write(cluster, "profile", profile)
    for name in names:
        managed = {
            "apiVersion": "lib.projectsveltos.io/v1beta1",
            "kind": "SveltosCluster",
            "metadata": {"name": name, "namespace": "fleet", "labels": {"env": "prod"}},
            "spec": {},
        }
        _write(cluster, name, managed)
    for port in (80, 81):
        head = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: web}"
        service = f"{head}\nspec: {{ports: [{{port: {port}}}]}}\n"
        _write(cluster, "web", _config_map("web", {"web.yaml": service}))
        for name in names:
            _write(cluster, f"{name}-deployed", _configuration(name, f"web-{port}"))
        _capture(folder, "fleet")


def _configuration(name: str, service_name: str) -> dict[str, Any]:
    """Return the report of Sveltos that a Service is deployed in a cluster."""
    service = {"group": "", "kind": "Service", "name": service_name, "namespace": "web", "version": "v1"}
    features = [{"featureID": "Resources", "resources": [service]}]
    return {
        "apiVersion": _CONFIG,
        "kind": "ClusterConfiguration",
        "metadata": {
            "name": f"sveltos--{name}",
            "namespace": "fleet",
            "labels": {"projectsveltos.io/cluster-name": name, "projectsveltos.io/cluster-type": "Sveltos"},
        },
        "status": {"clusterProfileResources": [{"clusterProfileName": "web", "Features": features}]},
    }


def make_many_archives(folder: Path) -> None:
    """Make ``s/gone`` of three samples, of which the second deletes a ConfigMap, and seven archives of 120 samples.

    A page of the timeline has less than 120 samples, and the overview has cards for less than eight archives.
    """
    cluster = folder / "cluster"
    cluster.mkdir()
    for data in ({"a": "1"}, {"a": "2"}, None, None):
        (cluster / "gone.json").unlink(missing_ok=True)
        if data is not None:
            _write(cluster, "gone", _config_map("gone", data))
        _write(cluster, "other", _config_map("other", {"exists": str(data is not None)}))
        _capture(folder, "gone", "--resources", "ConfigMap")
    make_archive(folder / "s", samples=120, objects=3)
    for number in range(6):
        shutil.copytree(folder / "s" / "hourly", folder / "s" / f"team-{number}")


def make_hostile_archive(folder: Path) -> None:
    """Make the archive ``s/p`` of two samples with hostile texts in every place that pages show."""
    cluster = folder / "cluster"
    cluster.mkdir()
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": EVIL, "labels": {EVIL: EVIL}},
    }
    for number, rule in enumerate(("pods", EVIL)):
        _write(cluster, "role", {**role, "rules": [{"apiGroups": [""], "resources": [rule], "verbs": ["get"]}]})
        long = {"line": "x" * 1_000_000 + rule, "lines": f"{rule}\n" * 5_000, EVIL.replace("/", ""): EVIL}
        _write(cluster, "long", _config_map("a" * 253, long, managedFields=[_manager(number)]))
        document = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {json.dumps(rule)}\ndata: {{a: b}}\n"
        _write(cluster, "document", _config_map("document", {"evil.yaml": document}))
        _capture(folder, "p", "--resources", "ClusterRole.rbac.authorization.k8s.io", "--resources", "ConfigMap",
                 "--message", "<script>alert(1)</script>")  # fmt: skip


def _manager(number: int) -> dict[str, Any]:
    return {
        "manager": "<b>kubectl",
        "operation": "Update",
        "time": f"2026-01-0{number + 1}T00:00:00Z",
        "apiVersion": "v1",
    }
