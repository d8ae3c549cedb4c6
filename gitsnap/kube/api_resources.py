"""The built-in kinds of Kubernetes as API servers serve them: version, plural, scope, status and short names.

The source is the discovery of kube-apiserver 1.37 (``kubectl api-resources``). Kinds that are not yet stable are left
out. The CustomResourceDefinitions of a server have the same facts about custom kinds.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitsnap.core.model import Kind, ResourceType

CUSTOM_RESOURCE_DEFINITION = Kind("apiextensions.k8s.io", "CustomResourceDefinition")


@dataclass(frozen=True, slots=True)
class ApiResource:
    """A kind as an API server serves it."""

    resource: ResourceType
    status: bool
    """Whether ``status`` is a subresource, which ordinary writes do not change."""
    short_names: tuple[str, ...] = ()
    """The abbreviations that kubectl accepts: ``cm``."""


def _rows(group: str, version: str, text: str) -> dict[Kind, ApiResource]:
    """Parse words ``Kind/plural,short``. Kinds after ``|`` are cluster-scoped; kinds with a ``*`` have no status."""
    rows = {}
    for part, namespaced in zip(text.split("|"), (True, False), strict=False):
        for word in part.split():
            name, _, names = word.rstrip("*").partition("/")
            plural, *short_names = names.split(",")
            kind = Kind(group, name)
            resource = ResourceType(kind, version, plural, namespaced)
            rows[kind] = ApiResource(resource, not word.endswith("*"), tuple(short_names))
    return rows


API_RESOURCES: dict[Kind, ApiResource] = {
    **_rows(
        "",
        "v1",
        "ConfigMap/configmaps,cm* Secret/secrets* Service/services,svc ServiceAccount/serviceaccounts,sa* Pod/pods,po "
        "Endpoints/endpoints,ep* Event/events,ev* LimitRange/limitranges,limits* "
        "PersistentVolumeClaim/persistentvolumeclaims,pvc PodTemplate/podtemplates* "
        "ReplicationController/replicationcontrollers,rc ResourceQuota/resourcequotas,quota "
        "| Namespace/namespaces,ns Node/nodes,no PersistentVolume/persistentvolumes,pv",
    ),
    **_rows(
        "apps",
        "v1",
        "Deployment/deployments,deploy StatefulSet/statefulsets,sts DaemonSet/daemonsets,ds ReplicaSet/replicasets,rs "
        "ControllerRevision/controllerrevisions*",
    ),
    **_rows("batch", "v1", "Job/jobs CronJob/cronjobs,cj"),
    **_rows("autoscaling", "v2", "HorizontalPodAutoscaler/horizontalpodautoscalers,hpa"),
    **_rows("policy", "v1", "PodDisruptionBudget/poddisruptionbudgets,pdb"),
    **_rows("coordination.k8s.io", "v1", "Lease/leases*"),
    **_rows("discovery.k8s.io", "v1", "EndpointSlice/endpointslices*"),
    **_rows("events.k8s.io", "v1", "Event/events,ev*"),
    **_rows(
        "networking.k8s.io",
        "v1",
        "Ingress/ingresses,ing NetworkPolicy/networkpolicies,netpol* "
        "| IngressClass/ingressclasses* IPAddress/ipaddresses,ip* ServiceCIDR/servicecidrs",
    ),
    **_rows(
        "rbac.authorization.k8s.io",
        "v1",
        "Role/roles* RoleBinding/rolebindings* | ClusterRole/clusterroles* ClusterRoleBinding/clusterrolebindings*",
    ),
    **_rows(
        "storage.k8s.io",
        "v1",
        "CSIStorageCapacity/csistoragecapacities* | StorageClass/storageclasses,sc* CSIDriver/csidrivers* "
        "CSINode/csinodes VolumeAttachment/volumeattachments VolumeAttributesClass/volumeattributesclasses,vac*",
    ),
    **_rows("scheduling.k8s.io", "v1", "| PriorityClass/priorityclasses,pc*"),
    **_rows("node.k8s.io", "v1", "| RuntimeClass/runtimeclasses*"),
    **_rows(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "| FlowSchema/flowschemas PriorityLevelConfiguration/prioritylevelconfigurations",
    ),
    **_rows("certificates.k8s.io", "v1", "| CertificateSigningRequest/certificatesigningrequests,csr"),
    **_rows(
        "admissionregistration.k8s.io",
        "v1",
        "| ValidatingWebhookConfiguration/validatingwebhookconfigurations* "
        "MutatingWebhookConfiguration/mutatingwebhookconfigurations* "
        "ValidatingAdmissionPolicy/validatingadmissionpolicies "
        "ValidatingAdmissionPolicyBinding/validatingadmissionpolicybindings*",
    ),
    **_rows("apiextensions.k8s.io", "v1", "| CustomResourceDefinition/customresourcedefinitions,crd,crds"),
    **_rows("apiregistration.k8s.io", "v1", "| APIService/apiservices"),
}
"""Every stable kind of Kubernetes that is stored as an object."""
