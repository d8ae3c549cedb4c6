"""The archived form of an API object: without the fields that servers and controllers write.

The rules are a deny-list: every other field is the user's intent, unknown fields included. The rules have a number,
which each tree of an archive records. Nothing here changes the object that it reads.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any

from gitsnap.core.model import JsonObject, Kind
from gitsnap.core.objects import KubeObject
from gitsnap.kube import server_fields
from gitsnap.kube.author_stamp import AUTHOR_ANNOTATION
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import K8S_VERSION_LABEL

RULES = 2
"""Number of the rules below. Increase it with every change that produces different archived objects."""

SERVER_METADATA = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
        # Finalizers and owners belong to controllers: with a stale owner uid the garbage collector deletes the object.
        # For kinds that a policy adds, only Kubernetes' own finalizers are removed.
        "ownerReferences",
        "finalizers",
    }
)
"""Fields below ``metadata``."""

CONTROLLER_ANNOTATIONS = frozenset(
    {
        # The manifest that kubectl applied last, in clear text: it has the values of a Secret, even replaced ones.
        "kubectl.kubernetes.io/last-applied-configuration",
        # Copies of the whole object by other tools, with the values of a Secret.
        "kapp.k14s.io/original",
        "objectset.rio.cattle.io/applied",
        "projectsveltos.io/deployed-by-sveltos",
        "projectsveltos.io/retrigger",
        "license.projectsveltos.io/payload",
        "license.projectsveltos.io/signature",
        AUTHOR_ANNOTATION,
        *server_fields.CONTROLLER_ANNOTATIONS,
    }
)

CLUSTER_LABELS = frozenset({K8S_VERSION_LABEL})
"""Labels that Sveltos sets on every cluster, in addition to those of classifiers."""


def normalize(document: JsonObject, *, controller_labels: Collection[str] = ()) -> JsonObject:
    """The archived form of an object that the API server sent.

    ``controller_labels``: the label keys that classifiers set on clusters. The result may share values with
    ``document``, which is not changed.
    """
    result = {field: value for field, value in document.items() if field != "status"}
    kind = Kind.of(document)
    result["metadata"] = _metadata(document.get("metadata") or {}, kind, controller_labels)
    if kind == kinds.SECRET:
        _merge_string_data(result)
    elif kind == kinds.SVELTOS_CLUSTER:
        _strip_cluster_spec(result)
    elif kind == kinds.CLUSTER_PROMOTION:
        _strip_approvals(result)
    elif kind not in kinds.CAPTURED_KINDS:
        own = server_fields.own_finalizers(document)
        if own:
            result["metadata"]["finalizers"] = own
        result = server_fields.without_filled(document, result)
    return result


def terminating(document: JsonObject) -> bool:
    """Whether the API server is deleting an object. Such an object is no longer configuration."""
    return KubeObject.of(document).is_terminating


def last_manager(obj: KubeObject) -> str:
    """The field manager of the last write, writes of ``status`` excepted; ``""`` without ``managedFields``."""
    entries = [entry for entry in obj.metadata.get("managedFields") or () if not entry.get("subresource")]
    if not entries:
        return ""
    newest = max(range(len(entries)), key=lambda position: (str(entries[position].get("time") or ""), position))
    return str(entries[newest].get("manager") or "")


def _metadata(metadata: Mapping[str, Any], kind: Kind, controller_labels: Collection[str]) -> JsonObject:
    result = {field: value for field, value in metadata.items() if field not in SERVER_METADATA}
    if "annotations" in result:
        _replace_map(result, "annotations", CONTROLLER_ANNOTATIONS)
    if "labels" in result:
        owned = CLUSTER_LABELS.union(controller_labels) if kind in kinds.CLUSTER_KINDS else ()
        _replace_map(result, "labels", owned)
    return result


def _replace_map(metadata: JsonObject, field: str, owned: Collection[str]) -> None:
    """Remove the keys that controllers own, and the mapping itself if no key is left."""
    kept = {key: value for key, value in (metadata[field] or {}).items() if key not in owned}
    if kept:
        metadata[field] = kept
    else:
        del metadata[field]


def _merge_string_data(secret: JsonObject) -> None:
    """Merge ``stringData`` into ``data``, as the API server does; the keys of ``stringData`` win."""
    text = secret.pop("stringData", None)
    if text:
        encoded = {key: base64.b64encode(str(value).encode()).decode("ascii") for key, value in text.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _strip_cluster_spec(cluster: JsonObject) -> None:
    """Remove the fields that the controller of a SveltosCluster writes for token renewal and maintenance windows."""
    spec = dict(cluster.get("spec") or {})
    if spec.get("activeWindow"):
        spec.pop("paused", None)
    renewal = spec.get("tokenRequestRenewalOption")
    if isinstance(renewal, dict):
        if not renewal.get("kubeconfigKeyName"):
            spec.pop("kubeconfigKeyName", None)
        spec["tokenRequestRenewalOption"] = {
            field: value for field, value in renewal.items() if field != "renewTokenRequestInterval"
        }
    if "spec" in cluster:
        cluster["spec"] = spec


def _strip_approvals(promotion: JsonObject) -> None:
    """Remove approvals. An approval is an event: restoring it would promote again."""
    spec = promotion.get("spec")
    if not isinstance(spec, dict) or not spec.get("stages"):
        return
    promotion["spec"] = {**spec, "stages": [_without_approval(stage) for stage in spec["stages"]]}


def _without_approval(stage: JsonObject) -> JsonObject:
    trigger = stage.get("trigger") or {}
    manual = trigger.get("manual")
    if not isinstance(manual, dict) or "approved" not in manual:
        return stage
    kept = {field: value for field, value in manual.items() if field != "approved"}
    return {**stage, "trigger": {**trigger, "manual": kept}}
