"""An API object as it is archived: a deny-list of what servers and controllers write; all else is the user's intent.

The rules are data and have a number: a tree says with which rules it was made. Unknown fields are kept.
This module must not decide whether an object is archived at all, and never changes the object it is given.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any

from gitsnap.core.model import JsonObject, Kind
from gitsnap.kube import server_fields
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import K8S_VERSION_LABEL

RULES = 2
"""Number of the rules below; raised with every change that gives another archived object."""

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
        # Finalizers and owners belong to controllers: a stale owner uid lets the garbage collector delete the object.
        # Of kinds that a policy adds, finalizers that are not Kubernetes' own are kept.
        "ownerReferences",
        "finalizers",
    }
)
"""Below ``metadata``."""

CONTROLLER_ANNOTATIONS = frozenset(
    {
        # What kubectl applied last, in clear text: for a Secret its values, and still those before a later replace.
        "kubectl.kubernetes.io/last-applied-configuration",
        # Copies of the whole object, as kubectl's: for a Secret its values.
        "kapp.k14s.io/original",
        "objectset.rio.cattle.io/applied",
        "projectsveltos.io/deployed-by-sveltos",
        "projectsveltos.io/retrigger",
        "license.projectsveltos.io/payload",
        "license.projectsveltos.io/signature",
        *server_fields.CONTROLLER_ANNOTATIONS,
    }
)

CLUSTER_LABELS = frozenset({K8S_VERSION_LABEL})
"""Labels that Sveltos writes on every cluster, besides those of classifiers."""


def normalize(document: JsonObject, *, controller_labels: Collection[str] = ()) -> JsonObject:
    """The archived form of an object as the API server gave it.

    ``controller_labels`` are the label keys that classifiers own on clusters. The result may share values with
    ``document``, which stays as it is.
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
    """Whether an object is being deleted: it is no configuration any more."""
    return bool((document.get("metadata") or {}).get("deletionTimestamp"))


def last_manager(document: JsonObject) -> str:
    """The field manager that wrote an object last, apart from status; ``""`` where managedFields do not say."""
    entries = [entry for entry in (document.get("metadata") or {}).get("managedFields") or () if _is_main(entry)]
    if not entries:
        return ""
    newest = max(range(len(entries)), key=lambda position: (str(entries[position].get("time") or ""), position))
    return str(entries[newest].get("manager") or "")


def _is_main(entry: Mapping[str, Any]) -> bool:
    return not entry.get("subresource")


def _metadata(metadata: Mapping[str, Any], kind: Kind, controller_labels: Collection[str]) -> JsonObject:
    result = {field: value for field, value in metadata.items() if field not in SERVER_METADATA}
    if "annotations" in result:
        _replace_map(result, "annotations", CONTROLLER_ANNOTATIONS)
    if "labels" in result:
        owned = CLUSTER_LABELS.union(controller_labels) if kind in kinds.CLUSTER_KINDS else ()
        _replace_map(result, "labels", owned)
    return result


def _replace_map(metadata: JsonObject, field: str, owned: Collection[str]) -> None:
    """Leave out the keys that controllers own, and a map that has become, or was, empty."""
    kept = {key: value for key, value in (metadata[field] or {}).items() if key not in owned}
    if kept:
        metadata[field] = kept
    else:
        del metadata[field]


def _merge_string_data(secret: JsonObject) -> None:
    """``stringData`` is write-only on a server; in a file it means ``data``, and wins over it."""
    text = secret.pop("stringData", None)
    if text:
        encoded = {key: base64.b64encode(str(value).encode()).decode("ascii") for key, value in text.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _strip_cluster_spec(cluster: JsonObject) -> None:
    """Fields of a SveltosCluster that its controller writes while it renews tokens and keeps maintenance windows."""
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
    """An approval is an event: putting it back would promote again."""
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
