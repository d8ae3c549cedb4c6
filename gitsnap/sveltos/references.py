"""Which ConfigMaps and Secrets an object refers to, resolved for the clusters that it matches.

Where a kind keeps its references is a table; how they are resolved is three rules. Rule R: an empty namespace is that
of each matching cluster, and names may be templates. Rule P: a Profile forces most namespaces to its own. Rule T: a
Secret must be of Sveltos' own type. This module must not read objects or know whether a target exists.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef, values_at

ADD_ON_TYPE = "addons.projectsveltos.io/cluster-profile"
"""The only type of Secret that Sveltos reads content from (rule T)."""


class UnresolvedReason(enum.StrEnum):
    """Why a reference could not be followed; a closed set."""

    NOT_FOUND = "not-found"
    FORBIDDEN = "forbidden"
    TEMPLATE = "template"
    WRONG_TYPE = "wrong-type"
    OMITTED = "omitted"


@dataclass(frozen=True, slots=True, order=True)
class Unresolved:
    """A reference that could not be followed. The target's namespace or name may be template text."""

    by: ObjectKey
    target: ObjectKey
    reason: UnresolvedReason


@dataclass(frozen=True, slots=True)
class Reference:
    """One object that another one refers to."""

    by: ObjectKey
    target: ObjectKey
    path: str
    """Where it stands: ``spec.policyRefs[]``."""
    optional: bool = False
    """Whether Sveltos deploys without the target."""
    secret_type_required: bool = False
    """Whether a Secret of another type than ADD_ON_TYPE is of no use here (rule T)."""
    unresolved: UnresolvedReason | None = None
    """TEMPLATE when the name cannot be worked out; then ``target`` holds the template text."""
    local: bool = False
    """Whether the content is deployed to the management cluster (``deploymentType: Local``)."""

    def as_unresolved(self, reason: UnresolvedReason | None = None) -> Unresolved:
        """The record of a reference that could not be followed, for ``reason`` or for its own."""
        return Unresolved(self.by, self.target, reason or self.unresolved or UnresolvedReason.NOT_FOUND)


class Namespace(enum.Enum):
    """What a reference's namespace field means."""

    CLUSTER = enum.auto()
    """Rule R: empty is the namespace of each matching cluster."""
    LITERAL = enum.auto()
    """As written; an empty one refers to nothing."""
    OWN = enum.auto()
    """The namespace of the object that refers, whatever is written."""


@dataclass(frozen=True, slots=True)
class ReferencePath:
    """One row: a place where a kind keeps references."""

    path: str
    """Below the object, ``[]`` after a list."""
    kind: Kind | None = None
    """The kind referred to; None where the ``kind`` field of the reference says it."""
    namespace: Namespace = Namespace.CLUSTER
    forced: bool = False
    """Rule P: in a Profile, the namespace is the Profile's."""
    typed: bool = True
    """Rule T applies."""


_CHECKS = ("preDeployChecks", "validateHealths", "preDeleteChecks", "postDeleteChecks")

_ADD_ONS: tuple[ReferencePath, ...] = (
    ReferencePath("policyRefs[]", forced=True),
    ReferencePath("policyRefs[].remoteURL.secretRef", kinds.SECRET, forced=True),
    ReferencePath("kustomizationRefs[]", forced=True),
    ReferencePath("kustomizationRefs[].valuesFrom[]", forced=True),
    ReferencePath("kustomizationRefs[].remoteURL.secretRef", kinds.SECRET),
    ReferencePath("helmCharts[].valuesFrom[]"),
    ReferencePath("helmCharts[].registryCredentialsConfig.credentials", kinds.SECRET, forced=True, typed=False),
    ReferencePath("helmCharts[].registryCredentialsConfig.ca", kinds.SECRET, forced=True, typed=False),
    ReferencePath("helmCharts[].signatureVerification.secretRef", kinds.SECRET, typed=False),
    ReferencePath("helmCharts[].provenanceVerification.keyringSecretRef", kinds.SECRET, typed=False),
    ReferencePath("patchesFrom[]"),
    *(ReferencePath(f"{checks}[].jobCheck.jobRef", typed=False) for checks in _CHECKS),
)
"""The references of the part that profiles, promotions and event triggers have in common."""

_PROMOTION_STAGES = tuple(
    row
    for trigger in ("spec.stages[].trigger.auto", "spec.stages[].trigger.manual")
    for row in (
        ReferencePath(f"{trigger}.preHealthCheckDeployment[]"),
        ReferencePath(f"{trigger}.preHealthCheckDeployment[].remoteURL.secretRef", kinds.SECRET),
        ReferencePath(f"{trigger}.postDelayHealthChecks[].jobCheck.jobRef", typed=False),
    )
)


def _below(prefix: str, rows: Iterable[ReferencePath]) -> tuple[ReferencePath, ...]:
    return tuple(
        ReferencePath(f"{prefix}.{row.path}", row.kind, row.namespace, forced=row.forced, typed=row.typed)
        for row in rows
    )


REFERENCE_PATHS: Mapping[Kind, tuple[ReferencePath, ...]] = {
    kinds.CLUSTER_PROFILE: _below("spec", _ADD_ONS),
    kinds.PROFILE: _below("spec", _ADD_ONS),
    kinds.CLUSTER_PROMOTION: _below("spec.profileSpec", _ADD_ONS) + _PROMOTION_STAGES,
    kinds.EVENT_TRIGGER: (
        *_below("spec", _ADD_ONS),
        ReferencePath("spec.configMapGenerator[]", kinds.CONFIG_MAP),
        ReferencePath("spec.secretGenerator[]", kinds.SECRET),
    ),
    kinds.ROLE_REQUEST: (ReferencePath("spec.roleRefs[]"),),
    kinds.CLUSTER_HEALTH_CHECK: (
        ReferencePath("spec.notifications[].notificationRef", namespace=Namespace.LITERAL, typed=False),
    ),
    kinds.TECHSUPPORT: (
        ReferencePath("spec.deliveryMethods[].secretRef", kinds.SECRET, Namespace.LITERAL, typed=False),
    ),
    kinds.SVELTOS_CLUSTER: (
        ReferencePath("spec.workloadIdentity.caSecretRef", kinds.SECRET, Namespace.OWN, typed=False),
    ),
}
"""Where each kind refers to ConfigMaps and Secrets. Flux sources, Helm repository URLs and template resources are not
here: their content is not in these two kinds."""

_KIND_BY_NAME = {kind.name: kind for kind in kinds.REFERENCED_KINDS}

_TEMPLATE = "{{"
_PLAIN_FIELD = re.compile(
    r"{{\s*\.(Cluster\.metadata\.name|Cluster\.metadata\.namespace|ClusterName|ClusterNamespace)\s*}}"
)


def references(document: JsonObject, clusters: Iterable[ClusterRef]) -> Iterator[Reference]:
    """What an object refers to when it matches ``clusters``; each target once for each place, in the object's order.

    A reference without a template and with its namespace given is there even when no cluster matches.
    """
    by = ObjectKey.of(document)
    ordered = sorted(clusters)
    for row in REFERENCE_PATHS.get(by.kind, ()):
        for entry in values_at(document, row.path):
            kind = _kind(row, entry)
            if kind is None:
                continue
            required = row.typed and kind == kinds.SECRET
            optional = entry.get("optional") is True
            for target, unresolved in _targets(row, entry, kind, by, ordered):
                local = entry.get("deploymentType") == "Local"
                yield Reference(by, target, row.path, optional, required, unresolved, local)


def render(template: str, cluster: ClusterRef) -> str | None:
    """A name or namespace for one cluster, None when only Sveltos can work it out.

    Text without a template stands for itself. The plain fields that name the cluster are filled in; names of
    Kubernetes objects hold nothing that Sveltos' HTML escaping would change. Functions and pipelines are not evaluated.
    """
    if _TEMPLATE not in template:
        return template
    rendered = _PLAIN_FIELD.sub(
        lambda match: cluster.namespace if match[1].lower().endswith("namespace") else cluster.name, template
    )
    return None if _TEMPLATE in rendered else rendered


def _kind(row: ReferencePath, entry: Any) -> Kind | None:
    """The kind a reference names, None where it is no reference to a ConfigMap or Secret (a URL, a Flux source)."""
    if not isinstance(entry, dict) or not entry.get("name"):
        return None
    return row.kind or _KIND_BY_NAME.get(str(entry.get("kind", "")))


def _targets(
    row: ReferencePath, entry: Mapping[str, Any], kind: Kind, by: ObjectKey, clusters: list[ClusterRef]
) -> Iterator[tuple[ObjectKey, UnresolvedReason | None]]:
    name, namespace = str(entry["name"]), str(entry.get("namespace") or "")
    if row.namespace is Namespace.OWN or (row.forced and by.kind == kinds.PROFILE):
        namespace = by.namespace
    if row.namespace is Namespace.LITERAL and not namespace:
        return
    if namespace and _TEMPLATE not in namespace + name:
        yield ObjectKey(kind, namespace, name), None
        return
    seen: set[ObjectKey] = set()
    for cluster in clusters:
        rendered_name = render(name, cluster)
        rendered_namespace = render(namespace, cluster) if namespace else cluster.namespace
        if rendered_name is None or rendered_namespace is None:
            yield ObjectKey(kind, namespace, name), UnresolvedReason.TEMPLATE
            return
        target = ObjectKey(kind, rendered_namespace, rendered_name)
        if target not in seen:
            seen.add(target)
            yield target, None
