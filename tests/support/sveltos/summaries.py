"""ClusterSummaries of the profile controllers: one for each profile and cluster, with a copy of the spec.

This module must not deploy anything.
"""

from __future__ import annotations

from typing import Any

from gitsnap.core.errors import AlreadyExistsError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos.clusters import deleting, type_of
from tests.support.sveltos.manager import Manager

_LABELS = {
    kinds.CLUSTER_PROFILE: "projectsveltos.io/cluster-profile-name",
    kinds.PROFILE: "projectsveltos.io/profile-name",
}
_CONTENT = ("policyRefs", "helmCharts", "kustomizationRefs")


def key_for(profile: ObjectKey, cluster: ObjectKey) -> ObjectKey:
    """The ClusterSummary of a profile and a cluster."""
    prefix = "p--" if profile.kind == kinds.PROFILE else ""
    name = f"{prefix}{profile.name}-{type_of(cluster).lower()}-{cluster.name}"
    return ObjectKey(kinds.CLUSTER_SUMMARY, cluster.namespace, name)


def profile_of(summary: JsonObject) -> ObjectKey:
    """The profile that owns a ClusterSummary."""
    (owner,) = summary["metadata"]["ownerReferences"]
    kind = kinds.PROFILE if owner["kind"] == "Profile" else kinds.CLUSTER_PROFILE
    namespace = summary["metadata"]["namespace"] if kind == kinds.PROFILE else ""
    return ObjectKey(kind, namespace, owner["name"])


def cluster_of(summary: JsonObject) -> ObjectKey:
    """The cluster of a ClusterSummary."""
    spec = summary["spec"]
    kind = kinds.CAPI_CLUSTER if spec["clusterType"] == "Capi" else kinds.SVELTOS_CLUSTER
    return ObjectKey(kind, spec["clusterNamespace"], spec["clusterName"])


def spec_of(summary: JsonObject) -> JsonObject:
    """The copy of the profile's spec."""
    spec: JsonObject = summary["spec"].get("clusterProfileSpec") or {}
    return spec


def of_profile(manager: Manager, profile: ObjectKey) -> list[ObjectKey]:
    """The ClusterSummaries of a profile in the cache."""
    return [key for key, document in manager.all(kinds.CLUSTER_SUMMARY).items() if profile_of(document) == profile]


def synchronize(manager: Manager, profile: JsonObject, cluster: ObjectKey) -> bool:
    """Create or update the ClusterSummary of a cluster. False if it must be tried again: an old one still exists."""
    key = key_for(ObjectKey.of(profile), cluster)
    summary = manager.get(key)
    if summary is None:
        try:
            manager.api.create(_new(profile, cluster, key))
        except AlreadyExistsError:
            return False  # the cache does not have it yet
        return True
    if deleting(summary):
        return False
    _update(manager, profile, summary)
    return True


def clean(manager: Manager, profile: JsonObject, matching: list[ObjectKey]) -> bool:
    """Delete the ClusterSummaries of clusters that no longer match. Returns whether there were any.

    In the mode DryRun they stay, but their specs have no content: Sveltos reports the deletions, and deletes nothing.
    """
    has_stale = False
    owner = ObjectKey.of(profile)
    mode = str((profile.get("spec") or {}).get("syncMode") or "Continuous")
    for key in of_profile(manager, owner):
        summary = manager.all(kinds.CLUSTER_SUMMARY)[key]
        if profile["metadata"]["uid"] != summary["metadata"]["ownerReferences"][0]["uid"]:
            continue
        if cluster_of(summary) not in matching:
            if mode == "DryRun":
                _patch_spec(manager, summary, {**_without_content(spec_of(summary)), "syncMode": mode})
                continue
            has_stale = True
            if not deleting(summary):
                _update(manager, profile, summary)
                manager.api.delete(key)
            continue
        if spec_of(summary).get("syncMode", "Continuous") != mode:
            current = manager.api.get(key)
            _patch_spec(manager, current, {**spec_of(current), "syncMode": mode})
    return has_stale


def _without_content(spec: JsonObject) -> JsonObject:
    return {name: value for name, value in spec.items() if name not in _CONTENT}


def _copied_spec(profile: JsonObject) -> JsonObject:
    """The spec that the profile controllers copy. The references of a Profile are limited to its namespace."""
    spec: JsonObject = dict(profile.get("spec") or {})
    if profile["kind"] == "Profile":
        namespace = profile["metadata"]["namespace"]
        for field in ("policyRefs", "kustomizationRefs", "clusterRefs"):
            if field in spec:
                spec[field] = [{**entry, "namespace": namespace} for entry in spec[field] or ()]
    return spec


def _new(profile: JsonObject, cluster: ObjectKey, key: ObjectKey) -> JsonObject:
    metadata = profile["metadata"]
    labels = {
        **(metadata.get("labels") or {}),
        _LABELS[ObjectKey.of(profile).kind]: metadata["name"],
        "projectsveltos.io/cluster-name": cluster.name,
        "projectsveltos.io/cluster-type": type_of(cluster),
    }
    owner = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": profile["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterSummary",
        "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "clusterNamespace": cluster.namespace,
            "clusterName": cluster.name,
            "clusterType": type_of(cluster),
            "clusterProfileSpec": _copied_spec(profile),
        },
    }


def _update(manager: Manager, profile: JsonObject, summary: JsonObject) -> None:
    """Update the copy of the spec, except in the mode OneTime."""
    if (profile.get("spec") or {}).get("syncMode") != "OneTime":
        _patch_spec(manager, summary, _copied_spec(profile))


def _patch_spec(manager: Manager, summary: JsonObject, wanted: JsonObject) -> None:
    changes = difference(spec_of(summary), wanted)
    if changes:
        metadata = {name: summary["metadata"][name] for name in ("uid", "resourceVersion")}
        key = ObjectKey.of(summary)
        try:
            manager.api.patch(key, {"metadata": metadata, "spec": {"clusterProfileSpec": changes}})
        except NotFoundError:
            return


def difference(old: JsonObject, new: JsonObject) -> JsonObject:
    """The merge patch from an old object to a new object."""
    patch: dict[str, Any] = {}
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        patch[name] = difference(before, after) if isinstance(before, dict) and isinstance(after, dict) else after
    return patch
