"""Which fields a rollback restores in each kind, in which order it writes kinds, and which objects it must not write.

RESTORE_RULES describes the kinds and OWNERS the tools that own objects. Fields that normalization strips belong to
controllers and servers: an update keeps them as they are in the cluster, and a created object does not have them.
This module builds the objects and patches to write; it neither selects objects nor writes them.
"""

from __future__ import annotations

import copy
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject, Kind
from gitsnap.core.objects import KubeObject, same_json
from gitsnap.sveltos import generated, kinds
from gitsnap.sveltos.generated import Origin


class Phase(enum.IntEnum):
    """The phase of a rollback in which a kind is written. A kind comes after the kinds that it refers to."""

    NAMESPACE = 0
    CONTENT = 1
    """ConfigMaps and Secrets. Profiles, which refer to them, come later."""
    OTHER = 2
    """Kinds that a policy adds. Their references are not known."""
    SUPPORT = 3
    """Kinds that other objects refer to, and that have no part in the matching of clusters."""
    MATCHING = 4
    """The inputs of selectors: clusters with their labels, sets, and the classifiers that set labels of clusters."""
    SELECTING = 5
    """Kinds with selectors. Written before MATCHING if that order keeps a match that the other order would lose."""


@dataclass(frozen=True, slots=True)
class RestoreRule:
    """One row: the fields of a kind that a rollback restores, in addition to labels and annotations."""

    phase: Phase
    fields: tuple[str, ...] | None = None
    """The top-level fields to restore; None for all fields except ``status``."""
    creates: bool = True
    """Whether a deleted object can be created from its archived form."""


_CONTENT = RestoreRule(Phase.CONTENT, fields=("data", "binaryData", "type", "immutable"))
_CLUSTER = RestoreRule(Phase.MATCHING, fields=(), creates=False)

RESTORE_RULES: Mapping[Kind, RestoreRule] = {
    kinds.NAMESPACE: RestoreRule(Phase.NAMESPACE, fields=()),
    kinds.CONFIG_MAP: _CONTENT,
    kinds.SECRET: _CONTENT,
    kinds.EVENT_SOURCE: RestoreRule(Phase.SUPPORT),
    kinds.HEALTH_CHECK: RestoreRule(Phase.SUPPORT),
    kinds.TECHSUPPORT: RestoreRule(Phase.SUPPORT),
    kinds.DEBUGGING_CONFIGURATION: RestoreRule(Phase.SUPPORT),
    kinds.CLASSIFIER: RestoreRule(Phase.MATCHING),
    kinds.MANAGEMENT_CLUSTER_CLASSIFIER: RestoreRule(Phase.MATCHING),
    kinds.SVELTOS_CLUSTER: _CLUSTER,
    kinds.CAPI_CLUSTER: _CLUSTER,
    kinds.CLUSTER_SET: RestoreRule(Phase.MATCHING),
    kinds.SET: RestoreRule(Phase.MATCHING),
    kinds.CLUSTER_PROFILE: RestoreRule(Phase.SELECTING),
    kinds.PROFILE: RestoreRule(Phase.SELECTING),
    kinds.CLUSTER_PROMOTION: RestoreRule(Phase.SELECTING),
    kinds.EVENT_TRIGGER: RestoreRule(Phase.SELECTING),
    kinds.ROLE_REQUEST: RestoreRule(Phase.SELECTING),
    kinds.CLUSTER_HEALTH_CHECK: RestoreRule(Phase.SELECTING),
}
"""The rows of the kinds, in the order in which a rollback writes them."""

_OTHER = RestoreRule(Phase.OTHER)
_RANK = {kind: rank for rank, kind in enumerate(RESTORE_RULES)}

DEFAULT_SECRET_TYPE = "Opaque"  # noqa: S105 - the name of a type


def rule_of(kind: Kind) -> RestoreRule:
    """The row of a kind. In kinds that a policy adds, all fields except ``status`` are restored."""
    return RESTORE_RULES.get(kind, _OTHER)


def order_of(kind: Kind) -> tuple[int, int, Kind]:
    """The sort key of a kind for the order in which a rollback writes kinds."""
    return rule_of(kind).phase, _RANK.get(kind, len(_RANK)), kind


def restorable(kind: Kind) -> bool:
    """Whether a rollback writes objects of a kind. Sveltos' reports and inventories are never written."""
    return kind not in kinds.INVENTORY_KINDS | kinds.GENERATED_KINDS


# Objects that a rollback does not write -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnerMark:
    """One row: the marks of the objects that another tool owns, and how the tool reacts to a change."""

    owner: str
    """The name of the tool."""
    consequence: str
    """How the tool reacts to a change, and what to do instead."""
    labels: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    managers: frozenset[str] = frozenset()
    """Names of field managers in ``managedFields``."""


OWNERS: tuple[OwnerMark, ...] = (
    OwnerMark(
        "Argo CD",
        "its next sync reverts the change; make the change in the Git repository that it reads",
        labels=("argocd.argoproj.io/instance",),
        annotations=("argocd.argoproj.io/tracking-id",),
        managers=frozenset({"argocd-controller", "argocd-application-controller"}),
    ),
    OwnerMark(
        "Flux",
        "its next reconciliation reverts the change; make the change in the source that it reads",
        labels=("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"),
        managers=frozenset({"kustomize-controller", "helm-controller"}),
    ),
    OwnerMark(
        "Helm",
        "the next upgrade of its release reverts the change; change the values of the release",
        annotations=("meta.helm.sh/release-name",),
        managers=frozenset({"helm"}),
    ),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rollback does not write an object."""

    reason: str
    forceable: bool = False
    """Whether ``--force-owned`` overrides the refusal."""


def ownership(document: JsonObject) -> Refusal | None:
    """Why a rollback must not write an object: a controller generated it or another tool owns it. None if it may.

    ``document`` should be the object as the API server returned it: normalization strips some of the marks.
    """
    origin = generated.origin_of(KubeObject.of(document))
    if origin is not None:
        return Refusal(_describe_origin(origin, document), forceable=origin in generated.INCLUDABLE)
    metadata = document.get("metadata") or {}
    for mark in OWNERS:
        if _is_marked(mark, metadata):
            return Refusal(f"owned by {mark.owner}: {mark.consequence}", forceable=True)
    return None


def _describe_origin(origin: Origin, document: JsonObject) -> str:
    metadata = document.get("metadata") or {}
    description = generated.DESCRIPTIONS[origin]
    if origin is Origin.DEPLOYED:
        annotations = metadata.get("annotations") or {}
        kind, name = annotations["projectsveltos.io/owner-kind"], annotations["projectsveltos.io/owner-name"]
        return f"{description} ({kind} {name}), which reverts the change; roll back that profile instead"
    if origin is Origin.OWNED:
        owner = next(owner for owner in metadata.get("ownerReferences") or () if owner.get("controller") is True)
        return f"{description} ({owner.get('kind', '')} {owner.get('name', '')}), which reverts the change"
    return description


def _is_marked(mark: OwnerMark, metadata: Mapping[str, Any]) -> bool:
    if any(key in (metadata.get("labels") or ()) for key in mark.labels):
        return True
    if any(key in (metadata.get("annotations") or ()) for key in mark.annotations):
        return True
    return any(
        entry.get("manager") in mark.managers and not entry.get("subresource")
        for entry in metadata.get("managedFields") or ()
    )


def needs_recreation(archived: JsonObject, live: JsonObject) -> str:
    """Why an object must be deleted and recreated; ``""`` if an update suffices. Both objects are normalized.

    The API server refuses to change the type of a Secret and the content of an immutable ConfigMap or Secret.
    """
    if Kind.of(live) not in kinds.REFERENCED_KINDS:
        return ""
    if Kind.of(live) == kinds.SECRET:
        old_type, live_type = (str(secret.get("type") or DEFAULT_SECRET_TYPE) for secret in (archived, live))
        if old_type != live_type:
            return f"its type is {live_type} and was {old_type}: a type can be changed only by recreating the Secret"
    if live.get("immutable") and any(
        not same_json(archived.get(field) or None, live.get(field) or None)
        for field in ("data", "binaryData", "immutable")
    ):
        return "it is immutable: its content can be changed only by recreating the object"
    return ""


# Objects and patches to write -----------------------------------------------------------------------------------------


def desired_object(archived: JsonObject, live: JsonObject) -> JsonObject:
    """The desired object: the live object with the restored fields of its kind from the archive. Both are normalized.

    The difference between the result and ``live`` is the change that a rollback makes.
    """
    rule = rule_of(Kind.of(live))
    result = {field: value for field, value in live.items() if not _is_restored(rule, field)}
    result |= {field: value for field, value in archived.items() if _is_restored(rule, field)}
    metadata = {field: value for field, value in live["metadata"].items() if field not in _METADATA}
    metadata |= {field: value for field, value in archived["metadata"].items() if field in _METADATA and value}
    finalizers = _with_finalizers(archived, metadata)
    result["metadata"] = {**metadata, "finalizers": finalizers} if finalizers else metadata
    return result


def restorable_part(normalized: JsonObject) -> JsonObject:
    """The part of a normalized object that a rollback may change, to detect changes by another writer."""
    rule = rule_of(Kind.of(normalized))
    part = {field: value for field, value in normalized.items() if _is_restored(rule, field)}
    return part | {field: value for field in (*_METADATA, "finalizers") if (value := normalized["metadata"].get(field))}


def _with_finalizers(target: JsonObject, metadata: Mapping[str, Any]) -> list[str]:
    """The present finalizers and the finalizers of the target. None is removed: a finalizer may protect data."""
    present = list(metadata.get("finalizers") or ())
    return [*present, *(name for name in target["metadata"].get("finalizers") or () if name not in present)]


_METADATA = ("labels", "annotations")
_IDENTITY = frozenset({"apiVersion", "kind", "metadata", "status"})


def _is_restored(rule: RestoreRule, field: str) -> bool:
    return field not in _IDENTITY if rule.fields is None else field in rule.fields


def build_creation(archived: JsonObject, *, api_version: str) -> JsonObject:
    """The object to create from its archived form. Normalization has removed uid, owner references and status.

    ``api_version`` is the version that the server serves.
    """
    return {**archived, "apiVersion": api_version}


def build_update(target: JsonObject, *, live: JsonObject, normalized: JsonObject) -> JsonObject:
    """The whole object that replaces ``live``.

    ``target`` is the result of ``desired_object``, ``live`` the object as the API server returned it, and
    ``normalized`` the normalized form of ``live``. Fields that normalization strips are taken from ``live``, and with
    them the uid and resource version, which are the preconditions of the update.
    """
    rule = rule_of(Kind.of(live))
    result = {field: value for field, value in live.items() if not _is_restored(rule, field) or field not in normalized}
    result |= {
        field: _with_server_fields(value, live.get(field), normalized.get(field))
        for field, value in target.items()
        if _is_restored(rule, field)
    }
    if Kind.of(live) == kinds.CLUSTER_PROMOTION:
        result["spec"] = _with_approvals(result.get("spec") or {}, live.get("spec") or {})
    metadata = dict(live["metadata"])
    for field in _METADATA:
        merged = _with_controller_keys(target, live, normalized, field)
        metadata.pop(field, None)
        if merged:
            metadata[field] = merged
    finalizers = _with_finalizers(target, metadata)
    if finalizers:
        metadata["finalizers"] = finalizers
    result["metadata"] = metadata
    return result


def _with_server_fields(target: Any, live: Any, normalized: Any) -> Any:
    """The target with the fields of ``live`` that normalization stripped, because the server fills them in.

    Elements of a list are paired by their names. Elements without names are paired by position, provided that their
    number is unchanged.
    """
    if isinstance(target, dict) and isinstance(live, dict) and isinstance(normalized, dict):
        stripped = {name: value for name, value in live.items() if name not in normalized and name not in target}
        return stripped | {
            name: _with_server_fields(value, live.get(name), normalized.get(name)) for name, value in target.items()
        }
    if isinstance(target, list) and isinstance(live, list) and isinstance(normalized, list):
        if len(live) != len(normalized):
            return target
        pairs = dict(zip(map(_name_of, live), zip(live, normalized, strict=True), strict=True))
        if None not in pairs and len(pairs) == len(live):
            return [_with_server_fields(entry, *pairs.get(_name_of(entry), (None, None))) for entry in target]
        if len(target) == len(live):
            return [_with_server_fields(*entries) for entries in zip(target, live, normalized, strict=True)]
    return target


def _name_of(entry: Any) -> str | None:
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def build_patch(target: JsonObject, *, live: JsonObject, normalized: JsonObject) -> JsonObject:
    """A merge patch of the labels and annotations that differ. The arguments are those of ``build_update``.

    The patch leaves out the keys that controllers own, so that a controller's change in the meantime is not lost.
    """
    metadata: JsonObject = {field: live["metadata"][field] for field in ("uid", "resourceVersion")}
    for field in _METADATA:
        merged = _with_controller_keys(target, live, normalized, field)
        present = live["metadata"].get(field) or {}
        changes = {
            key: value for key, value in merged.items() if key not in present or not same_json(present[key], value)
        }
        changes |= dict.fromkeys(key for key in present if key not in merged)
        if changes:
            metadata[field] = changes
    return {"metadata": metadata}


def _with_controller_keys(target: JsonObject, live: JsonObject, normalized: JsonObject, field: str) -> dict[str, Any]:
    """The labels or annotations of the target, overridden by the live keys that belong to controllers."""
    user_keys = normalized["metadata"].get(field) or {}
    controller_keys = {key: value for key, value in (live["metadata"].get(field) or {}).items() if key not in user_keys}
    return {**(target["metadata"].get(field) or {}), **controller_keys}


def _with_approvals(spec: JsonObject, live_spec: JsonObject) -> JsonObject:
    """The spec of a ClusterPromotion with the live approval of each stage: an old approval would promote again."""
    approvals = {
        str(stage.get("name")): manual["approved"]
        for stage in live_spec.get("stages") or ()
        if "approved" in (manual := (stage.get("trigger") or {}).get("manual") or {})
    }
    spec = copy.deepcopy(spec)
    for stage in spec.get("stages") or ():
        manual = (stage.get("trigger") or {}).get("manual")
        if isinstance(manual, dict) and str(stage.get("name")) in approvals:
            manual["approved"] = approvals[str(stage.get("name"))]
    return spec
