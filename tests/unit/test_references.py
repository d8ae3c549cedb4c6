"""References: every row of the table, and the rules by which references are resolved for the matching clusters."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.reference_paths import REFERENCE_PATHS, Form
from gitsnap.sveltos.references import Reference, UnresolvedReason, references

WEST = ClusterRef(kinds.SVELTOS_CLUSTER, "west-ns", "west")
EAST = ClusterRef(kinds.CAPI_CLUSTER, "east-ns", "east")
BOTH = (WEST, EAST)


def document(kind: Kind, spec: JsonObject, namespace: str = "", **metadata: Any) -> JsonObject:
    """An object of a kind of the table."""
    row = kinds.BY_KIND.get(kind)
    version = row.versions[0] if row else "v1"
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": f"{kind.group}/{version}",
        "kind": kind.name,
        "metadata": {"name": "it", **place, **metadata},
        "spec": spec,
    }


def targets_of(subject: JsonObject, *clusters: ClusterRef) -> list[str]:
    """The keys of the objects that an object refers to, as text."""
    return [str(reference.target) for reference in references(subject, clusters)]


def nested(path: str, leaf: Any) -> JsonObject:
    """An object with a value at a path of the table."""
    head, _, key = path.partition("[")
    if key and not key.startswith("]"):
        words = key.rstrip("]")
        value: Any = [f"{words}={leaf}"] if words.startswith("--") else {words: leaf}
        parts = head.split(".")
    else:
        parts, value = path.split("."), leaf
        if parts[-1].endswith("[]"):
            value = leaf
    for part in reversed(parts):
        value = {part.removesuffix("[]"): [value] if part.endswith("[]") else value}
    assert isinstance(value, dict)
    return value


def _flag_path(path: str, leaf: str) -> JsonObject:
    head, _, key = path.rpartition("[")
    return nested(head, [f"{key.rstrip(']')}={leaf}"])


_LEAVES: dict[Form, Any] = {
    Form.NAME: "target",
    Form.NAMESPACED_NAME: "there/target",
    Form.SOURCE_URL: "OCIRepository://there/target/path",
}


@pytest.mark.parametrize(("kind", "path"), [(kind, row.path) for kind, rows in REFERENCE_PATHS.items() for row in rows])
def test_every_row_of_the_table_is_read(kind: Kind, path: str) -> None:
    """An object with a single reference at the path yields the reference with the path."""
    (row,) = [row for row in REFERENCE_PATHS[kind] if row.path == path]
    target = row.kinds[-1] if row.kinds else Kind("apps", "StatefulSet")
    if row.form is Form.FLAG:
        body = _flag_path(path, "target")
    else:
        api_version = f"{target.group}/v1" if target.group else "v1"
        leaf = {"apiVersion": api_version, "kind": target.name, "namespace": "there", "name": "target"}
        body = nested(path, _LEAVES.get(row.form, leaf))
    namespace = "own" if kinds.is_namespaced(kind) else ""
    subject = document(kind, {}, namespace)
    subject["metadata"] |= body.get("metadata", {})
    subject["spec"] = body.get("spec", {})

    (reference,) = [reference for reference in references(subject, BOTH) if reference.path == path]

    expected = kinds.OCI_REPOSITORY if row.form is Form.SOURCE_URL else target
    assert (reference.target.kind, reference.target.name, reference.unresolved) == (expected, "target", None)


# Rule R ---------------------------------------------------------------------------------------------------------------


def test_an_empty_namespace_is_that_of_each_cluster() -> None:
    """Rule R: a reference has one target for each namespace with matching clusters."""
    subject = document(kinds.CLUSTER_PROFILE, {"policyRefs": [{"kind": "ConfigMap", "name": "a"}]})

    assert targets_of(subject, *BOTH) == ["ConfigMap east-ns/a", "ConfigMap west-ns/a"]
    assert targets_of(subject) == []


def test_a_given_namespace_needs_no_cluster() -> None:
    """A reference with a namespace has its target even if no cluster matches."""
    subject = document(kinds.CLUSTER_PROFILE, {"policyRefs": [{"kind": "ConfigMap", "namespace": "x", "name": "a"}]})

    assert targets_of(subject) == targets_of(subject, *BOTH) == ["ConfigMap x/a"]


def test_an_empty_name_is_the_namespace_of_the_cluster() -> None:
    """A quirk of Sveltos: the same function fills in the name and the namespace."""
    subject = document(kinds.CLUSTER_PROFILE, {"policyRefs": [{"kind": "Secret", "namespace": "x"}]})

    assert targets_of(subject, WEST) == ["Secret x/west-ns"]


def test_a_remote_url_is_no_object() -> None:
    """The content is not in the API. The credentials are, and the `optional` of the entry applies to them."""
    entry = {"remoteURL": {"url": "https://x/y", "secretRef": {"name": "token"}}, "optional": True}
    subject = document(kinds.CLUSTER_PROFILE, {"policyRefs": [entry]})

    (reference,) = references(subject, [WEST])

    assert (str(reference.target), reference.optional, reference.secret_type_required) == (
        "Secret west-ns/token",
        True,
        True,
    )


def test_cluster_scoped_input_of_a_template_has_no_namespace() -> None:
    """Sveltos ignores the namespace of a cluster-scoped kind; a kind without a row counts as namespaced."""
    resources = [
        {"identifier": "a", "resource": {"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "EventSource",
                                         "namespace": "x", "name": "source"}},
        {"identifier": "b", "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "{{ .ClusterName }}"}},
    ]  # fmt: skip
    subject = document(kinds.CLUSTER_PROFILE, {"templateResourceRefs": resources})

    assert targets_of(subject, WEST) == ["EventSource.lib.projectsveltos.io source", "Deployment.apps west-ns/west"]


# Rule P ---------------------------------------------------------------------------------------------------------------

_SECRET = {"namespace": "there", "name": "a"}
_CONFIG_MAP = {"kind": "ConfigMap", **_SECRET}
_CHECK = [{"jobCheck": {"jobRef": _CONFIG_MAP}}]

FORCED: list[JsonObject] = [
    {"clusterRefs": [{"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "SveltosCluster", **_SECRET}]},
    {"policyRefs": [_CONFIG_MAP]},
    {"policyRefs": [{"kind": "GitRepository", **_SECRET}]},
    {"policyRefs": [{"remoteURL": {"secretRef": _SECRET}}]},
    {"kustomizationRefs": [_CONFIG_MAP]},
    {"kustomizationRefs": [{"valuesFrom": [_CONFIG_MAP]}]},
    {"helmCharts": [{"registryCredentialsConfig": {"credentials": _SECRET}}]},
    {"helmCharts": [{"registryCredentialsConfig": {"ca": _SECRET}}]},
]
NOT_FORCED: list[JsonObject] = [
    {"helmCharts": [{"valuesFrom": [_CONFIG_MAP]}]},
    {"helmCharts": [{"repositoryURL": "gitrepository://there/a/charts"}]},
    {"patchesFrom": [_CONFIG_MAP]},
    {"templateResourceRefs": [{"resource": {"apiVersion": "v1", **_CONFIG_MAP}}]},
    {"helmCharts": [{"signatureVerification": {"secretRef": _SECRET}}]},
    {"helmCharts": [{"provenanceVerification": {"keyringSecretRef": _SECRET}}]},
    {"kustomizationRefs": [{"remoteURL": {"secretRef": _SECRET}}]},
    {"preDeployChecks": _CHECK},
    {"validateHealths": _CHECK},
    {"preDeleteChecks": _CHECK},
    {"postDeleteChecks": _CHECK},
]


@pytest.mark.parametrize("spec", FORCED)
def test_references_that_a_profile_forces_into_its_namespace(spec: JsonObject) -> None:
    """Rule P: a Profile replaces the namespace with its own; a ClusterProfile keeps the written one."""
    (forced,) = references(document(kinds.PROFILE, spec, "own"), [WEST])
    (written,) = references(document(kinds.CLUSTER_PROFILE, spec), [WEST])

    assert (forced.target.namespace, written.target.namespace) == ("own", "there")


@pytest.mark.parametrize("spec", NOT_FORCED)
def test_references_that_a_profile_does_not_force(spec: JsonObject) -> None:
    """A Profile keeps the written namespace of these references."""
    (reference,) = references(document(kinds.PROFILE, spec, "own"), [WEST])

    assert reference.target.namespace == "there"


def test_every_forced_row_of_the_table_is_tested() -> None:
    """The two lists above contain every row of a Profile."""
    exercised = {
        reference.path
        for spec in FORCED + NOT_FORCED
        for reference in references(document(kinds.PROFILE, spec, "own"), [WEST])
    }
    rest = {"spec.setRefs[]", "spec.dependsOn[]"}

    assert {row.path for row in REFERENCE_PATHS[kinds.PROFILE]} == exercised | rest


def test_names_of_a_profile_are_of_its_own_namespace() -> None:
    """A Profile names Sets and Profiles of its namespace; a ClusterProfile names cluster-scoped objects."""
    spec = {"setRefs": ["s"], "dependsOn": ["p"]}

    assert targets_of(document(kinds.PROFILE, spec, "own")) == [
        "Set.lib.projectsveltos.io own/s",
        "Profile.config.projectsveltos.io own/p",
    ]
    assert targets_of(document(kinds.CLUSTER_PROFILE, spec)) == [
        "ClusterSet.lib.projectsveltos.io s",
        "ClusterProfile.config.projectsveltos.io p",
    ]


# Rule T and optional references ---------------------------------------------------------------------------------------


def only(subject: JsonObject) -> Reference:
    """The single reference of an object."""
    (reference,) = references(subject, [WEST])
    return reference


def test_a_mail_server_may_have_any_type_of_secret() -> None:
    """Rule T holds for notifications except SMTP."""

    def notification(kind: str) -> JsonObject:
        reference = {"kind": "Secret", "apiVersion": "v1", "namespace": "x", "name": "a"}
        spec = {"notifications": [{"name": "n", "type": kind, "notificationRef": reference}]}
        return document(kinds.CLUSTER_HEALTH_CHECK, spec)

    assert only(notification("Slack")).secret_type_required
    assert not only(notification("SMTP")).secret_type_required


def test_a_role_request_does_without_a_missing_object() -> None:
    """Sveltos skips a missing object silently, so gitsnap does not warn."""
    subject = document(kinds.ROLE_REQUEST, {"roleRefs": [{"kind": "ConfigMap", "namespace": "", "name": "a"}]})

    reference = only(subject)

    assert (str(reference.target), reference.absent) == ("ConfigMap west-ns/a", UnresolvedReason.OPTIONAL)


def test_secrets_inside_a_managed_cluster_and_kubeconfigs_are_not_followed() -> None:
    """Sveltos reads `metricSource.secretRef` in the managed cluster and renews kubeconfigs itself."""
    checks = [{"metricSource": {"secretRef": {"namespace": "x", "name": "a"}}}]
    profile = document(kinds.CLUSTER_PROFILE, {"validateHealths": checks, "preDeployChecks": checks})
    cluster = document(kinds.SVELTOS_CLUSTER, {"kubeconfigName": "west-sveltos-kubeconfig"}, "x")

    assert targets_of(profile, WEST) == targets_of(cluster) == []


# Clusters, sources, controllers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "target"), [("conf", "own/conf"), ("x/conf", "x/conf")])
@pytest.mark.parametrize("kind", [kinds.SVELTOS_CLUSTER, kinds.CAPI_CLUSTER])
def test_annotations_of_a_cluster(kind: Kind, value: str, target: str) -> None:
    """The ConfigMap with settings of an agent is in the namespace of the cluster unless another is named."""
    annotations = {"driftdetection.projectsveltos.io/config-override-ref": value}

    assert targets_of(document(kind, {}, "own", annotations=annotations), EAST) == [f"ConfigMap {target}"]


@pytest.mark.parametrize(
    ("url", "targets"),
    [
        ("gitrepository://flux-system/charts/a/b", ["GitRepository.source.toolkit.fluxcd.io flux-system/charts"]),
        ("Bucket://x/y", ["Bucket.source.toolkit.fluxcd.io x/y"]),
        ("ocirepository://{{ .ClusterNamespace }}/y", ["OCIRepository.source.toolkit.fluxcd.io west-ns/y"]),
        ("https://charts.example.com/{{ .ClusterName }}", []),
        ("oci://registry.example.com/charts", []),
        ("gitrepository://only", []),
    ],
)
def test_repository_of_a_chart(url: str, targets: list[str]) -> None:
    """A URL with a scheme of Flux names a source; any other URL names no object."""
    subject = document(kinds.CLUSTER_PROFILE, {"helmCharts": [{"repositoryURL": url}]})

    assert targets_of(subject, WEST) == targets


def test_flags_of_the_controller() -> None:
    """Flags name global ConfigMaps, written as `--flag=value` or `--flag value`."""
    containers = [{"args": ["--v=5", "--lua-methods=lua"]}, {"args": ["--drift-detection-config", "drift"]}]
    spec = {"template": {"spec": {"containers": containers}}}

    assert sorted(targets_of(document(kinds.DEPLOYMENT, spec, "projectsveltos"))) == [
        "ConfigMap projectsveltos/drift",
        "ConfigMap projectsveltos/lua",
    ]


@pytest.mark.parametrize("spec", [{"policyRefs": "x"}, {"policyRefs": [1, None, {"kind": "Pod", "name": "a"}]}, {}])
def test_other_shapes_are_no_references(spec: JsonObject) -> None:
    """Values of another type are skipped, for example those of a newer schema."""
    assert targets_of(document(kinds.CLUSTER_PROFILE, spec), WEST) == []


@pytest.mark.parametrize(("kind", "name"), [("EventTrigger", "a+b"), ("ClusterProfile", "a&#43;b")])
def test_names_in_an_event_trigger_are_not_escaped(kind: str, name: str) -> None:
    """The event manager renders them with text/template, which does not escape."""
    group = "lib" if kind == "EventTrigger" else "config"
    document = {
        "apiVersion": f"{group}.projectsveltos.io/v1beta1",
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": {"policyRefs": [{"kind": "ConfigMap", "namespace": "n", "name": '{{ printf "a+b" }}'}]},
    }

    (reference,) = references(document, [ClusterRef(kinds.CAPI_CLUSTER, "default", "west")])
    assert reference.target.name == name


def test_a_target_occurs_once_per_entry() -> None:
    """Two clusters in the same namespace lead to the same target."""
    other = ClusterRef(kinds.SVELTOS_CLUSTER, "west-ns", "second")
    subject = document(kinds.CLUSTER_PROFILE, {"patchesFrom": [{"kind": "Secret", "name": "a"}]})

    (reference,) = references(subject, [WEST, other])
    assert reference.target == ObjectKey(kinds.SECRET, "west-ns", "a")
