"""The inventory: the stable part of the reports of Sveltos in ``status``, and the entries of a ClusterConfiguration.

A projection has the shape of its API object. It keeps the fields that identify an entry and those that change with its
content; it leaves out times, retry counters and messages, and sorts the lists. A redeployment of the same content,
which updates all timestamps, therefore changes no file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import KubeObject
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import STATUS_FIELDS, ClusterRef

CLUSTER_NAME_LABEL = "projectsveltos.io/cluster-name"
CLUSTER_TYPE_LABEL = "projectsveltos.io/cluster-type"
K8S_VERSION_LABEL = "projectsveltos.io/k8s-version"
HELM_RELEASE = "helm release"
"""The resource type of a Helm release. Other resources have the resource type of their kind."""

_SUMMARY_LABELS = (
    CLUSTER_NAME_LABEL,
    CLUSTER_TYPE_LABEL,
    "projectsveltos.io/cluster-profile-name",
    "projectsveltos.io/profile-name",
)
_RESOURCE_FIELDS = ("group", "kind", "version", "namespace", "name", "deploymentType", "owner")
_CHART_FIELDS = ("namespace", "releaseName", "repoURL", "chartVersion", "appVersion")
_RELEASE_SUMMARY_FIELDS = (
    "releaseNamespace",
    "releaseName",
    "repositoryName",
    "repoURL",
    "chartName",
    "chartVersion",
    "status",
    "valuesHash",
)
_PROFILE_LISTS = (
    ("clusterProfileResources", "clusterProfileName", kinds.CLUSTER_PROFILE),
    ("profileResources", "profileName", kinds.PROFILE),
)
_ARTIFACT_FIELDS = ("revision", "digest")
_MATCH_FIELDS = ("matchingClusters", "matchingClusterRefs", "selectedClusterRefs", "destinationMatchingClusterRefs")

LOCAL = "Local"
REMOTE = "Remote"


@dataclass(frozen=True, slots=True, order=True)
class DeployedResource:
    """A resource that a profile deployed to a managed cluster or, as ``Local``, to the management cluster."""

    kind: Kind
    namespace: str
    name: str
    deployment_type: str
    """``Remote`` or ``Local``. Part of the identity: a resource of the same name may be deployed to both clusters."""
    profile: ObjectKey
    feature: str
    """``Resources`` or ``Kustomize``."""
    version: str = ""
    applied: str = ""
    """Time of the last application, as the API writes it; ``""`` in an archived inventory."""
    owner: ObjectKey | None = None
    """The ConfigMap, Secret or Flux source of the resource; only Sveltos before 1.0 reports it."""

    @property
    def key(self) -> ObjectKey:
        """The key of the resource in its cluster."""
        return ObjectKey(self.kind, self.namespace, self.name)


@dataclass(frozen=True, slots=True, order=True)
class DeployedRelease:
    """A Helm release that a profile installed in a managed cluster."""

    namespace: str
    name: str
    profile: ObjectKey
    chart_version: str
    app_version: str = ""
    repo_url: str = ""
    applied: str = ""
    """Time of the last installation or upgrade; ``""`` in an archived inventory."""


def distill(obj: KubeObject, *, controller_labels: Collection[str] = ()) -> JsonObject | None:
    """The projection of an object for the archive's inventory, None for an object without one.

    ``controller_labels``: the label keys that classifiers set on clusters (see ``classifier_labels``).
    """
    if obj.kind == kinds.CLUSTER_CONFIGURATION:
        return _cluster_configuration(obj)
    if obj.kind == kinds.CLUSTER_SUMMARY:
        return _cluster_summary(obj)
    if obj.kind in kinds.CLUSTER_KINDS:
        return _controller_labels(obj, controller_labels)
    if obj.kind in kinds.SOURCE_KINDS:
        return _artifact(obj)
    if obj.kind in STATUS_FIELDS:
        return _matches(obj)
    return None


def classifier_labels(classifier: JsonObject) -> frozenset[str]:
    """The label keys that a Classifier or ManagementClusterClassifier sets on the clusters that it matches."""
    labels = (classifier.get("spec") or {}).get("classifierLabels") or ()
    return frozenset(str(label["key"]) for label in labels if label.get("key"))


def cluster_of(document: JsonObject) -> ClusterRef:
    """The cluster of a ClusterConfiguration or ClusterSummary, from its spec, its labels or its name, in this order."""
    obj = KubeObject.of(document)
    if obj.spec.get("clusterName"):
        kind = _cluster_kind(obj.spec.get("clusterType"))
        return ClusterRef(kind, str(obj.spec.get("clusterNamespace") or ""), str(obj.spec["clusterName"]))
    cluster_type, separator, name = obj.key.name.partition("--")
    if not separator:
        cluster_type, name = "", obj.key.name
    kind = _cluster_kind(obj.labels.get(CLUSTER_TYPE_LABEL) or cluster_type)
    return ClusterRef(kind, obj.key.namespace, str(obj.labels.get(CLUSTER_NAME_LABEL) or name))


def _cluster_kind(cluster_type: object) -> Kind:
    """``cluster_type`` is ``Capi`` or ``Sveltos`` in any case."""
    return kinds.CAPI_CLUSTER if str(cluster_type).lower() == "capi" else kinds.SVELTOS_CLUSTER


def profile_of(summary: JsonObject) -> ObjectKey | None:
    """The profile that a ClusterSummary belongs to, None if no label names it."""
    obj = KubeObject.of(summary)
    if name := obj.labels.get("projectsveltos.io/cluster-profile-name"):
        return ObjectKey(kinds.CLUSTER_PROFILE, "", str(name))
    if name := obj.labels.get("projectsveltos.io/profile-name"):
        return ObjectKey(kinds.PROFILE, obj.key.namespace, str(name))
    return None


def revision_of(source: JsonObject) -> str:
    """The revision in the status of a Flux source, ``""`` if there is none."""
    artifact = KubeObject.of(source).status.get("artifact") or {}
    return str(artifact.get("revision") or "")


def deployed(cluster_configuration: JsonObject) -> list[DeployedResource | DeployedRelease]:
    """The resources and releases that a ClusterConfiguration lists, in its order.

    The document may be live or archived, from Sveltos 0.54 or later.
    """
    return list(_deployed(cluster_configuration))


def _deployed(document: JsonObject) -> Iterator[DeployedResource | DeployedRelease]:
    obj = KubeObject.of(document)
    for field, name_field, kind in _PROFILE_LISTS:
        for entry in obj.status.get(field) or ():
            profile_namespace = obj.key.namespace if kind == kinds.PROFILE else ""
            profile = ObjectKey(kind, profile_namespace, str(entry.get(name_field, "")))
            for feature in entry.get("Features") or ():
                for resource in feature.get("resources") or ():
                    yield _resource(resource, profile, str(feature.get("featureID", "")))
                for chart in feature.get("charts") or ():
                    yield _release(chart, profile)


def _resource(entry: Mapping[str, Any], profile: ObjectKey, feature: str) -> DeployedResource:
    owner = entry.get("owner")
    return DeployedResource(
        kind=Kind(str(entry.get("group") or ""), str(entry.get("kind", ""))),
        namespace=str(entry.get("namespace") or ""),
        name=str(entry.get("name", "")),
        deployment_type=str(entry.get("deploymentType") or REMOTE),
        profile=profile,
        feature=feature,
        version=str(entry.get("version") or ""),
        applied=str(entry.get("lastAppliedTime") or ""),
        owner=ObjectKey(
            Kind("", str(owner.get("kind", ""))), str(owner.get("namespace") or ""), str(owner.get("name", ""))
        )
        if owner
        else None,
    )


def _release(entry: Mapping[str, Any], profile: ObjectKey) -> DeployedRelease:
    return DeployedRelease(
        namespace=str(entry.get("namespace") or ""),
        name=str(entry.get("releaseName", "")),
        profile=profile,
        chart_version=str(entry.get("chartVersion", "")),
        app_version=str(entry.get("appVersion") or ""),
        repo_url=str(entry.get("repoURL") or ""),
        applied=str(entry.get("lastAppliedTime") or ""),
    )


# Projections ------------------------------------------------------------------------------------------------------


def _cluster_configuration(obj: KubeObject) -> JsonObject | None:
    """Without the profiles and features that list nothing: these appear and disappear during a deployment."""
    kept: JsonObject = {}
    for field, name_field, _ in _PROFILE_LISTS:
        profiles = [
            {name_field: entry.get(name_field, ""), "Features": features}
            for entry in obj.status.get(field) or ()
            if (features := _features(entry.get("Features") or ()))
        ]
        if profiles:
            kept[field] = sorted(profiles, key=lambda profile: str(profile[name_field]))
    return _projection(obj, {"status": kept}, labels=_SUMMARY_LABELS) if kept else None


def _features(features: Iterable[Mapping[str, Any]]) -> list[JsonObject]:
    kept = []
    for feature in features:
        lists = {
            "charts": _picked(feature.get("charts") or (), _CHART_FIELDS, _chart_order),
            "resources": _picked(feature.get("resources") or (), _RESOURCE_FIELDS, _resource_order),
        }
        if filled := {field: entries for field, entries in lists.items() if entries}:
            kept.append({"featureID": feature.get("featureID", ""), **filled})
    return sorted(kept, key=lambda feature: str(feature["featureID"]))


def _picked(
    entries: Iterable[Mapping[str, Any]], fields: tuple[str, ...], order: Callable[[Mapping[str, Any]], Any]
) -> list[JsonObject]:
    return sorted(
        ({field: entry[field] for field in fields if entry.get(field) is not None} for entry in entries), key=order
    )


def _resource_order(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        str(entry.get(field, "")) for field in ("group", "kind", "namespace", "name", "deploymentType", "version")
    )


def _chart_order(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry.get(field, "")) for field in _CHART_FIELDS)


def _release_order(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry.get(field, "")) for field in _RELEASE_SUMMARY_FIELDS)


def _cluster_summary(obj: KubeObject) -> JsonObject:
    features = [
        {
            "featureID": feature.get("featureID", ""),
            "status": _state(feature),
            **({"hash": feature["hash"]} if feature.get("hash") else {}),
        }
        for feature in obj.status.get("featureSummaries") or ()
    ]
    releases = _picked(obj.status.get("helmReleaseSummaries") or (), _RELEASE_SUMMARY_FIELDS, _release_order)
    kept: JsonObject = {}
    if features:
        kept["featureSummaries"] = sorted(features, key=lambda feature: str(feature["featureID"]))
    if releases:
        kept["helmReleaseSummaries"] = releases
    cluster_fields = ("clusterNamespace", "clusterName", "clusterType")
    cluster = {field: obj.spec[field] for field in cluster_fields if field in obj.spec}
    return _projection(obj, {"spec": cluster, **({"status": kept} if kept else {})}, labels=_SUMMARY_LABELS)


def _state(feature: Mapping[str, Any]) -> str:
    """``Failed`` for a feature that Sveltos retries: its status is ``Provisioning`` during each attempt."""
    state = str(feature.get("status", ""))
    if state == "Provisioning" and feature.get("consecutiveFailures"):
        return "Failed"
    return state


def _matches(obj: KubeObject) -> JsonObject | None:
    status = obj.status
    kept = {
        field: sorted(
            (
                {part: reference[part] for part in ("apiVersion", "kind", "namespace", "name") if reference.get(part)}
                for reference in status[field]
            ),
            key=lambda reference: tuple(str(reference.get(part, "")) for part in ("kind", "namespace", "name")),
        )
        for field in _MATCH_FIELDS
        if status.get(field)
    }
    return _projection(obj, {"status": kept}) if kept else None


def _controller_labels(obj: KubeObject, controller_labels: Collection[str]) -> JsonObject | None:
    owned = tuple(key for key in obj.labels if key == K8S_VERSION_LABEL or key in controller_labels)
    return _projection(obj, {}, labels=owned) if owned else None


def _artifact(obj: KubeObject) -> JsonObject | None:
    """The revision and digest of a Flux source: the API has no other fields about its content."""
    artifact = obj.status.get("artifact") or {}
    kept = {field: artifact[field] for field in _ARTIFACT_FIELDS if artifact.get(field)}
    return _projection(obj, {"status": {"artifact": kept}}) if kept else None


def _projection(obj: KubeObject, body: JsonObject, labels: Iterable[str] = ()) -> JsonObject:
    metadata = {field: obj.metadata[field] for field in ("name", "namespace") if obj.metadata.get(field)}
    if kept := {key: obj.labels[key] for key in labels if key in obj.labels}:
        metadata["labels"] = kept
    return {"apiVersion": obj.raw["apiVersion"], "kind": obj.raw["kind"], "metadata": metadata, **body}
