"""References: every place of the table, and the rules by which a reference is resolved for the matching clusters."""

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


def found(subject: JsonObject, *clusters: ClusterRef) -> list[str]:
    """What an object refers to, in words."""
    return [str(one.target) for one in references(subject, clusters)]


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
def test_every_place_of_the_table_is_read(kind: Kind, path: str) -> None:
    """A reference that stands there alone is found, and says where it stands."""
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

    (reference,) = [one for one in references(subject, BOTH) if one.path == path]

    wanted = kinds.OCI_REPOSITORY if row.form is Form.SOURCE_URL else target
    assert (reference.target.kind, reference.target.name, reference.unresolved) == (wanted, "target", None)


# Rule R ---------------------------------------------------------------------------------------------------------------


def test_an_empty_namespace_is_that_of_each_cluster() -> None:
    """Rule R: one reference is as many objects as there are namespaces with matching clusters."""
    subject = document(kinds.CLUSTER_PROFILE, {"policyRefs": [{"kind": "ConfigMap", "name": "a"}]})

    assert found(subject, *BOTH) == ["ConfigMap east-ns/a", "ConfigMap west-ns/a"]
    assert found(subject) == []


def test_a_given_namespace_needs_no_cluster() -> None:
    """What is written in full exists whether or not a cluster matches."""
    subject = document(kinds.CLUSTER_PROFILE, {"policyRefs": [{"kind": "ConfigMap", "namespace": "x", "name": "a"}]})

    assert found(subject) == found(subject, *BOTH) == ["ConfigMap x/a"]


def test_an_empty_name_is_the_namespace_of_the_cluster() -> None:
    """A quirk of Sveltos: both are filled in by the same function."""
    subject = document(kinds.CLUSTER_PROFILE, {"policyRefs": [{"kind": "Secret", "namespace": "x"}]})

    assert found(subject, WEST) == ["Secret x/west-ns"]


def test_a_remote_url_is_no_object() -> None:
    """Its content is not in the API; its credentials are, and follow the entry's own `optional`."""
    entry = {"remoteURL": {"url": "https://x/y", "secretRef": {"name": "token"}}, "optional": True}
    subject = document(kinds.CLUSTER_PROFILE, {"policyRefs": [entry]})

    (reference,) = references(subject, [WEST])

    assert (str(reference.target), reference.optional, reference.secret_type_required) == (
        "Secret west-ns/token",
        True,
        True,
    )


def test_cluster_scoped_input_of_a_template_has_no_namespace() -> None:
    """Sveltos ignores a namespace there; of unknown kinds only the server can say whether they have one."""
    resources = [
        {"identifier": "a", "resource": {"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "EventSource",
                                         "namespace": "x", "name": "one"}},
        {"identifier": "b", "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "{{ .ClusterName }}"}},
    ]  # fmt: skip
    subject = document(kinds.CLUSTER_PROFILE, {"templateResourceRefs": resources})

    assert found(subject, WEST) == ["EventSource.lib.projectsveltos.io one", "Deployment.apps west-ns/west"]


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
def test_what_a_profile_forces_into_its_namespace(spec: JsonObject) -> None:
    """Rule P: in a Profile the namespace is its own; in a ClusterProfile it is as written."""
    (forced,) = references(document(kinds.PROFILE, spec, "own"), [WEST])
    (written,) = references(document(kinds.CLUSTER_PROFILE, spec), [WEST])

    assert (forced.target.namespace, written.target.namespace) == ("own", "there")


@pytest.mark.parametrize("spec", NOT_FORCED)
def test_what_a_profile_does_not_force(spec: JsonObject) -> None:
    """Sveltos leaves the namespaces of these as they are, in a Profile too."""
    (reference,) = references(document(kinds.PROFILE, spec, "own"), [WEST])

    assert reference.target.namespace == "there"


def test_the_forced_places_are_those_of_the_table() -> None:
    """No row of a Profile is left out of the two lists above."""
    exercised = {
        one.path for spec in FORCED + NOT_FORCED for one in references(document(kinds.PROFILE, spec, "own"), [WEST])
    }
    rest = {"spec.setRefs[]", "spec.dependsOn[]"}

    assert {row.path for row in REFERENCE_PATHS[kinds.PROFILE]} == exercised | rest


def test_names_of_a_profile_are_of_its_own_namespace() -> None:
    """Sets and profiles that a Profile names stand beside it; those of a ClusterProfile are cluster-scoped."""
    spec = {"setRefs": ["s"], "dependsOn": ["p"]}

    assert found(document(kinds.PROFILE, spec, "own")) == [
        "Set.lib.projectsveltos.io own/s",
        "Profile.config.projectsveltos.io own/p",
    ]
    assert found(document(kinds.CLUSTER_PROFILE, spec)) == [
        "ClusterSet.lib.projectsveltos.io s",
        "ClusterProfile.config.projectsveltos.io p",
    ]


# Rule T and optional ones ---------------------------------------------------------------------------------------------


def only(subject: JsonObject) -> Reference:
    """The one reference of an object."""
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
    """Sveltos skips it silently, so that it is no reason to warn."""
    subject = document(kinds.ROLE_REQUEST, {"roleRefs": [{"kind": "ConfigMap", "namespace": "", "name": "a"}]})

    reference = only(subject)

    assert (str(reference.target), reference.absent) == ("ConfigMap west-ns/a", UnresolvedReason.OPTIONAL)


def test_secrets_inside_a_managed_cluster_and_kubeconfigs_are_not_ours() -> None:
    """`metricSource.secretRef` is read in the managed cluster, a kubeconfig is renewed by Sveltos."""
    checks = [{"metricSource": {"secretRef": {"namespace": "x", "name": "a"}}}]
    profile = document(kinds.CLUSTER_PROFILE, {"validateHealths": checks, "preDeployChecks": checks})
    cluster = document(kinds.SVELTOS_CLUSTER, {"kubeconfigName": "west-sveltos-kubeconfig"}, "x")

    assert found(profile, WEST) == found(cluster) == []


# Clusters, sources, controllers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "target"), [("conf", "own/conf"), ("x/conf", "x/conf")])
@pytest.mark.parametrize("kind", [kinds.SVELTOS_CLUSTER, kinds.CAPI_CLUSTER])
def test_annotations_of_a_cluster(kind: Kind, value: str, target: str) -> None:
    """A ConfigMap that overrides an agent's settings is in the cluster's namespace unless another is named."""
    annotations = {"driftdetection.projectsveltos.io/config-override-ref": value}

    assert found(document(kind, {}, "own", annotations=annotations), EAST) == [f"ConfigMap {target}"]


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
    """A scheme of Flux names a source, any other URL nothing in the API."""
    subject = document(kinds.CLUSTER_PROFILE, {"helmCharts": [{"repositoryURL": url}]})

    assert found(subject, WEST) == targets


def test_flags_of_the_controller() -> None:
    """Global ConfigMaps are named by flags, written in one word or in two."""
    containers = [{"args": ["--v=5", "--lua-methods=lua"]}, {"args": ["--drift-detection-config", "drift"]}]
    spec = {"template": {"spec": {"containers": containers}}}

    assert sorted(found(document(kinds.DEPLOYMENT, spec, "projectsveltos"))) == [
        "ConfigMap projectsveltos/drift",
        "ConfigMap projectsveltos/lua",
    ]


@pytest.mark.parametrize("spec", [{"policyRefs": "x"}, {"policyRefs": [1, None, {"kind": "Pod", "name": "a"}]}, {}])
def test_other_shapes_are_no_references(spec: JsonObject) -> None:
    """What a newer schema, or nobody's, puts there is passed over."""
    assert found(document(kinds.CLUSTER_PROFILE, spec), WEST) == []


@pytest.mark.parametrize(("kind", "name"), [("EventTrigger", "a+b"), ("ClusterProfile", "a&#43;b")])
def test_names_in_an_event_trigger_are_not_escaped(kind: str, name: str) -> None:
    """Another controller renders them, and that one does not escape."""
    group = "lib" if kind == "EventTrigger" else "config"
    document = {
        "apiVersion": f"{group}.projectsveltos.io/v1beta1",
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": {"policyRefs": [{"kind": "ConfigMap", "namespace": "n", "name": '{{ printf "a+b" }}'}]},
    }

    assert [one.target.name for one in references(document, [ClusterRef(kinds.CAPI_CLUSTER, "default", "west")])] == [
        name
    ]


def test_each_target_once_for_each_place() -> None:
    """Two clusters of one namespace do not make two references."""
    other = ClusterRef(kinds.SVELTOS_CLUSTER, "west-ns", "second")
    subject = document(kinds.CLUSTER_PROFILE, {"patchesFrom": [{"kind": "Secret", "name": "a"}]})

    assert [one.target for one in references(subject, [WEST, other])] == [ObjectKey(kinds.SECRET, "west-ns", "a")]
