"""Kinds of Kubernetes: fields that a server fills in are not archived and stay as they are in the cluster."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from gitsnap.core.model import JsonObject, Kind
from gitsnap.core.objects import KubeObject
from gitsnap.kube.server_fields import FILLED_FIELDS, MADE_BY_KUBERNETES
from gitsnap.sveltos import generated, kinds, restore
from gitsnap.sveltos.generated import Origin
from gitsnap.sveltos.normalize import normalize


def _object(api_version: str, kind: str, *, metadata: Any = None, **fields: Any) -> JsonObject:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "namespace": "n", **(metadata or {})},
        **fields,
    }


def _managed(*paths: str, manager: str = "kubectl", subresource: str = "") -> JsonObject:
    fields: JsonObject = {}
    for path in paths:
        inner = fields
        for name in path.split("."):
            inner = inner.setdefault(f"f:{name}", {})
    entry = {"manager": manager, "operation": "Update", "fieldsV1": fields}
    return {"managedFields": [{**entry, "subresource": subresource} if subresource else entry]}


_ANNOTATED = {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}}
_INJECTED = {"annotations": {"cert-manager.io/inject-ca-from": "n/c"}}
_HOOK: JsonObject = {"name": "a.example.com", "clientConfig": {"caBundle": "QQ==", "url": "https://x"}}

CASES: list[tuple[JsonObject, str, Any]] = [
    (
        _object("v1", "Service", metadata=_managed("spec.ports"), spec={"clusterIP": "10.0.0.1", "a": 1}),
        "spec",
        {"a": 1},
    ),
    (
        _object("v1", "Service", metadata=_managed("spec.clusterIP"), spec={"clusterIP": "10.0.0.1"}),
        "spec",
        {"clusterIP": "10.0.0.1"},
    ),
    (_object("v1", "Service", metadata=_managed(), spec={"clusterIP": "None"}), "spec", {"clusterIP": "None"}),
    (_object("v1", "Service", spec={"clusterIP": "10.0.0.1"}), "spec", {"clusterIP": "10.0.0.1"}),
    (_object("v1", "Namespace", spec={"finalizers": ["kubernetes"]}), "spec", None),
    (
        _object("v1", "PersistentVolumeClaim", metadata=_ANNOTATED, spec={"volumeName": "v", "volumeMode": "Block"}),
        "spec",
        {"volumeMode": "Block"},
    ),
    (_object("v1", "PersistentVolumeClaim", spec={"volumeName": "v"}), "spec", {"volumeName": "v"}),
    (
        _object("v1", "PersistentVolume", spec={"claimRef": {"name": "c", "uid": "u", "resourceVersion": "1"}}),
        "spec",
        {"claimRef": {"name": "c"}},
    ),
    (
        _object(
            "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", metadata=_INJECTED, webhooks=[_HOOK]
        ),
        "webhooks",
        [{"name": "a.example.com", "clientConfig": {"url": "https://x"}}],
    ),
    (_object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", webhooks=[_HOOK]), "webhooks", [_HOOK]),
    (
        _object(
            "apps/v1",
            "Deployment",
            metadata=_managed("spec.replicas", manager="kube-controller-manager", subresource="scale"),
            spec={"replicas": 7, "paused": False},
        ),
        "spec",
        {"paused": False},
    ),
    (
        _object("apps/v1", "Deployment", metadata=_managed("spec.replicas", subresource="scale"), spec={"replicas": 7}),
        "spec",
        {"replicas": 7},
    ),
    (
        _object(
            "apps/v1", "StatefulSet", spec={"template": {"metadata": {"creationTimestamp": None, "labels": {"a": "b"}}}}
        ),
        "spec",
        {"template": {"metadata": {"labels": {"a": "b"}}}},
    ),
    (
        _object("rbac.authorization.k8s.io/v1", "ClusterRole", aggregationRule={"clusterRoleSelectors": []}, rules=[1]),
        "rules",
        None,
    ),
    (_object("rbac.authorization.k8s.io/v1", "ClusterRole", rules=[{"verbs": ["get"]}]), "rules", [{"verbs": ["get"]}]),
    (_object("cert-manager.io/v1", "Issuer", spec={"selfSigned": {}}), "spec", {"selfSigned": {}}),
    (
        _object(
            "apps/v1", "Deployment", spec={"revisionHistoryLimit": 2, "progressDeadlineSeconds": 9, "strategy": {}}
        ),
        "spec",
        {"revisionHistoryLimit": 2, "progressDeadlineSeconds": 9, "strategy": {}},
    ),
]


@pytest.mark.parametrize(("raw", "field", "kept"), CASES)
def test_fields_that_a_server_fills_in_are_not_archived(raw: JsonObject, field: str, kept: Any) -> None:
    """Each row of the table with its condition. The object is not changed, and normalizing twice changes nothing."""
    before = copy.deepcopy(raw)
    archived = normalize(raw)

    assert archived.get(field) == kept
    assert raw == before
    assert normalize(archived) == archived


@pytest.mark.parametrize(("raw", "field", "kept"), CASES)
def test_writing_back_the_archived_object_changes_nothing(raw: JsonObject, field: str, kept: Any) -> None:  # noqa: ARG001
    """The update contains the fields that the server filled in."""
    live = {**raw, "metadata": {**raw["metadata"], "uid": "u", "resourceVersion": "1"}}
    normalized = normalize(live)

    assert (
        restore.build_update(restore.desired_object(normalized, normalized), live=live, normalized=normalized) == live
    )


def test_elements_of_lists_are_paired_by_name() -> None:
    """A webhook that is restored before another one does not get the certificate of the other one."""
    other = {"name": "b.example.com", "clientConfig": {"caBundle": "Qg==", "url": "https://y"}}
    live = _object(
        "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", metadata=_INJECTED, webhooks=[other]
    )
    archived = normalize({**live, "webhooks": [_HOOK, {**other, "timeoutSeconds": 3}]})
    normalized = normalize(live)

    written = restore.build_update(restore.desired_object(archived, normalized), live=live, normalized=normalized)

    assert [hook["clientConfig"] for hook in written["webhooks"]] == [
        {"url": "https://x"},
        {"url": "https://y", "caBundle": "Qg=="},
    ]


def test_finalizers() -> None:
    """Users' finalizers are archived, those of Kubernetes are not; a rollback adds finalizers and removes none."""
    names = ["foregroundDeletion", "kubernetes.io/pvc-protection", "x.k8s.io/y", "example.com/own"]
    archived = normalize(_object("apps/v1", "Deployment", metadata={"finalizers": names}, spec={}))
    assert archived["metadata"]["finalizers"] == ["example.com/own"]
    assert "finalizers" not in normalize(_object("v1", "ConfigMap", metadata={"finalizers": names}))["metadata"]

    live = _object("apps/v1", "Deployment", metadata={"finalizers": ["example.com/live", "orphan"]}, spec={})
    normalized = normalize(live)
    written = restore.build_update(restore.desired_object(archived, normalized), live=live, normalized=normalized)
    assert written["metadata"]["finalizers"] == ["example.com/live", "orphan", "example.com/own"]


@pytest.mark.parametrize(
    ("document", "origin"),
    [
        (_object("v1", "ConfigMap", metadata={"name": "kube-root-ca.crt"}), Origin.KUBERNETES),
        (_object("v1", "Service", metadata={"name": "kubernetes", "namespace": "default"}), Origin.KUBERNETES),
        (_object("v1", "Service", metadata={"name": "kubernetes", "namespace": "own"}), None),
        (_object("v1", "Secret", type="kubernetes.io/service-account-token"), Origin.KUBERNETES),
        (_object("v1", "Secret", type="helm.sh/release.v1"), Origin.HELM_RELEASE),
        (_object("v1", "Secret", type="Opaque"), None),
        (_object("scheduling.k8s.io/v1", "PriorityClass", metadata={"name": "system-x"}), Origin.KUBERNETES),
        (
            _object(
                "rbac.authorization.k8s.io/v1",
                "ClusterRole",
                metadata={"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
            ),
            Origin.KUBERNETES,
        ),
        (
            _object("apps/v1", "ReplicaSet", metadata={"ownerReferences": [{"controller": True}]}),
            Origin.OWNED,
        ),
    ],
)
def test_generated_objects_are_recognized(document: JsonObject, origin: Origin | None) -> None:
    """Objects that every cluster has, credentials, and state of tools are left out of a capture."""
    assert generated.origin_of(KubeObject.of(document)) is origin


class _MetadataOnly(dict[str, Any]):
    """An object of which only kind and metadata may be read."""

    def _look_up(self, field: str) -> Any:
        assert field in ("apiVersion", "kind", "metadata"), field
        return super().get(field)

    def get(self, field: str, default: Any = None) -> Any:
        found = self._look_up(field)
        return default if found is None else found

    __getitem__ = _look_up


@pytest.mark.parametrize(
    "kind", sorted({kind for kinds_of, _ in MADE_BY_KUBERNETES for kind in kinds_of} | kinds.CAPTURED_KINDS)
)
def test_metadata_suffice_to_recognize_generated_objects(kind: Kind) -> None:
    """Except Secrets: a list of metadata must leave out the same objects as a list of whole objects."""
    document = _MetadataOnly(apiVersion=f"{kind.group}/v1" if kind.group else "v1", kind=kind.name, metadata={})
    obj = replace(KubeObject.of({**document}), spec=_MetadataOnly(), raw=document)

    if kind == kinds.SECRET:
        with pytest.raises(AssertionError, match="type"):
            generated.origin_of(obj)
    else:
        assert generated.origin_of(obj) is None


def test_every_row_has_a_kind_that_a_policy_can_add() -> None:
    """The kinds of Sveltos have rules of their own."""
    assert all(row.kind not in kinds.CAPTURED_KINDS for row in FILLED_FIELDS)
