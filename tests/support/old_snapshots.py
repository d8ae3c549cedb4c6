"""Folders in the format of the old Sveltos Snapshot feature: whole objects of the server, with plain Secrets.

This module must not be imported by the package.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from gitsnap.format import encode

CANARY = "canary-9d21"
_CLUSTER = "clusterapi-workload"


def write(storage: Path, snapshot: str, date: str, *, selector: str = "redis", password: str = CANARY) -> Path:
    """Write a sample: a cluster, a profile, the objects that it refers to, and the inventory."""
    folder = storage / "snapshot" / snapshot / date
    _put(folder, "", "ClusterProfile", "guestbook", "config.projectsveltos.io/v1beta1", **_profile())
    _put(folder, "default", "SveltosCluster", _CLUSTER, "lib.projectsveltos.io/v1beta1", spec={"paused": False})
    service = f"kind: Service\napiVersion: v1\nmetadata:\n  name: redis\n  namespace: test\nspec:\n  app: {selector}\n"
    _put(folder, "default", "ConfigMap", "database", "v1", data={"database.yaml": service})
    values = {"password": base64.b64encode(password.encode()).decode()}
    _put(folder, "default", "Secret", "login", "v1", data=values, type="addons.projectsveltos.io/cluster-profile")
    _put(folder, "default", "ClusterConfiguration", f"sveltos--{_CLUSTER}", **_inventory())
    return folder


def _put(folder: Path, namespace: str, kind: str, name: str, version: str = "", **content: Any) -> None:
    metadata: dict[str, Any] = {
        "name": name,
        "uid": f"uid-of-{name}",
        "resourceVersion": "4711",
        "generation": 2,
        "creationTimestamp": "2023-08-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl", "operation": "Update", "time": "2023-08-25T00:00:00Z"}],
        **({"namespace": namespace} if namespace else {}),
        **content.pop("metadata", {}),
    }
    file = folder / namespace / kind / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    version = version or "config.projectsveltos.io/v1beta1"
    file.write_bytes(encode({"apiVersion": version, "kind": kind, "metadata": metadata, **content}))


def _profile() -> dict[str, Any]:
    cluster = {"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "SveltosCluster", "namespace": "default"}
    return {
        "metadata": {"finalizers": ["clusterprofilefinalizer.projectsveltos.io"]},
        "spec": {
            "clusterSelector": {"matchLabels": {"env": "fv"}},
            "policyRefs": [
                {"kind": "ConfigMap", "name": "database", "namespace": "default"},
                {"kind": "Secret", "name": "login", "namespace": "default"},
            ],
        },
        "status": {"matchingClusters": [{**cluster, "name": _CLUSTER}]},
    }


def _inventory() -> dict[str, Any]:
    owner = {"kind": "ConfigMap", "namespace": "default", "name": "database"}
    entry = {"name": "redis", "namespace": "test", "kind": "Service", "group": "", "version": "v1", "owner": owner}
    entry["lastAppliedTime"] = "2023-08-25T00:00:00Z"
    features = [{"featureID": "Resources", "resources": [entry]}]
    labels = {"projectsveltos.io/cluster-name": _CLUSTER, "projectsveltos.io/cluster-type": "Sveltos"}
    return {
        "metadata": {"labels": labels},
        "status": {"clusterProfileResources": [{"clusterProfileName": "guestbook", "Features": features}]},
    }
