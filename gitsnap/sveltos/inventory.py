"""What Sveltos reports, made stable: the projection that is archived, and the entries of a ClusterConfiguration.

Projections keep the shape of the API objects but only what identifies and what says that something changed: no times,
no retry counters, lists sorted. So a redeploy of the same content, which re-stamps everything, changes no file.
This module must not compare or decide; and no text of a server's message passes through it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import STATUS_FIELDS, ClusterRef

CLUSTER_NAME_LABEL = "projectsveltos.io/cluster-name"
CLUSTER_TYPE_LABEL = "projectsveltos.io/cluster-type"
K8S_VERSION_LABEL = "projectsveltos.io/k8s-version"

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
    """A resource that a profile put into a managed cluster, or, ``Local``, into the management cluster for it."""

    kind: Kind
    namespace: str
    name: str
    deployment_type: str
    """``Remote`` or ``Local``: part of the identity, since the same name may be deployed both ways."""
    profile: ObjectKey
    feature: str
    """``Resources`` or ``Kustomize``."""
    version: str = ""
    applied: str = ""
    """When it was applied last, as the API has it; ``""`` in an archived inventory."""
    owner: ObjectKey | None = None
    """The ConfigMap, Secret or source it came from; only Sveltos before 1.0 said so."""

    @property
    def key(self) -> ObjectKey:
        """What it is in its cluster."""
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
    """When it was installed or upgraded last; ``""`` in an archived inventory."""


def distill(document: JsonObject, *, controller_labels: Collection[str] = ()) -> JsonObject | None:
    """The stable projection of an object, None where there is nothing to keep of it.

    ``controller_labels`` are the label keys that classifiers own on clusters (see classifier_labels).
    """
    kind = Kind.of(document)
    if kind == kinds.CLUSTER_CONFIGURATION:
        return _cluster_configuration(document)
    if kind == kinds.CLUSTER_SUMMARY:
        return _cluster_summary(document)
    if kind in kinds.CLUSTER_KINDS:
        return _controller_labels(document, controller_labels)
    if kind in kinds.SOURCE_KINDS:
        return _artifact(document)
    if kind in STATUS_FIELDS:
        return _matches(document)
    return None


def classifier_labels(classifier: JsonObject) -> frozenset[str]:
    """The label keys that a Classifier or ManagementClusterClassifier sets on clusters."""
    labels = (classifier.get("spec") or {}).get("classifierLabels") or ()
    return frozenset(str(label["key"]) for label in labels if label.get("key"))


def cluster_of(document: JsonObject) -> ClusterRef:
    """The cluster that a ClusterConfiguration or ClusterSummary is about: from spec or labels, else from its name."""
    metadata, spec = document["metadata"], document.get("spec") or {}
    if spec.get("clusterName"):
        kind = kinds.CAPI_CLUSTER if str(spec.get("clusterType")).lower() == "capi" else kinds.SVELTOS_CLUSTER
        return ClusterRef(kind, str(spec.get("clusterNamespace") or ""), str(spec["clusterName"]))
    labels = metadata.get("labels") or {}
    cluster_type, separator, name = str(metadata.get("name", "")).partition("--")
    if not separator:
        cluster_type, name = "", str(metadata.get("name", ""))
    cluster_type = str(labels.get(CLUSTER_TYPE_LABEL) or cluster_type).lower()
    kind = kinds.CAPI_CLUSTER if cluster_type == "capi" else kinds.SVELTOS_CLUSTER
    return ClusterRef(kind, str(metadata.get("namespace") or ""), str(labels.get(CLUSTER_NAME_LABEL) or name))


def profile_of(summary: JsonObject) -> ObjectKey | None:
    """The profile that a ClusterSummary carries out, None when its labels do not say."""
    metadata = summary["metadata"]
    labels = metadata.get("labels") or {}
    if name := labels.get("projectsveltos.io/cluster-profile-name"):
        return ObjectKey(kinds.CLUSTER_PROFILE, "", str(name))
    if name := labels.get("projectsveltos.io/profile-name"):
        return ObjectKey(kinds.PROFILE, str(metadata.get("namespace") or ""), str(name))
    return None


def revision_of(source: JsonObject) -> str:
    """What a Flux source is at, ``""`` where it does not say."""
    return str(((source.get("status") or {}).get("artifact") or {}).get("revision") or "")


def deployed(cluster_configuration: JsonObject) -> list[DeployedResource | DeployedRelease]:
    """What a ClusterConfiguration lists, live or archived, of Sveltos 0.54 or later, in its order."""
    return list(_deployed(cluster_configuration))


def _deployed(document: JsonObject) -> Iterator[DeployedResource | DeployedRelease]:
    namespace = str(document["metadata"].get("namespace") or "")
    status = document.get("status") or {}
    for field, name_field, kind in _PROFILE_LISTS:
        for entry in status.get(field) or ():
            profile_namespace = namespace if kind == kinds.PROFILE else ""
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


def _cluster_configuration(document: JsonObject) -> JsonObject | None:
    """Profiles and features that list nothing come and go around a deployment; they are left out."""
    status = document.get("status") or {}
    kept: JsonObject = {}
    for field, name_field, _ in _PROFILE_LISTS:
        profiles = [
            {name_field: entry.get(name_field, ""), "Features": features}
            for entry in status.get(field) or ()
            if (features := _features(entry.get("Features") or ()))
        ]
        if profiles:
            kept[field] = sorted(profiles, key=lambda profile: str(profile[name_field]))
    return _projection(document, {"status": kept}, labels=_SUMMARY_LABELS) if kept else None


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


def _cluster_summary(document: JsonObject) -> JsonObject:
    spec, status = document.get("spec") or {}, document.get("status") or {}
    features = [
        {
            "featureID": feature.get("featureID", ""),
            "status": _state(feature),
            **({"hash": feature["hash"]} if feature.get("hash") else {}),
        }
        for feature in status.get("featureSummaries") or ()
    ]
    releases = _picked(status.get("helmReleaseSummaries") or (), _RELEASE_SUMMARY_FIELDS, _release_order)
    kept: JsonObject = {}
    if features:
        kept["featureSummaries"] = sorted(features, key=lambda feature: str(feature["featureID"]))
    if releases:
        kept["helmReleaseSummaries"] = releases
    cluster = {field: spec[field] for field in ("clusterNamespace", "clusterName", "clusterType") if field in spec}
    return _projection(document, {"spec": cluster, **({"status": kept} if kept else {})}, labels=_SUMMARY_LABELS)


def _state(feature: Mapping[str, Any]) -> str:
    """A feature that is being retried after failures has failed: it turns to ``Provisioning`` for each attempt."""
    state = str(feature.get("status", ""))
    if state == "Provisioning" and feature.get("consecutiveFailures"):
        return "Failed"
    return state


def _matches(document: JsonObject) -> JsonObject | None:
    status = document.get("status") or {}
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
    return _projection(document, {"status": kept}) if kept else None


def _controller_labels(document: JsonObject, controller_labels: Collection[str]) -> JsonObject | None:
    labels = document["metadata"].get("labels") or {}
    owned = tuple(key for key in labels if key == K8S_VERSION_LABEL or key in controller_labels)
    return _projection(document, {}, labels=owned) if owned else None


def _artifact(document: JsonObject) -> JsonObject | None:
    """What a Flux source is at: all that the API says of its content."""
    artifact = (document.get("status") or {}).get("artifact") or {}
    kept = {field: artifact[field] for field in _ARTIFACT_FIELDS if artifact.get(field)}
    return _projection(document, {"status": {"artifact": kept}}) if kept else None


def _projection(document: JsonObject, body: JsonObject, labels: Iterable[str] = ()) -> JsonObject:
    source = document["metadata"]
    metadata = {field: source[field] for field in ("name", "namespace") if source.get(field)}
    present = source.get("labels") or {}
    if kept := {key: present[key] for key in labels if key in present}:
        metadata["labels"] = kept
    return {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": metadata, **body}
