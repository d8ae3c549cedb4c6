"""The kinds that a folder of YAML files serves: known kinds, kinds of Kubernetes itself, and kinds found in the folder.

A server serves a kind even without an object of the kind. A folder needs a table of kinds: otherwise the last object of
a kind could not be created again after it was deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitsnap.cluster.known_kinds import KnownKinds, preferred_version
from gitsnap.core.model import JsonObject, Kind, ResourceType

DEFINITION = Kind("apiextensions.k8s.io", "CustomResourceDefinition")


@dataclass(frozen=True, slots=True)
class ServedKind:
    """A kind as the folder serves it."""

    resource: ResourceType
    status: bool
    """Whether status is a subresource: then ordinary writes leave it alone."""


def _rows(group: str, version: str, text: str) -> dict[Kind, ServedKind]:
    """Parse words ``Kind/plural``. Kinds after ``|`` are cluster-scoped; kinds with a ``*`` have no status."""
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


class KindTable:
    """The kinds that a folder can serve."""

    def __init__(self, known_kinds: KnownKinds) -> None:
        self._known_kinds = known_kinds

    def well_known(self, kind: Kind) -> ServedKind | None:
        """A kind that the caller knows, in its preferred version, or a kind of Kubernetes itself; None for others."""
        known = self._known_kinds.get(kind)
        if known is not None:
            return ServedKind(ResourceType(kind, known.versions[0], known.plural, known.namespaced), known.status)
        return _BUILT_IN.get(kind)

    def of_definition(self, definition: JsonObject) -> ServedKind | None:
        """The kind that a CustomResourceDefinition defines; None where required fields are missing."""
        spec = definition.get("spec") or {}
        names = spec.get("names") or {}
        versions = {
            str(version.get("name")): version for version in spec.get("versions") or () if version.get("served")
        }
        kind = Kind(str(spec.get("group") or ""), str(names.get("kind") or ""))
        version = preferred_version(kind, versions, self._known_kinds)
        if not kind.group or not kind.name or not names.get("plural") or version is None:
            return None
        status = "status" in (versions[version].get("subresources") or {})
        return ServedKind(ResourceType(kind, version, str(names["plural"]), spec.get("scope") == "Namespaced"), status)

    def of_objects(self, kind: Kind, objects: Iterable[JsonObject]) -> ServedKind | None:
        """The form in which the objects of a folder show their kind; None without any object.

        Scope and plural are those of a well-known kind. For others they are guessed from the objects and the name.
        """
        versions: dict[str, None] = {}
        namespaced = False
        for document in objects:
            versions[str(document["apiVersion"]).rpartition("/")[2]] = None
            namespaced = namespaced or bool(document["metadata"].get("namespace"))
        version = preferred_version(kind, versions, self._known_kinds)
        if version is None:
            return None
        known = self.well_known(kind)
        if known is not None:
            return ServedKind(
                ResourceType(kind, version, known.resource.plural, known.resource.namespaced), known.status
            )
        return ServedKind(ResourceType(kind, version, f"{kind.name.lower()}s", namespaced), status=True)
