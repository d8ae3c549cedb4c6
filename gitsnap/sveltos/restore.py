"""What a rollback gives back of each kind, in which order, and whose objects it must leave alone.

One table of kinds and one of owners; everything else is derived from them. What normalization strips belongs to
controllers and servers: it stays as it is in the cluster, or is left out of an object that is created.
This module must not decide what is selected, and must not read or write a cluster.
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
    """When a kind is written: content before what refers to it, what a selector reads beside what selects."""

    NAMESPACE = 0
    CONTENT = 1
    """ConfigMaps and Secrets: a profile that is written later finds them."""
    OTHER = 2
    """Kinds that a policy adds; nothing is known of them."""
    SUPPORT = 3
    """What other objects name, without clusters being matched by it."""
    MATCHING = 4
    """What selectors read: labels of clusters, sets, and the classifiers that set such labels."""
    SELECTING = 5
    """What matches clusters. Changes places with MATCHING where that keeps a match that the other order loses."""


@dataclass(frozen=True, slots=True)
class RestoreRule:
    """One row: what a kind gets back besides its labels and annotations."""

    phase: Phase
    fields: tuple[str, ...] | None = None
    """Top-level fields; None means all of them but status."""
    creates: bool = True
    """Whether an object that is gone can be created from what is archived of it."""


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
"""Kinds in the order in which they are written."""

_OTHER = RestoreRule(Phase.OTHER)
_RANK = {kind: rank for rank, kind in enumerate(RESTORE_RULES)}

DEFAULT_SECRET_TYPE = "Opaque"  # noqa: S105 - the name of a type


def rule_of(kind: Kind) -> RestoreRule:
    """The row of a kind; kinds that a policy adds get everything back but status."""
    return RESTORE_RULES.get(kind, _OTHER)


def order_of(kind: Kind) -> tuple[int, int, Kind]:
    """Sorts kinds into the order in which they are written."""
    return rule_of(kind).phase, _RANK.get(kind, len(_RANK)), kind


def restorable(kind: Kind) -> bool:
    """Whether objects of a kind are rolled back at all: not what Sveltos reports."""
    return kind not in kinds.INVENTORY_KINDS | kinds.GENERATED_KINDS


# Whose objects are left alone --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnerMark:
    """One row: how the objects of another tool are known, and what it will do about a change."""

    owner: str
    consequence: str
    labels: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    managers: frozenset[str] = frozenset()
    """Field managers, exactly as they stand in managedFields."""


OWNERS: tuple[OwnerMark, ...] = (
    OwnerMark(
        "Argo CD",
        "its next sync puts its own state back; change it in the Git repository that it reads",
        labels=("argocd.argoproj.io/instance",),
        annotations=("argocd.argoproj.io/tracking-id",),
        managers=frozenset({"argocd-controller", "argocd-application-controller"}),
    ),
    OwnerMark(
        "Flux",
        "its next reconciliation puts its own state back; change it in the source that it reads",
        labels=("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"),
        managers=frozenset({"kustomize-controller", "helm-controller"}),
    ),
    OwnerMark(
        "Helm",
        "the next upgrade of its release puts the chart's state back; change the values of the release",
        annotations=("meta.helm.sh/release-name",),
        managers=frozenset({"helm"}),
    ),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an object is not written."""

    reason: str
    forceable: bool = False
    """Whether ``--force-owned`` overrides it."""


def ownership(document: JsonObject) -> Refusal | None:
    """Why an object, best as the API server gave it, is not a user's to roll back; None when it is."""
    origin = generated.origin_of(KubeObject.of(document))
    if origin is not None:
        return Refusal(_origin_in_words(origin, document), forceable=origin in generated.INCLUDABLE)
    metadata = document.get("metadata") or {}
    for mark in OWNERS:
        if _marked(mark, metadata):
            return Refusal(f"owned by {mark.owner}: {mark.consequence}", forceable=True)
    return None


def _origin_in_words(origin: Origin, document: JsonObject) -> str:
    metadata = document.get("metadata") or {}
    words = generated.DESCRIPTIONS[origin]
    if origin is Origin.DEPLOYED:
        annotations = metadata.get("annotations") or {}
        kind, name = annotations["projectsveltos.io/owner-kind"], annotations["projectsveltos.io/owner-name"]
        return f"{words} ({kind} {name}), which puts its own state back; roll that profile back instead"
    if origin is Origin.OWNED:
        owners = (owner for owner in metadata.get("ownerReferences") or () if owner.get("controller") is True)
        owner = next(owners)
        return f"{words} ({owner.get('kind', '')} {owner.get('name', '')}), which puts its own state back"
    return words


def _marked(mark: OwnerMark, metadata: Mapping[str, Any]) -> bool:
    if any(key in (metadata.get("labels") or ()) for key in mark.labels):
        return True
    if any(key in (metadata.get("annotations") or ()) for key in mark.annotations):
        return True
    return any(
        entry.get("manager") in mark.managers and not entry.get("subresource")
        for entry in metadata.get("managedFields") or ()
    )


def needs_recreation(archived: JsonObject, live: JsonObject) -> str:
    """Why an object can only be deleted and created anew, ``""`` where an update does; both normalized."""
    if Kind.of(live) not in kinds.REFERENCED_KINDS:
        return ""
    if Kind.of(live) == kinds.SECRET:
        wanted, found = (str(secret.get("type") or DEFAULT_SECRET_TYPE) for secret in (archived, live))
        if wanted != found:
            return f"its type is {found} and was {wanted}: a type cannot be changed, only by deleting and creating"
    if live.get("immutable") and any(
        not same_json(archived.get(field) or None, live.get(field) or None)
        for field in ("data", "binaryData", "immutable")
    ):
        return "it is immutable: its content cannot be changed, only by deleting and creating"
    return ""


# What is written ----------------------------------------------------------------------------------------------------


def wanted(archived: JsonObject, live: JsonObject) -> JsonObject:
    """What the live object is to be, both normalized: the archived fields that its kind gets back, the rest as it is.

    The difference between the result and ``live`` is what a rollback changes.
    """
    rule = rule_of(Kind.of(live))
    result = {field: value for field, value in live.items() if not _restored(rule, field)}
    result |= {field: value for field, value in archived.items() if _restored(rule, field)}
    metadata = {field: value for field, value in live["metadata"].items() if field not in _METADATA}
    metadata |= {field: value for field, value in archived["metadata"].items() if field in _METADATA and value}
    finalizers = _with_finalizers(archived, metadata)
    result["metadata"] = {**metadata, "finalizers": finalizers} if finalizers else metadata
    return result


def concerned(normalized: JsonObject) -> JsonObject:
    """The part of a normalized object that a rollback of its kind may change, to tell whether somebody else did."""
    rule = rule_of(Kind.of(normalized))
    part = {field: value for field, value in normalized.items() if _restored(rule, field)}
    return part | {field: value for field in (*_METADATA, "finalizers") if (value := normalized["metadata"].get(field))}


def _with_finalizers(target: JsonObject, metadata: Mapping[str, Any]) -> list[str]:
    """The finalizers of an object and those that it is to have. None is taken away: data may be safe because of it."""
    present = list(metadata.get("finalizers") or ())
    return [*present, *(name for name in target["metadata"].get("finalizers") or () if name not in present)]


_METADATA = ("labels", "annotations")
_IDENTITY = frozenset({"apiVersion", "kind", "metadata", "status"})


def _restored(rule: RestoreRule, field: str) -> bool:
    return field not in _IDENTITY if rule.fields is None else field in rule.fields


def creation(archived: JsonObject, *, api_version: str) -> JsonObject:
    """A new object from its archived form, which has no uid, owner, finalizer or status (normalization saw to that).

    ``api_version`` is the one that the server serves.
    """
    return {**archived, "apiVersion": api_version}


def update(target: JsonObject, *, live: JsonObject, normalized: JsonObject) -> JsonObject:
    """The whole object to write over ``live``.

    ``target`` is from ``wanted``, ``live`` as the API server gave it, ``normalized`` the same without what belongs to
    controllers. That part is taken over from ``live``, with the uid and resource version that are the preconditions.
    """
    rule = rule_of(Kind.of(live))
    result = {field: value for field, value in live.items() if not _restored(rule, field) or field not in normalized}
    result |= {
        field: _with_filled(value, live.get(field), normalized.get(field))
        for field, value in target.items()
        if _restored(rule, field)
    }
    if Kind.of(live) == kinds.CLUSTER_PROMOTION:
        result["spec"] = _with_approvals(result.get("spec") or {}, live.get("spec") or {})
    metadata = dict(live["metadata"])
    for field in _METADATA:
        merged = _with_owned(target, live, normalized, field)
        metadata.pop(field, None)
        if merged:
            metadata[field] = merged
    finalizers = _with_finalizers(target, metadata)
    if finalizers:
        metadata["finalizers"] = finalizers
    result["metadata"] = metadata
    return result


def _with_filled(target: Any, live: Any, normalized: Any) -> Any:
    """What is to be written, with the fields of the live object that normalization left out: the server's.

    Elements of lists are told apart by their names, else by their places where nothing came or went.
    """
    if isinstance(target, dict) and isinstance(live, dict) and isinstance(normalized, dict):
        filled = {name: value for name, value in live.items() if name not in normalized and name not in target}
        return filled | {
            name: _with_filled(value, live.get(name), normalized.get(name)) for name, value in target.items()
        }
    if isinstance(target, list) and isinstance(live, list) and isinstance(normalized, list):
        if len(live) != len(normalized):
            return target
        pairs = dict(zip(map(_name_of, live), zip(live, normalized, strict=True), strict=True))
        if None not in pairs and len(pairs) == len(live):
            return [_with_filled(entry, *pairs.get(_name_of(entry), (None, None))) for entry in target]
        if len(target) == len(live):
            return [_with_filled(*entries) for entries in zip(target, live, normalized, strict=True)]
    return target


def _name_of(entry: Any) -> str | None:
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def patch(target: JsonObject, *, live: JsonObject, normalized: JsonObject) -> JsonObject:
    """A merge patch of the labels and annotations that differ; the arguments are those of ``update``.

    Keys that controllers own are not in it, so that they cannot be lost even if they change meanwhile.
    """
    metadata: JsonObject = {field: live["metadata"][field] for field in ("uid", "resourceVersion")}
    for field in _METADATA:
        merged = _with_owned(target, live, normalized, field)
        present = live["metadata"].get(field) or {}
        changes = {
            key: value for key, value in merged.items() if key not in present or not same_json(present[key], value)
        }
        changes |= dict.fromkeys(key for key in present if key not in merged)
        if changes:
            metadata[field] = changes
    return {"metadata": metadata}


def _with_owned(target: JsonObject, live: JsonObject, normalized: JsonObject, field: str) -> dict[str, Any]:
    """Labels or annotations: those wanted, and over them the live ones that belong to controllers."""
    mine = normalized["metadata"].get(field) or {}
    owned = {key: value for key, value in (live["metadata"].get(field) or {}).items() if key not in mine}
    return {**(target["metadata"].get(field) or {}), **owned}


def _with_approvals(spec: JsonObject, live_spec: JsonObject) -> JsonObject:
    """The approvals of a promotion as they are live, stage by stage: putting an old one back would promote again."""
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
