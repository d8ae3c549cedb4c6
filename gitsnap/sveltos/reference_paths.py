"""The fields in which each kind refers to other objects: the table for captures, comparisons and docs/SVELTOS.md.

A row names the field, the kinds that it may name, and the rules of Sveltos by which the namespace is determined.
``references`` resolves the rows. References to objects inside a managed cluster and to kubeconfigs are not listed,
because a capture must not follow them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gitsnap.core.model import Kind
from gitsnap.sveltos import kinds


class Namespace(enum.Enum):
    """How the namespace of a target is determined."""

    CLUSTER = "of the matching cluster when empty"
    """Rule R: an empty namespace stands for the namespace of each matching cluster."""
    LITERAL = "as written"
    """A reference with an empty namespace names no object."""
    OWN = "of the object that refers"
    """The namespace in the reference is ignored."""
    SVELTOS = "of Sveltos"


class Form(enum.Enum):
    """The notation of a reference."""

    OBJECT = "an object with a name"
    NAME = "a name"
    NAMESPACED_NAME = "`[namespace/]name`"
    SOURCE_URL = "`gitrepository://namespace/name/path`"
    FLAG = "a flag of a container"


_CONTENT = (kinds.CONFIG_MAP, kinds.SECRET)
_SOURCES = (kinds.GIT_REPOSITORY, kinds.OCI_REPOSITORY, kinds.BUCKET)
_ANY: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class ReferencePath:
    """One row: a field in which a kind contains references."""

    path: str
    """The path of the field: ``[]`` after a list, ``[key]`` for a key that contains dots."""
    kinds: tuple[Kind, ...] = _CONTENT
    """The kinds that the field may name. With a single kind, the kind in the reference is ignored. No kind stands for
    every kind."""
    namespace: Namespace = Namespace.CLUSTER
    form: Form = Form.OBJECT
    forced: bool = False
    """Rule P: in a Profile or Set, the namespace of the target is that of the object that refers."""
    typed: bool = True
    """Rule T: a Secret must have Sveltos' own type."""
    untyped_where: tuple[str, str] = ("", "")
    """A field of the entry and the value of that field for which rule T does not apply."""
    templated: bool = True
    """Whether names, and namespaces by rule R, are Go templates."""
    optional: bool = False
    """Sveltos skips a target that does not exist, even if the entry does not say ``optional``."""

    def below(self, prefix: str) -> ReferencePath:
        """The same row with its path below ``prefix``."""
        return replace(self, path=f"{prefix}.{self.path}")


def _named(path: str, kind: Kind, *, templated: bool = False) -> ReferencePath:
    """A plain name of a cluster-scoped object, or of an object in the namespace of the object that refers."""
    return ReferencePath(path, (kind,), Namespace.OWN, Form.NAME, typed=False, templated=templated)


def _secret(path: str, *, forced: bool = False, typed: bool = False) -> ReferencePath:
    return ReferencePath(path, (kinds.SECRET,), forced=forced, typed=typed)


CHECKS = ("preDeployChecks", "validateHealths", "preDeleteChecks", "postDeleteChecks")
"""Lists of checks. Their ``metricSource.secretRef`` is not in the table: it names a Secret inside a managed cluster."""

_ADD_ONS: tuple[ReferencePath, ...] = (
    ReferencePath("policyRefs[]", (*_CONTENT, *_SOURCES), forced=True),
    _secret("policyRefs[].remoteURL.secretRef", forced=True, typed=True),
    ReferencePath("kustomizationRefs[]", (*_CONTENT, *_SOURCES), forced=True),
    ReferencePath("kustomizationRefs[].valuesFrom[]", forced=True),
    _secret("kustomizationRefs[].remoteURL.secretRef", typed=True),
    ReferencePath("helmCharts[].repositoryURL", _SOURCES, Namespace.LITERAL, Form.SOURCE_URL, typed=False),
    ReferencePath("helmCharts[].valuesFrom[]"),
    _secret("helmCharts[].registryCredentialsConfig.credentials", forced=True),
    _secret("helmCharts[].registryCredentialsConfig.ca", forced=True),
    _secret("helmCharts[].signatureVerification.secretRef"),
    _secret("helmCharts[].provenanceVerification.keyringSecretRef"),
    ReferencePath("templateResourceRefs[].resource", _ANY, typed=False),
    ReferencePath("patchesFrom[]"),
    *(ReferencePath(f"{checks}[].jobCheck.jobRef", typed=False) for checks in CHECKS),
)
"""The references in the part of the spec that profiles, ClusterPromotions and EventTriggers share."""

_CLUSTER_REFS = ReferencePath(
    "spec.clusterRefs[]",
    (kinds.SVELTOS_CLUSTER, kinds.CAPI_CLUSTER),
    Namespace.LITERAL,
    forced=True,
    typed=False,
    templated=False,
)

_PROMOTION_STAGES = tuple(
    row.below(trigger)
    for trigger in ("spec.stages[].trigger.auto", "spec.stages[].trigger.manual")
    for row in (
        ReferencePath("preHealthCheckDeployment[]", (*_CONTENT, *_SOURCES)),
        _secret("preHealthCheckDeployment[].remoteURL.secretRef", typed=True),
        ReferencePath("postDelayHealthChecks[].jobCheck.jobRef", typed=False),
    )
)

_OVERRIDES = tuple(
    ReferencePath(
        f"metadata.annotations[{agent}.projectsveltos.io/config-override-ref]",
        (kinds.CONFIG_MAP,),
        form=Form.NAMESPACED_NAME,
        templated=False,
    )
    for agent in ("driftdetection", "sveltosagent", "sveltosapplier")
)

ADD_ONS_AT: Mapping[Kind, str] = {
    kinds.CLUSTER_PROFILE: "spec",
    kinds.PROFILE: "spec",
    kinds.CLUSTER_PROMOTION: "spec.profileSpec",
    kinds.EVENT_TRIGGER: "spec",
}
"""The path below which a kind lists its add-ons. The kinds are profiles and those that generate ClusterProfiles."""


def _below(prefix: str, rows: Iterable[ReferencePath]) -> tuple[ReferencePath, ...]:
    return tuple(row.below(prefix) for row in rows)


REFERENCE_PATHS: Mapping[Kind, tuple[ReferencePath, ...]] = {
    kinds.CLUSTER_PROFILE: (
        _CLUSTER_REFS,
        _named("spec.setRefs[]", kinds.CLUSTER_SET),
        _named("spec.dependsOn[]", kinds.CLUSTER_PROFILE),
        *_below("spec", _ADD_ONS),
    ),
    kinds.PROFILE: (
        _CLUSTER_REFS,
        _named("spec.setRefs[]", kinds.SET),
        _named("spec.dependsOn[]", kinds.PROFILE),
        *_below("spec", _ADD_ONS),
    ),
    kinds.CLUSTER_PROMOTION: (
        _named("spec.profileSpec.dependsOn[]", kinds.CLUSTER_PROFILE),
        *_below(ADD_ONS_AT[kinds.CLUSTER_PROMOTION], _ADD_ONS),
        *_PROMOTION_STAGES,
    ),
    kinds.EVENT_TRIGGER: (
        _named("spec.eventSourceName", kinds.EVENT_SOURCE, templated=True),
        _named("spec.clusterSetRefs[]", kinds.CLUSTER_SET),
        replace(_CLUSTER_REFS, path="spec.destinationCluster"),
        _named("spec.dependsOn[]", kinds.CLUSTER_PROFILE, templated=True),
        *_below("spec", _ADD_ONS),
        ReferencePath("spec.configMapGenerator[]", (kinds.CONFIG_MAP,)),
        ReferencePath("spec.secretGenerator[]", (kinds.SECRET,)),
    ),
    kinds.CLUSTER_SET: (_CLUSTER_REFS,),
    kinds.SET: (_CLUSTER_REFS,),
    kinds.ROLE_REQUEST: (ReferencePath("spec.roleRefs[]", optional=True),),
    kinds.CLUSTER_HEALTH_CHECK: (
        ReferencePath(
            "spec.livenessChecks[].livenessSourceRef",
            (kinds.HEALTH_CHECK,),
            Namespace.OWN,
            typed=False,
            templated=False,
        ),
        ReferencePath(
            "spec.notifications[].notificationRef",
            (kinds.SECRET,),
            Namespace.LITERAL,
            untyped_where=("type", "SMTP"),
            templated=False,
        ),
    ),
    kinds.TECHSUPPORT: (
        replace(_CLUSTER_REFS, path="spec.fromManaged.clusterRefs[]"),
        ReferencePath("spec.deliveryMethods[].secretRef", (kinds.SECRET,), Namespace.LITERAL, templated=False),
    ),
    kinds.SVELTOS_CLUSTER: (
        ReferencePath(
            "spec.workloadIdentity.caSecretRef", (kinds.SECRET,), Namespace.OWN, typed=False, templated=False
        ),
        *_OVERRIDES,
    ),
    kinds.CAPI_CLUSTER: _OVERRIDES,
    kinds.DEPLOYMENT: tuple(
        ReferencePath(
            f"spec.template.spec.containers[].{command}[{flag}]",
            (kinds.CONFIG_MAP,),
            Namespace.SVELTOS,
            Form.FLAG,
            templated=False,
        )
        for command in ("args", "command")
        for flag in ("--lua-methods", "--drift-detection-config")
    ),
}
"""The rows of each kind, in the order of the fields. The Deployment is Sveltos' addon-controller: its flags name
ConfigMaps that apply to every profile. A capture reads the Deployment for these flags and does not archive it."""
