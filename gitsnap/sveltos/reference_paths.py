"""Where each kind refers to other objects: one table, from which captures, comparisons and docs/SVELTOS.md are made.

A row says where a reference stands, what it may name, and by which of Sveltos' rules its namespace is found.
This module must not resolve anything, and lists no reference to an object inside a managed cluster, and no kubeconfig.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gitsnap.core.model import Kind
from gitsnap.sveltos import kinds


class Namespace(enum.Enum):
    """What a reference's namespace field means."""

    CLUSTER = "of the matching cluster when empty"
    """Rule R: empty is the namespace of each matching cluster."""
    LITERAL = "as written"
    """An empty one refers to nothing."""
    OWN = "of the object that refers"
    """Whatever is written."""
    SVELTOS = "the one Sveltos runs in"


class Form(enum.Enum):
    """How a reference is written."""

    OBJECT = "an object with a name"
    NAME = "a name"
    PLACE = "`[namespace/]name`"
    SOURCE_URL = "`gitrepository://namespace/name/path`"
    FLAG = "a flag of a container"


_CONTENT = (kinds.CONFIG_MAP, kinds.SECRET)
_SOURCES = (kinds.GIT_REPOSITORY, kinds.OCI_REPOSITORY, kinds.BUCKET)
_ANY: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class ReferencePath:
    """One row: a place where a kind keeps references."""

    path: str
    """Below the object, ``[]`` after a list, ``[key]`` for a key that has dots in it."""
    kinds: tuple[Kind, ...] = _CONTENT
    """What may be named: a single kind is meant whatever is written, none stands for every kind."""
    namespace: Namespace = Namespace.CLUSTER
    form: Form = Form.OBJECT
    forced: bool = False
    """Rule P: in a Profile (and in a Set) the namespace is its own."""
    typed: bool = True
    """Rule T: a Secret must be of Sveltos' own type."""
    untyped_where: tuple[str, str] = ("", "")
    """A field of the list's entry, and the value with which rule T does not apply to it."""
    templated: bool = True
    """Whether names, and namespaces by rule R, are Go templates."""
    optional: bool = False
    """Sveltos goes on without the target, whether the entry says ``optional`` or not."""

    def below(self, prefix: str) -> ReferencePath:
        """The same row further down."""
        return replace(self, path=f"{prefix}.{self.path}")


def _named(path: str, kind: Kind, *, templated: bool = False) -> ReferencePath:
    """A plain name: of a cluster-scoped object, or of one in the namespace of the object that refers."""
    return ReferencePath(path, (kind,), Namespace.OWN, Form.NAME, typed=False, templated=templated)


def _secret(path: str, *, forced: bool = False, typed: bool = False) -> ReferencePath:
    return ReferencePath(path, (kinds.SECRET,), forced=forced, typed=typed)


CHECKS = ("preDeployChecks", "validateHealths", "preDeleteChecks", "postDeleteChecks")
"""Lists of checks. Their ``metricSource.secretRef`` names a Secret inside the managed cluster: it is not ours."""

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
"""The references of the part that profiles, promotions and event triggers have in common."""

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
        form=Form.PLACE,
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
"""Where a kind says what is to be deployed: profiles, and what Sveltos makes ClusterProfiles of."""


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
            f"spec.template.spec.containers[].{words}[{flag}]",
            (kinds.CONFIG_MAP,),
            Namespace.SVELTOS,
            Form.FLAG,
            templated=False,
        )
        for words in ("args", "command")
        for flag in ("--lua-methods", "--drift-detection-config")
    ),
}
"""Where each kind refers to other objects, in the order of the fields. The Deployment is Sveltos' own controller, whose
flags name ConfigMaps that hold for every profile; it is read for them and not archived."""
