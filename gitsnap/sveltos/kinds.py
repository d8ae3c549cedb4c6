"""The kinds that gitsnap knows: how an API server serves them, and their role in a configuration.

KINDS is the only table; all other values are derived from it. Its order is the order in which a capture reads kinds. A
kind comes after the kinds that it needs: clusters after the classifiers that own some of their labels, profiles after
clusters and sets. The facts are those of docs/SVELTOS.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from gitsnap.core.model import Kind


class Role(enum.StrEnum):
    """The role of a kind in a configuration."""

    USER = "user"
    """Written by users: captured, compared and rolled back."""
    CLUSTER = "cluster"
    """A managed cluster: captured and compared. A rollback writes only the labels and annotations of users."""
    INVENTORY = "inventory"
    """Written by Sveltos about the resources that it deployed: captured in a stable form, never rolled back."""
    REFERENCED = "referenced"
    """Captured if a captured object refers to it."""
    SOURCE = "source"
    """A Flux source: captured if a captured object refers to it. Its content is not in the API, only a fingerprint."""
    GENERATED = "generated"
    """A report or another by-product of the controllers: never captured."""


@dataclass(frozen=True, slots=True)
class SveltosKind:
    """One row: a kind, and how an API server serves it."""

    kind: Kind
    plural: str
    namespaced: bool
    role: Role
    versions: tuple[str, ...] = ("v1beta1",)
    """API versions that gitsnap understands, the preferred one first."""
    status: bool = True
    """Whether ``status`` is a subresource."""
    short_names: tuple[str, ...] = ()
    """The abbreviations in the CustomResourceDefinition, which kubectl accepts."""
    since: str = ""
    """The first release of Sveltos that has the kind; ``""`` for a release before 0.33."""


CONFIG_GROUP = "config.projectsveltos.io"
LIB_GROUP = "lib.projectsveltos.io"
CAPI_GROUP = "cluster.x-k8s.io"
FLUX_GROUP = "source.toolkit.fluxcd.io"

CLASSIFIER = Kind(LIB_GROUP, "Classifier")
MANAGEMENT_CLUSTER_CLASSIFIER = Kind(LIB_GROUP, "ManagementClusterClassifier")
SVELTOS_CLUSTER = Kind(LIB_GROUP, "SveltosCluster")
CAPI_CLUSTER = Kind(CAPI_GROUP, "Cluster")
CLUSTER_SET = Kind(LIB_GROUP, "ClusterSet")
SET = Kind(LIB_GROUP, "Set")
CLUSTER_PROFILE = Kind(CONFIG_GROUP, "ClusterProfile")
PROFILE = Kind(CONFIG_GROUP, "Profile")
CLUSTER_PROMOTION = Kind(CONFIG_GROUP, "ClusterPromotion")
EVENT_SOURCE = Kind(LIB_GROUP, "EventSource")
EVENT_TRIGGER = Kind(LIB_GROUP, "EventTrigger")
HEALTH_CHECK = Kind(LIB_GROUP, "HealthCheck")
CLUSTER_HEALTH_CHECK = Kind(LIB_GROUP, "ClusterHealthCheck")
ROLE_REQUEST = Kind(LIB_GROUP, "RoleRequest")
TECHSUPPORT = Kind(LIB_GROUP, "Techsupport")
DEBUGGING_CONFIGURATION = Kind(LIB_GROUP, "DebuggingConfiguration")
CLUSTER_CONFIGURATION = Kind(CONFIG_GROUP, "ClusterConfiguration")
CLUSTER_SUMMARY = Kind(CONFIG_GROUP, "ClusterSummary")
CONFIG_MAP = Kind("", "ConfigMap")
SECRET = Kind("", "Secret")
NAMESPACE = Kind("", "Namespace")
GIT_REPOSITORY = Kind(FLUX_GROUP, "GitRepository")
OCI_REPOSITORY = Kind(FLUX_GROUP, "OCIRepository")
BUCKET = Kind(FLUX_GROUP, "Bucket")
DEPLOYMENT = Kind("apps", "Deployment")

SVELTOS_NAMESPACE = "projectsveltos"
"""The namespace in which Sveltos runs by default."""

ADDON_CONTROLLER = "addon-controller"
"""The Deployment in that namespace whose flags name ConfigMaps that apply to every profile."""


def _source(kind: Kind, plural: str, *short_names: str) -> SveltosKind:
    versions = ("v1", "v1beta2")
    return SveltosKind(kind, plural, namespaced=True, role=Role.SOURCE, versions=versions, short_names=short_names)


def _generated(group: str, name: str, plural: str, *, namespaced: bool = True, since: str = "") -> SveltosKind:
    return SveltosKind(Kind(group, name), plural, namespaced, Role.GENERATED, since=since)


KINDS: tuple[SveltosKind, ...] = (
    SveltosKind(CLASSIFIER, "classifiers", namespaced=False, role=Role.USER),
    SveltosKind(
        MANAGEMENT_CLUSTER_CLASSIFIER,
        "managementclusterclassifiers",
        namespaced=False,
        role=Role.USER,
        since="1.12.0",
    ),
    SveltosKind(SVELTOS_CLUSTER, "sveltosclusters", namespaced=True, role=Role.CLUSTER),
    SveltosKind(
        CAPI_CLUSTER,
        "clusters",
        namespaced=True,
        role=Role.CLUSTER,
        versions=("v1beta2", "v1beta1"),
        short_names=("cl",),
    ),
    SveltosKind(CLUSTER_SET, "clustersets", namespaced=False, role=Role.USER, since="0.33"),
    SveltosKind(SET, "sets", namespaced=True, role=Role.USER, since="0.33"),
    SveltosKind(CLUSTER_PROFILE, "clusterprofiles", namespaced=False, role=Role.USER),
    SveltosKind(PROFILE, "profiles", namespaced=True, role=Role.USER),
    SveltosKind(CLUSTER_PROMOTION, "clusterpromotions", namespaced=False, role=Role.USER, since="1.3.0"),
    SveltosKind(EVENT_SOURCE, "eventsources", namespaced=False, role=Role.USER, status=False),
    SveltosKind(EVENT_TRIGGER, "eventtriggers", namespaced=False, role=Role.USER),
    SveltosKind(HEALTH_CHECK, "healthchecks", namespaced=False, role=Role.USER, status=False),
    SveltosKind(CLUSTER_HEALTH_CHECK, "clusterhealthchecks", namespaced=False, role=Role.USER),
    SveltosKind(ROLE_REQUEST, "rolerequests", namespaced=False, role=Role.USER),
    SveltosKind(TECHSUPPORT, "techsupports", namespaced=False, role=Role.USER, since="0.45"),
    SveltosKind(DEBUGGING_CONFIGURATION, "debuggingconfigurations", namespaced=False, role=Role.USER, status=False),
    SveltosKind(CLUSTER_CONFIGURATION, "clusterconfigurations", namespaced=True, role=Role.INVENTORY),
    SveltosKind(CLUSTER_SUMMARY, "clustersummaries", namespaced=True, role=Role.INVENTORY),
    SveltosKind(CONFIG_MAP, "configmaps", namespaced=True, role=Role.REFERENCED, versions=("v1",), status=False),
    SveltosKind(SECRET, "secrets", namespaced=True, role=Role.REFERENCED, versions=("v1",), status=False),
    _source(GIT_REPOSITORY, "gitrepositories", "gitrepo"),
    _source(OCI_REPOSITORY, "ocirepositories", "ocirepo"),
    _source(BUCKET, "buckets"),
    _generated(CONFIG_GROUP, "ClusterReport", "clusterreports"),
    _generated(LIB_GROUP, "ClassifierReport", "classifierreports"),
    _generated(LIB_GROUP, "ManagementClusterClassifierReport", "managementclusterclassifierreports", since="1.12.0"),
    _generated(LIB_GROUP, "EventReport", "eventreports"),
    _generated(LIB_GROUP, "HealthCheckReport", "healthcheckreports"),
    _generated(LIB_GROUP, "ReloaderReport", "reloaderreports"),
    _generated(LIB_GROUP, "ResourceSummary", "resourcesummaries"),
    _generated(LIB_GROUP, "ConfigurationGroup", "configurationgroups", since="1.0"),
    _generated(LIB_GROUP, "ConfigurationBundle", "configurationbundles", since="1.0"),
    _generated(LIB_GROUP, "AccessRequest", "accessrequests"),
    _generated(LIB_GROUP, "Reloader", "reloaders", namespaced=False),
    _generated(LIB_GROUP, "SveltosLicense", "sveltoslicenses", namespaced=False, since="1.0"),
)
"""Every kind of Sveltos, and the other kinds that these refer to, in the order in which a capture reads them."""

BY_KIND: dict[Kind, SveltosKind] = {row.kind: row for row in KINDS}


def of_role(role: Role) -> frozenset[Kind]:
    """The kinds with a role."""
    return frozenset(row.kind for row in KINDS if row.role is role)


USER_KINDS = of_role(Role.USER)
CLUSTER_KINDS = of_role(Role.CLUSTER)
INVENTORY_KINDS = of_role(Role.INVENTORY)
REFERENCED_KINDS = of_role(Role.REFERENCED)
SOURCE_KINDS = of_role(Role.SOURCE)
GENERATED_KINDS = of_role(Role.GENERATED)
LISTED_KINDS = USER_KINDS | CLUSTER_KINDS | INVENTORY_KINDS
"""A capture reads every object of these kinds."""

CAPTURED_KINDS = LISTED_KINDS | REFERENCED_KINDS | SOURCE_KINDS
"""The kinds that a sample may contain, in addition to the kinds that its policy adds."""

NOT_CONFIGURATION = GENERATED_KINDS | INVENTORY_KINDS
"""The kinds that Sveltos writes. A capture does not follow references to them."""

PROFILE_KINDS = frozenset({CLUSTER_PROFILE, PROFILE})
PRODUCER_KINDS = frozenset({CLUSTER_PROMOTION, EVENT_TRIGGER})
"""The kinds from which Sveltos generates ClusterProfiles. The generated ClusterProfiles are not configuration."""

_RANK = {row.kind: rank for rank, row in enumerate(KINDS)}


def reading_order(kinds: Iterable[Kind]) -> list[Kind]:
    """Kinds sorted into the order in which a capture reads them. Kinds without a row come last, by group and name."""
    return sorted(kinds, key=lambda kind: (_RANK.get(kind, len(_RANK)), kind))


def is_namespaced(kind: Kind) -> bool:
    """Whether a kind is namespaced. A kind without a row counts as namespaced."""
    row = BY_KIND.get(kind)
    return row is None or row.namespaced
