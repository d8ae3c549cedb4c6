"""Trees in memory, built from objects of an API server with the real normalization, distillation and references.

They stand in for a capture, so that comparisons can be tested without a cluster and an archive.
This module must not be imported by the package.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitsnap.core.model import (
    Area,
    BlobId,
    IncompleteKind,
    JsonObject,
    Kind,
    ObjectKey,
    ResourceSelector,
    SecretsInfo,
    SecretsMode,
    TreeInfo,
)
from gitsnap.core.objects import KubeObject
from gitsnap.format import encode, iterate_documents, load_documents, path_of
from gitsnap.format.masking import mask_secret
from gitsnap.sveltos import generated, inventory, kinds
from gitsnap.sveltos.matching import ClusterRef, matching_clusters
from gitsnap.sveltos.normalize import normalize, terminating
from gitsnap.sveltos.references import Reference, Unresolved, UnresolvedReason, references

KEY = b"k" * 32
"""The default fingerprint key."""


@dataclass
class MemoryTree:
    """A ports.Tree whose contents are in memory."""

    info: TreeInfo
    areas: dict[Area, dict[str, BlobId]] = field(default_factory=lambda: {area: {} for area in Area})
    contents: dict[BlobId, bytes] = field(default_factory=dict)
    incomplete: tuple[IncompleteKind, ...] = ()
    reads: int = 0
    """The number of reads."""

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the area -> content id."""
        return self.areas[area]

    def read(self, blob: BlobId) -> bytes:
        """The content behind an id."""
        self.reads += 1
        return self.contents[blob]

    def put(self, area: Area, path: str, document: Any) -> None:
        """Store a file."""
        content = encode(document)
        blob = BlobId(hashlib.sha1(content, usedforsecurity=False).hexdigest())
        self.contents[blob] = content
        self.areas[area][path] = blob


def tree_info(
    *,
    mode: SecretsMode = SecretsMode.REDACT,
    captured: Iterable[Kind] = kinds.CAPTURED_KINDS,
    resources: tuple[ResourceSelector, ...] = (),
    key_id: str = "key",
) -> TreeInfo:
    """The metadata of a tree of the policy ``test``."""
    return TreeInfo("test", "test", tuple(sorted(captured)), SecretsInfo(mode, key_id), resources)


def build(
    objects: Iterable[JsonObject],
    *,
    info: TreeInfo | None = None,
    incomplete: tuple[IncompleteKind, ...] = (),
    key: bytes = KEY,
) -> MemoryTree:
    """The tree that a capture of these objects writes: user kinds, inventory and referenced objects."""
    tree = MemoryTree(info or tree_info(), incomplete=incomplete)
    missing = {entry.kind for entry in incomplete}
    present = {ObjectKey.of(raw): raw for raw in objects if not terminating(raw) and Kind.of(raw) not in missing}
    captured = frozenset(tree.info.kinds) | {selector.kind for selector in tree.info.resources}
    owned = frozenset[str]().union(
        *(
            inventory.classifier_labels(raw)
            for at, raw in present.items()
            if at.kind in (kinds.CLASSIFIER, kinds.MANAGEMENT_CLUSTER_CLASSIFIER)
        )
    )
    for at, raw in present.items():
        if at.kind in captured - kinds.REFERENCED_KINDS:
            _store(tree, raw, owned, key)
    unresolved: set[Unresolved] = set()
    wanted: set[ObjectKey] = set()
    for reference in _references(present):
        target = present.get(reference.target)
        if reference.unresolved is not None or target is None:
            unresolved.add(reference.as_unresolved())
        elif reference.target.kind not in captured:
            unresolved.add(reference.as_unresolved(UnresolvedReason.OMITTED))
        else:
            wanted.add(reference.target)
    for at in wanted | {at for at in present if any(selector.kind == at.kind for selector in tree.info.resources)}:
        _store(tree, present[at], owned, key)
    if unresolved:
        tree.put(
            Area.INVENTORY,
            "unresolved.yaml",
            {"unresolved": [_unresolved(reference) for reference in sorted(unresolved)]},
        )
    return tree


def _references(present: Mapping[ObjectKey, JsonObject]) -> list[Reference]:
    clusters = {
        ClusterRef.of(raw): raw["metadata"].get("labels") or {}
        for at, raw in present.items()
        if at.kind in kinds.CLUSTER_KINDS
    }
    sets = {at: raw for at, raw in present.items() if at.kind in (kinds.SET, kinds.CLUSTER_SET)}
    return [
        reference
        for raw in present.values()
        if generated.origin_of(KubeObject.of(raw)) is None
        for reference in references(raw, matching_clusters(raw, clusters, sets))
    ]


def _store(tree: MemoryTree, raw: JsonObject, owned: frozenset[str], key: bytes) -> None:
    at = ObjectKey.of(raw)
    if at.kind not in kinds.INVENTORY_KINDS:
        if generated.origin_of(KubeObject.of(raw)) is not None:
            return
        document = normalize(raw, controller_labels=owned)
        if at.kind == kinds.SECRET and tree.info.secrets.mode is not SecretsMode.PLAINTEXT:
            document = mask_secret(document, key)
        tree.put(Area.CONFIGURATION, path_of(at), document)
    distilled = inventory.distill(KubeObject.of(raw), controller_labels=owned)
    if distilled is not None:
        tree.put(Area.INVENTORY, path_of(at), distilled)


def _unresolved(reference: Unresolved) -> JsonObject:
    return {
        "by": {"kind": str(reference.by.kind), "namespace": reference.by.namespace, "name": reference.by.name},
        "kind": str(reference.target.kind),
        "namespace": reference.target.namespace,
        "name": reference.target.name,
        "reason": str(reference.reason),
    }


def load_folder(folder: Path) -> list[JsonObject]:
    """All objects in the YAML files of a folder, as ``kubectl get -o yaml`` prints them."""
    objects: list[JsonObject] = []
    for file in sorted(folder.glob("*.yaml")):
        objects += iterate_documents(load_documents(file.read_bytes(), file.name), file.name)
    return objects


# Objects of an API server ------------------------------------------------------------------------------------------

W = ClusterRef(kinds.SVELTOS_CLUSTER, "default", "west")
O = ClusterRef(kinds.CAPI_CLUSTER, "tenant-a", "orders")  # noqa: E741 - the recordings use these letters
_API_VERSIONS = {kinds.SVELTOS_CLUSTER: "lib.projectsveltos.io/v1beta1", kinds.CAPI_CLUSTER: "cluster.x-k8s.io/v1beta2"}


def cluster(ref: ClusterRef, **labels: str) -> JsonObject:
    """A managed cluster."""
    return {
        "apiVersion": _API_VERSIONS[ref.kind],
        "kind": ref.kind.name,
        "metadata": {"namespace": ref.namespace, "name": ref.name, "labels": labels},
        "spec": {},
    }


def config_map(name: str, data: Mapping[str, str], namespace: str = "default", **metadata: Any) -> JsonObject:
    """A ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, **metadata},
        "data": dict(data),
    }


def secret(name: str, data: Mapping[str, str], namespace: str = "default", **metadata: Any) -> JsonObject:
    """A Secret of the type that Sveltos deploys."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "addons.projectsveltos.io/cluster-profile",
        "metadata": {"namespace": namespace, "name": name, **metadata},
        "data": {field: base64.b64encode(value.encode()).decode() for field, value in data.items()},
    }


def profile(name: str, spec: JsonObject, *matching: ClusterRef, namespace: str = "") -> JsonObject:
    """A ClusterProfile, or a Profile if there is a namespace, whose status lists the matching clusters."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    refs = [
        {"apiVersion": _API_VERSIONS[ref.kind], "kind": ref.kind.name, "namespace": ref.namespace, "name": ref.name}
        for ref in matching
    ]
    return {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "Profile" if namespace else "ClusterProfile",
        "metadata": metadata,
        "spec": spec,
        "status": {"matchingClusters": refs},
    }


def policy_ref(name: str, kind: str = "ConfigMap", namespace: str = "default", **more: Any) -> JsonObject:
    """An entry of ``policyRefs``."""
    return {"kind": kind, "namespace": namespace, "name": name, **more}


def inventory_of(ref: ClusterRef, *profiles: JsonObject) -> JsonObject:
    """A ClusterConfiguration. ``profiles`` are entries that ``deployed_by`` returns."""
    return {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterConfiguration",
        "metadata": {
            "namespace": ref.namespace,
            "name": f"{ref.type}--{ref.name}",
            "labels": {
                "projectsveltos.io/cluster-name": ref.name,
                "projectsveltos.io/cluster-type": ref.type.capitalize(),
            },
        },
        "status": {
            "clusterProfileResources": [entry for entry in profiles if "clusterProfileName" in entry],
            "profileResources": [entry for entry in profiles if "profileName" in entry],
        },
    }


def deployed_by(
    name: str,
    *resources: str,
    charts: Iterable[JsonObject] = (),
    feature: str = "Resources",
    namespaced: bool = False,
) -> JsonObject:
    """The inventory entry of a profile.

    A resource is written as ``group/Kind namespace/name``; the prefix ``Local `` marks a resource in the management
    cluster. ``namespaced``: the profile is a Profile.
    """
    features: list[JsonObject] = []
    if resources:
        features.append({"featureID": feature, "resources": [_entry(text) for text in resources]})
    if listed := list(charts):
        features.append({"featureID": "Helm", "charts": listed})
    return {"profileName" if namespaced else "clusterProfileName": name, "Features": features}


def _entry(text: str) -> JsonObject:
    local = text.startswith("Local ")
    kind, place = text.removeprefix("Local ").split(" ")
    group, _, name = kind.rpartition("/")
    namespace, _, resource = place.rpartition("/")
    return {
        "group": group,
        "kind": name,
        "version": "v1",
        "name": resource,
        "lastAppliedTime": "2026-01-01T00:00:00Z",
        "deploymentType": "Local" if local else "Remote",
        **({"namespace": namespace} if namespace else {}),
    }


def summary(ref: ClusterRef, name: str, *, namespaced: bool = False, **features: str) -> JsonObject:
    """The ClusterSummary of a profile. A feature is ``Resources="Provisioned hash"``. ``namespaced``: of a Profile."""
    prefix, label = ("p--", "profile-name") if namespaced else ("", "cluster-profile-name")
    return {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterSummary",
        "metadata": {
            "namespace": ref.namespace,
            "name": f"{prefix}{name}-{ref.type}-{ref.name}",
            "labels": {
                "projectsveltos.io/cluster-name": ref.name,
                "projectsveltos.io/cluster-type": ref.type.capitalize(),
                f"projectsveltos.io/{label}": name,
            },
        },
        "spec": {"clusterNamespace": ref.namespace, "clusterName": ref.name, "clusterType": ref.type.capitalize()},
        "status": {
            "featureSummaries": [
                {"featureID": feature, "status": value.partition(" ")[0], "hash": value.partition(" ")[2]}
                for feature, value in features.items()
            ]
        },
    }
