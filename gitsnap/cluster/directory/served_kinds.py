"""Which kinds a folder of YAML files serves: those that gitsnap knows, those of Kubernetes, and what the folder shows.

A server knows its kinds whether or not there is an object of them; a folder has to be told, so that an object can come
back to it after the last one of its kind was deleted. This module must not read files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitsnap.core.model import JsonObject, Kind, ResourceType
from gitsnap.sveltos.kinds import BY_KIND, preferred_version

DEFINITION = Kind("apiextensions.k8s.io", "CustomResourceDefinition")


@dataclass(frozen=True, slots=True)
class ServedKind:
    """A kind as the folder serves it."""

    resource: ResourceType
    status: bool
    """Whether status is a subresource: then ordinary writes leave it alone."""


def _rows(group: str, version: str, text: str) -> dict[Kind, ServedKind]:
    """``Kind/plural`` each; those after ``|`` are cluster-scoped, those with a ``*`` have no status."""
    rows = {}
    for part, namespaced in zip(text.split("|"), (True, False), strict=False):
        for word in part.split():
            name, plural = word.rstrip("*").split("/")
            kind = Kind(group, name)
            rows[kind] = ServedKind(ResourceType(kind, version, plural, namespaced), not word.endswith("*"))
    return rows


_BUILT_IN: dict[Kind, ServedKind] = {
    **_rows(
        "",
        "v1",
        "ConfigMap/configmaps* Secret/secrets* Service/services ServiceAccount/serviceaccounts* Pod/pods "
        "Endpoints/endpoints* Event/events* LimitRange/limitranges* PersistentVolumeClaim/persistentvolumeclaims "
        "PodTemplate/podtemplates* ReplicationController/replicationcontrollers ResourceQuota/resourcequotas "
        "| Namespace/namespaces Node/nodes PersistentVolume/persistentvolumes",
    ),
    **_rows(
        "apps",
        "v1",
        "Deployment/deployments StatefulSet/statefulsets DaemonSet/daemonsets ReplicaSet/replicasets "
        "ControllerRevision/controllerrevisions*",
    ),
    **_rows("batch", "v1", "Job/jobs CronJob/cronjobs"),
    **_rows("autoscaling", "v2", "HorizontalPodAutoscaler/horizontalpodautoscalers"),
    **_rows("policy", "v1", "PodDisruptionBudget/poddisruptionbudgets"),
    **_rows("coordination.k8s.io", "v1", "Lease/leases*"),
    **_rows(
        "networking.k8s.io", "v1", "Ingress/ingresses NetworkPolicy/networkpolicies* | IngressClass/ingressclasses*"
    ),
    **_rows(
        "rbac.authorization.k8s.io",
        "v1",
        "Role/roles* RoleBinding/rolebindings* | ClusterRole/clusterroles* ClusterRoleBinding/clusterrolebindings*",
    ),
    **_rows("storage.k8s.io", "v1", "| StorageClass/storageclasses* CSIDriver/csidrivers*"),
    **_rows("scheduling.k8s.io", "v1", "| PriorityClass/priorityclasses*"),
    **_rows(
        "admissionregistration.k8s.io",
        "v1",
        "| ValidatingWebhookConfiguration/validatingwebhookconfigurations* "
        "MutatingWebhookConfiguration/mutatingwebhookconfigurations* "
        "ValidatingAdmissionPolicy/validatingadmissionpolicies "
        "ValidatingAdmissionPolicyBinding/validatingadmissionpolicybindings*",
    ),
    **_rows("apiextensions.k8s.io", "v1", "| CustomResourceDefinition/customresourcedefinitions"),
    **_rows("apiregistration.k8s.io", "v1", "| APIService/apiservices"),
}


def known(kind: Kind) -> ServedKind | None:
    """A kind of Sveltos or of Kubernetes itself, in the version that gitsnap prefers; None for any other."""
    row = BY_KIND.get(kind)
    if row is not None:
        return ServedKind(ResourceType(kind, row.versions[0], row.plural, row.namespaced), row.status)
    return _BUILT_IN.get(kind)


def defined(definition: JsonObject) -> ServedKind | None:
    """The kind that a CustomResourceDefinition brings, None where it is too incomplete to say."""
    spec = definition.get("spec") or {}
    names = spec.get("names") or {}
    versions = {str(one.get("name")): one for one in spec.get("versions") or () if one.get("served")}
    kind = Kind(str(spec.get("group") or ""), str(names.get("kind") or ""))
    version = preferred_version(kind, versions)
    if not kind.group or not kind.name or not names.get("plural") or version is None:
        return None
    status = "status" in (versions[version].get("subresources") or {})
    return ServedKind(ResourceType(kind, version, str(names["plural"]), spec.get("scope") == "Namespaced"), status)


def seen(kind: Kind, objects: Iterable[JsonObject]) -> ServedKind | None:
    """A kind as its objects in the folder show it; None where there are none.

    Scope and plural are those of a known kind, otherwise guessed from the objects and the name.
    """
    versions: dict[str, None] = {}
    namespaced = False
    for document in objects:
        versions[str(document["apiVersion"]).rpartition("/")[2]] = None
        namespaced = namespaced or bool(document["metadata"].get("namespace"))
    version = preferred_version(kind, versions)
    if version is None:
        return None
    row = known(kind)
    if row is not None:
        return ServedKind(ResourceType(kind, version, row.resource.plural, row.resource.namespaced), row.status)
    return ServedKind(ResourceType(kind, version, f"{kind.name.lower()}s", namespaced), status=True)
