"""Kubernetes' own kinds: the fields that the API server and its controllers fill in, and the objects that they create.

A capture of the kinds that a policy adds excludes these fields and objects. Each row of a table has a condition that
distinguishes a value that was filled in from a value that a user chose. A field without a row counts as the user's
intent, for example ``revisionHistoryLimit`` or an empty mapping. Sources: the Kubernetes API reference, and the
behaviour of kube-apiserver 1.37.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gitsnap.core.model import JsonObject, Kind

APPS, BATCH, RBAC = "apps", "batch", "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"

CORE_KINDS = frozenset(
    Kind("", name)
    for name in (
        "Binding", "ComponentStatus", "ConfigMap", "Endpoints", "Event", "LimitRange", "Namespace", "Node",
        "PersistentVolume", "PersistentVolumeClaim", "Pod", "PodTemplate", "ReplicationController", "ResourceQuota",
        "Secret", "Service", "ServiceAccount",
    )
)  # fmt: skip
"""All kinds of the core group. New kinds of Kubernetes are added to named groups only."""

NEVER_CONFIGURATION = frozenset(
    {
        Kind("", "ComponentStatus"),
        Kind("", "Endpoints"),
        Kind("", "Event"),
        Kind("certificates.k8s.io", "CertificateSigningRequest"),
        Kind("coordination.k8s.io", "Lease"),
        Kind("discovery.k8s.io", "EndpointSlice"),
        Kind("events.k8s.io", "Event"),
        Kind("metrics.k8s.io", "NodeMetrics"),
        Kind("metrics.k8s.io", "PodMetrics"),
        Kind("storage.k8s.io", "CSINode"),
        Kind("storage.k8s.io", "CSIStorageCapacity"),
        Kind("storage.k8s.io", "VolumeAttachment"),
    }
)
"""Kinds whose objects report events and states of the cluster."""

CONTROLLER_ANNOTATIONS = frozenset(
    {
        "autoscaling.alpha.kubernetes.io/conditions",
        "autoscaling.alpha.kubernetes.io/current-metrics",
        "batch.kubernetes.io/job-tracking",
        "control-plane.alpha.kubernetes.io/leader",
        "deployment.kubernetes.io/revision",
        "deprecated.daemonset.template.generation",
        "endpoints.kubernetes.io/last-change-trigger-time",
        "kubernetes.io/service-account.uid",
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
        "volume.beta.kubernetes.io/storage-provisioner",
        "volume.kubernetes.io/selected-node",
        "volume.kubernetes.io/storage-provisioner",
    }
)
"""Annotations that controllers write on objects of any kind."""

Condition = Callable[[Mapping[str, Any]], bool]
"""A condition on an object as the API server returned it."""


def _always(_document: Mapping[str, Any]) -> bool:
    return True


def _has_annotation(*keys: str) -> Condition:
    return lambda document: any(key in _annotations(document) for key in keys)


def _annotations(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return (document.get("metadata") or {}).get("annotations") or {}


def _unless_managed(*path: str) -> Condition:
    """True unless ``managedFields`` names a manager of the field: values that the server allocates have no manager.

    An object without ``managedFields``, such as one from a file, does not show who wrote the field. The condition is
    then False, and the value stays.
    """

    def is_filled_in(document: Mapping[str, Any]) -> bool:
        """Entries for a subresource, such as status, do not count: controllers write subresources."""
        entries = (document.get("metadata") or {}).get("managedFields") or ()
        for entry in entries:
            fields: Any = entry.get("fieldsV1") or {}
            for name in path:
                fields = fields.get(f"f:{name}") if isinstance(fields, dict) else None
            if fields is not None and not entry.get("subresource"):
                return False
        return bool(entries)

    return is_filled_in


def _is_address_allocated(document: Mapping[str, Any]) -> bool:
    """The value ``None`` requests a headless Service and is a choice of the user."""
    spec = document.get("spec") or {}
    return spec.get("clusterIP") != "None" and _unless_managed("spec", "clusterIP")(document)


def _is_autoscaled(document: Mapping[str, Any]) -> bool:
    """The autoscaler writes the subresource scale as kube-controller-manager, ``kubectl scale`` as another manager."""
    return any(
        entry.get("subresource") == "scale" and entry.get("manager") == "kube-controller-manager"
        for entry in (document.get("metadata") or {}).get("managedFields") or ()
    )


def _is_aggregated(document: Mapping[str, Any]) -> bool:
    return bool(document.get("aggregationRule"))


def _has_generated_selector(document: Mapping[str, Any]) -> bool:
    return not (document.get("spec") or {}).get("manualSelector")


_IS_INJECTED = _has_annotation(
    "cert-manager.io/inject-ca-from",
    "cert-manager.io/inject-ca-from-secret",
    "cert-manager.io/inject-apiserver-ca",
    "service.beta.openshift.io/inject-cabundle",
)
_IS_BOUND = _has_annotation("pv.kubernetes.io/bound-by-controller")


@dataclass(frozen=True, slots=True)
class FilledField:
    """One row: a field that the server or a controller fills in if the condition holds."""

    kind: Kind
    path: str
    """The path of the field, such as ``spec.clusterIP``. ``[]`` stands for every element of a list, ``~1`` for a dot in
    a key."""
    when: Condition = _always

    @property
    def conditional(self) -> bool:
        """Whether the row has a condition on the object."""
        return self.when is not _always


_TEMPLATES = (
    (Kind(APPS, "DaemonSet"), "spec.template"),
    (Kind(APPS, "Deployment"), "spec.template"),
    (Kind(APPS, "ReplicaSet"), "spec.template"),
    (Kind(APPS, "StatefulSet"), "spec.template"),
    (Kind(APPS, "StatefulSet"), "spec.volumeClaimTemplates[]"),
    (Kind(BATCH, "CronJob"), "spec.jobTemplate"),
    (Kind(BATCH, "CronJob"), "spec.jobTemplate.spec.template"),
    (Kind(BATCH, "Job"), "spec.template"),
)
_JOB_LABELS = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")

FILLED_FIELDS: tuple[FilledField, ...] = (
    FilledField(Kind("", "Namespace"), "metadata.labels.kubernetes~1io/metadata~1name"),
    FilledField(Kind("", "Namespace"), "spec.finalizers"),
    FilledField(Kind("", "PersistentVolume"), "spec.claimRef", _IS_BOUND),
    FilledField(Kind("", "PersistentVolume"), "spec.claimRef.resourceVersion"),
    FilledField(Kind("", "PersistentVolume"), "spec.claimRef.uid"),
    FilledField(Kind("", "PersistentVolumeClaim"), "spec.volumeName", _IS_BOUND),
    FilledField(Kind("", "Pod"), "spec.nodeName", _unless_managed("spec", "nodeName")),
    FilledField(Kind("", "Service"), "spec.clusterIP", _is_address_allocated),
    FilledField(Kind("", "Service"), "spec.clusterIPs", _is_address_allocated),
    FilledField(Kind("", "Service"), "spec.healthCheckNodePort", _unless_managed("spec", "healthCheckNodePort")),
    FilledField(Kind(ADMISSION, "MutatingWebhookConfiguration"), "webhooks[].clientConfig.caBundle", _IS_INJECTED),
    FilledField(Kind(ADMISSION, "ValidatingWebhookConfiguration"), "webhooks[].clientConfig.caBundle", _IS_INJECTED),
    FilledField(
        Kind("apiextensions.k8s.io", "CustomResourceDefinition"),
        "spec.conversion.webhook.clientConfig.caBundle",
        _IS_INJECTED,
    ),
    FilledField(Kind("apiregistration.k8s.io", "APIService"), "spec.caBundle", _IS_INJECTED),
    *(FilledField(Kind(APPS, name), "spec.replicas", _is_autoscaled) for name in ("Deployment", "StatefulSet")),
    *(FilledField(kind, f"{path}.metadata.creationTimestamp") for kind, path in _TEMPLATES),
    FilledField(Kind(BATCH, "Job"), "spec.selector", _has_generated_selector),
    *(
        FilledField(
            Kind(BATCH, "Job"), f"spec.template.metadata.labels.{label.replace('.', '~1')}", _has_generated_selector
        )
        for label in _JOB_LABELS
    ),
    FilledField(Kind(RBAC, "ClusterRole"), "rules", _is_aggregated),
)
"""The fields that the API server and its controllers fill in."""


def _by_kind() -> dict[Kind, list[tuple[tuple[str, ...], Condition]]]:
    rows: dict[Kind, list[tuple[tuple[str, ...], Condition]]] = {}
    for row in FILLED_FIELDS:
        parts = row.path.replace("[]", ".[]").split(".")
        rows.setdefault(row.kind, []).append((tuple(part.replace("~1", ".") for part in parts), row.when))
    return rows


_ROWS = _by_kind()


def without_filled(raw: JsonObject, document: JsonObject) -> JsonObject:
    """``document`` without the fields that the API server and its controllers filled in.

    ``raw`` is the object as the API server returned it; the conditions are evaluated on ``raw``. ``document`` is the
    part of the object to archive. A mapping that becomes empty is removed as well.
    """
    for path, when in _ROWS.get(Kind.of(raw), ()):
        if when(raw):
            document = _without(document, path)
    return document


def _without(value: Any, path: tuple[str, ...]) -> Any:
    """A copy of a value without the field at a path; the same value if there is no such field."""
    name, rest = path[0], path[1:]
    if name == "[]":
        return [_without(entry, rest) for entry in value] if isinstance(value, list) else value
    if not isinstance(value, dict) or name not in value:
        return value
    inner = _without(value[name], rest) if rest else None
    if inner is value[name] and rest:
        return value
    kept = {field: entry for field, entry in value.items() if field != name}
    if rest and (inner or not isinstance(inner, dict | list) or not value[name]):
        return {field: inner if field == name else entry for field, entry in value.items()}
    return kept


_KUBERNETES_FINALIZER = re.compile(r"(?:foregroundDeletion|orphan|(?:[a-z0-9.-]+\.)?(?:kubernetes|k8s)\.io/.*)")


def own_finalizers(raw: JsonObject) -> list[str]:
    """The finalizers of an object without those of Kubernetes itself, in their order."""
    finalizers = (raw.get("metadata") or {}).get("finalizers") or ()
    return [name for name in finalizers if not _KUBERNETES_FINALIZER.fullmatch(str(name))]


MADE_BY_KUBERNETES: tuple[tuple[frozenset[Kind], Condition], ...] = (
    # Kinds, and the condition that recognizes an object that Kubernetes created. Except for Secrets, a condition reads
    # the metadata only, so that a list of metadata leaves out the same objects as a list of whole objects.
    (
        frozenset({Kind("", "ConfigMap")}),
        lambda document: (
            document["metadata"].get("name") in ("kube-root-ca.crt", "openshift-service-ca.crt")
            or "control-plane.alpha.kubernetes.io/leader" in _annotations(document)
        ),
    ),
    (
        frozenset({Kind("", "Secret")}),
        lambda document: (
            document.get("type") in ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
        ),
    ),
    (
        frozenset({Kind("", "Service")}),
        lambda document: (
            (document["metadata"].get("namespace"), document["metadata"].get("name")) == ("default", "kubernetes")
        ),
    ),
    (
        frozenset({Kind("scheduling.k8s.io", "PriorityClass")}),
        lambda document: str(document["metadata"].get("name")).startswith("system-"),
    ),
    (
        frozenset(Kind(RBAC, name) for name in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")),
        lambda document: "kubernetes.io/bootstrapping" in (document["metadata"].get("labels") or ()),
    ),
    (
        frozenset({Kind("apiregistration.k8s.io", "APIService")}),
        lambda document: "kube-aggregator.kubernetes.io/automanaged" in (document["metadata"].get("labels") or ()),
    ),
    (
        frozenset(Kind("flowcontrol.apiserver.k8s.io", name) for name in ("FlowSchema", "PriorityLevelConfiguration")),
        lambda document: _annotations(document).get("apf.kubernetes.io/autoupdate-spec") == "true",
    ),
)


def is_made_by_kubernetes(document: Mapping[str, Any]) -> bool:
    """Whether a server or its controllers create an object in every cluster.

    ``document`` is the object as the API server returned it.
    """
    return any(mark(document) for mark in _marks_of(Kind.of(document)))


@lru_cache(maxsize=1024)
def _marks_of(kind: Kind) -> tuple[Condition, ...]:
    return tuple(mark for of_kinds, mark in MADE_BY_KUBERNETES if kind in of_kinds)


def is_helm_release(document: Mapping[str, Any]) -> bool:
    """Whether an object is a Secret in which Helm stores a release."""
    return Kind.of(document) == Kind("", "Secret") and document.get("type") == "helm.sh/release.v1"
