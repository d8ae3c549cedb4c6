"""ClusterConfigurations: the resources that the addon-controller reports. The running resources may differ.

A failed deployment leaves only the entries of the resources before the failure. This module must not look at managed
clusters.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitsnap.core.errors import AlreadyExistsError, GitsnapError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos.clusters import type_of
from tests.support.sveltos.managed import RELEASE, Deployed, Slot
from tests.support.sveltos.manager import Manager

_TIME = "2026-06-01T00:00:00Z"
_LISTS = {
    kinds.CLUSTER_PROFILE: ("clusterProfileResources", "clusterProfileName"),
    kinds.PROFILE: ("profileResources", "profileName"),
}


def key_for(cluster: ObjectKey) -> ObjectKey:
    """The ClusterConfiguration of a cluster."""
    name = f"{type_of(cluster).lower()}--{cluster.name}"
    return ObjectKey(kinds.CLUSTER_CONFIGURATION, cluster.namespace, name)


def add_profile(manager: Manager, profile: JsonObject, cluster: ObjectKey) -> None:
    """Record that a profile matches a cluster."""
    key, owner = key_for(cluster), ObjectKey.of(profile)
    document = manager.get(key)
    if document is None:
        labels = {"projectsveltos.io/cluster-name": cluster.name, "projectsveltos.io/cluster-type": type_of(cluster)}
        document = {
            "apiVersion": "config.projectsveltos.io/v1beta1",
            "kind": "ClusterConfiguration",
            "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels},
        }
        try:
            manager.api.create(document)
        except AlreadyExistsError:
            document = manager.api.get(key)
    owners = list(document["metadata"].get("ownerReferences") or ())
    if not any(reference["uid"] == profile["metadata"]["uid"] for reference in owners):
        reference = {
            "apiVersion": "config.projectsveltos.io/v1beta1",
            "kind": owner.kind.name,
            "name": owner.name,
            "uid": profile["metadata"]["uid"],
        }
        manager.api.patch(key, {"metadata": {"ownerReferences": [*owners, reference]}})
    field, name = _LISTS[owner.kind]
    entries = (manager.api.get(key).get("status") or {}).get(field) or []
    if not any(entry[name] == owner.name for entry in entries):
        manager.api.patch_status(key, {field: [*entries, {name: owner.name}]})


def remove_profile(manager: Manager, profile: ObjectKey, cluster: ObjectKey) -> None:
    """Remove a profile. The ClusterConfiguration is deleted with its last profile."""
    key = key_for(cluster)
    document = manager.api.get(key)
    owners = [
        reference
        for reference in document["metadata"].get("ownerReferences") or ()
        if (reference["kind"], reference["name"]) != (profile.kind.name, profile.name)
    ]
    if not owners:
        manager.api.delete(key)
        return
    manager.api.patch(key, {"metadata": {"ownerReferences": owners}})
    field, name = _LISTS[profile.kind]
    entries = (document.get("status") or {}).get(field) or []
    manager.api.patch_status(key, {field: [entry for entry in entries if entry[name] != profile.name]})


def reported_clusters(manager: Manager, profile: ObjectKey) -> list[ObjectKey]:
    """The clusters whose ClusterConfiguration names a profile, according to the cache."""
    found = []
    for key, document in manager.all(kinds.CLUSTER_CONFIGURATION).items():
        owners = document["metadata"].get("ownerReferences") or ()
        own = any((reference["kind"], reference["name"]) == (profile.kind.name, profile.name) for reference in owners)
        if own and profile.namespace in ("", key.namespace):
            labels = document["metadata"]["labels"]
            capi = labels["projectsveltos.io/cluster-type"] == "Capi"
            kind = kinds.CAPI_CLUSTER if capi else kinds.SVELTOS_CLUSTER
            found.append(ObjectKey(kind, key.namespace, labels["projectsveltos.io/cluster-name"]))
    return found


def report(
    manager: Manager, profile: ObjectKey, cluster: ObjectKey, feature: str, entries: Iterable[tuple[Slot, Deployed]]
) -> None:
    """Write the deployed resources of a feature of a profile. Without entries, the list is removed."""
    key = key_for(cluster)
    field, name = _LISTS[profile.kind]
    try:
        status = manager.api.get(key).get("status") or {}
    except GitsnapError:
        return
    profiles = list(status.get(field) or ())
    position = next((at for at, entry in enumerate(profiles) if entry[name] == profile.name), None)
    if position is None:
        return
    new: JsonObject = {"featureID": feature}
    listed = [_entry(slot, deployed) for slot, deployed in entries]
    if listed:
        new["charts" if feature == "Helm" else "resources"] = listed
    features = [entry for entry in profiles[position].get("Features") or () if entry["featureID"] != feature]
    profiles[position] = {name: profile.name, "Features": [*features, new]}
    manager.api.patch_status(key, {field: profiles})


def _entry(slot: Slot, deployed: Deployed) -> JsonObject:
    if slot.kind == RELEASE:
        version, _, url = deployed.content.partition(" ")
        return {
            "releaseName": slot.name,
            "namespace": slot.namespace,
            "chartVersion": version,
            "appVersion": version,
            "repoURL": url.partition(" ")[0],
            "lastAppliedTime": _TIME,
        }
    kind, _, group = slot.kind.partition(".")
    place = {"namespace": slot.namespace} if slot.namespace else {}
    return {
        "group": group,
        "kind": kind,
        "version": "v1",
        "name": slot.name,
        **place,
        "lastAppliedTime": _TIME,
        "deploymentType": "Local" if slot.local else "Remote",
    }
