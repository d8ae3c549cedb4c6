"""An archived object has all fields but those that servers and controllers write (SVELTOS.md, section 5)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.objects import KubeObject
from gitsnap.sveltos.generated import RULES, Origin, origin_of
from gitsnap.sveltos.normalize import SERVER_METADATA, last_manager, normalize, terminating

_API = {"ClusterProfile": "config.projectsveltos.io/v1beta1", "SveltosCluster": "lib.projectsveltos.io/v1beta1"}


def _object(kind: str = "ConfigMap", *, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": _API.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": "a", "namespace": "default", **metadata},
    }
    return document if spec is None else {**document, "spec": spec}


def test_defect_07_server_fields_are_left_out() -> None:
    """Uid, versions, owners, finalizers, status: with a stale owner the garbage collector deletes what is restored."""
    written = dict.fromkeys(SERVER_METADATA, "x") | {"ownerReferences": [{"uid": "u"}], "finalizers": ["f"]}
    raw = {**_object("ClusterProfile", spec={"tier": 1}, **written), "status": {"matchingClusters": []}}

    assert normalize(raw) == {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"tier": 1},
    }


def test_defect_07_an_object_that_is_being_deleted_is_not_configuration() -> None:
    """An object with a deletionTimestamp is left out."""
    assert terminating(_object(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert not terminating(_object())


@pytest.mark.parametrize(
    "annotation",
    [
        "kubectl.kubernetes.io/last-applied-configuration",
        "kapp.k14s.io/original",
        "objectset.rio.cattle.io/applied",
        "projectsveltos.io/deployed-by-sveltos",
        "license.projectsveltos.io/payload",
    ],
)
def test_copies_and_marks_in_annotations_are_left_out(annotation: str) -> None:
    """Copies of a whole Secret contain its values in clear text."""
    normalized = normalize(_object("Secret", annotations={annotation: "hidden", "mine": "kept"}))

    assert normalized["metadata"]["annotations"] == {"mine": "kept"}


@pytest.mark.parametrize(
    "annotation",
    [
        "projectsveltos.io/template",
        "projectsveltos.io/lua",
        "profile.projectsveltos.io/paused",
        "sharding.projectsveltos.io/key",
        "projectsveltos.io/driftDetectionIgnore",
    ],
)
def test_annotations_that_users_set_for_sveltos_are_kept(annotation: str) -> None:
    """These annotations change the behaviour of Sveltos."""
    assert annotation in normalize(_object(annotations={annotation: ""}))["metadata"]["annotations"]


def test_cluster_labels_of_controllers_are_left_out() -> None:
    """Controllers set the Kubernetes version and the labels of classifiers; users set the others."""
    labels = {"projectsveltos.io/k8s-version": "v1.37.2", "sveltos-agent": "present", "env": "production"}

    normalized = normalize(_object("SveltosCluster", labels=labels), controller_labels={"sveltos-agent"})

    assert normalized["metadata"]["labels"] == {"env": "production"}
    assert normalize(_object(labels=labels), controller_labels={"sveltos-agent"})["metadata"]["labels"] == labels


def test_cluster_fields_of_controllers_are_left_out() -> None:
    """``paused`` during a maintenance window and the key of a renewed token are not configuration."""
    renewed = {"kubeconfigKeyName": "re-kubeconfig", "tokenRequestRenewalOption": {"renewTokenRequestInterval": "1h"}}
    windowed = {"activeWindow": {"from": "0 20 * * 5"}, "paused": True}

    assert normalize(_object("SveltosCluster", spec=renewed))["spec"] == {"tokenRequestRenewalOption": {}}
    assert normalize(_object("SveltosCluster", spec=windowed))["spec"] == {"activeWindow": {"from": "0 20 * * 5"}}
    assert normalize(_object("SveltosCluster", spec={"paused": True}))["spec"] == {"paused": True}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(spec=st.dictionaries(st.text(max_size=8), _VALUES, max_size=4), labels=st.dictionaries(st.text(), st.text()))
def test_unknown_fields_are_kept_and_nothing_is_changed(spec: dict[str, Any], labels: dict[str, str]) -> None:
    """Unknown fields are the user's. Normalizing twice changes nothing, and the original is not changed."""
    raw = {**_object("ClusterProfile", spec=spec, labels=labels), "extra": spec}
    before = copy.deepcopy(raw)

    once = normalize(raw)

    assert raw == before
    assert (once["spec"], once["extra"], once["metadata"].get("labels", {})) == (spec, spec, labels)
    assert normalize(once) == once


def test_the_last_field_manager() -> None:
    """The newest entry of ``managedFields`` that is not about ``status``."""
    entries = [
        {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-01T00:00:00Z"},
        {"manager": "argocd", "operation": "Apply", "time": "2026-01-02T00:00:00Z"},
        {"manager": "controller", "operation": "Update", "subresource": "status", "time": "2026-01-03T00:00:00Z"},
    ]
    assert last_manager(KubeObject.of(_object(managedFields=entries))) == "argocd"
    assert last_manager(KubeObject.of(_object())) == ""


_TRIGGER = "eventtrigger.lib.projectsveltos.io/eventtriggername"


_CASES: list[tuple[dict[str, Any], Origin | None]] = [
    (_object("ClusterProfile", labels={_TRIGGER: "e"}), Origin.EVENT_TRIGGER),
    (_object("ConfigMap", labels={_TRIGGER: "e"}), Origin.EVENT_TRIGGER),
    (_object("ClusterProfile", labels={"config.projectsveltos.io/promotionname": "p"}), Origin.PROMOTION),
    (
        _object(annotations={"projectsveltos.io/owner-name": "p", "projectsveltos.io/owner-kind": "ClusterProfile"}),
        Origin.DEPLOYED,
    ),
    (_object("Secret", labels={"projectsveltos.io/role-request": "r"}), Origin.ROLE_REQUEST),
    (_object("Secret", labels={"projectsveltos.io/access-request-name": "r"}), Origin.ACCESS_REQUEST),
    (_object("Secret", name="west-sveltos-kubeconfig"), Origin.KUBECONFIG),
    (_object(name="clustersharding-addonmanager-helm", namespace="projectsveltos"), Origin.SHARDING),
    (_object(ownerReferences=[{"controller": True, "uid": "u"}]), Origin.OWNED),
    (_object(ownerReferences=[{"uid": "u"}]), None),
    (_object("SveltosCluster", ownerReferences=[{"controller": True, "uid": "u"}]), None),
    (_object(name="clustersharding-mine"), None),
    ({**_object("Secret", name="my-kubeconfig"), "type": "addons.projectsveltos.io/cluster-profile"}, None),
    (_object(), None),
    (_object(name="kube-root-ca.crt"), Origin.KUBERNETES),
    ({**_object("Secret"), "type": "helm.sh/release.v1"}, Origin.HELM_RELEASE),
]


@pytest.mark.parametrize(("document", "origin"), _CASES)
def test_generated_objects(document: dict[str, Any], origin: Origin | None) -> None:
    """Each rule has an object that it matches, and a similar object that it does not match."""
    assert origin_of(KubeObject.of(document)) is origin


def test_each_rule_about_generated_objects_has_a_case() -> None:
    """Nobody would notice the loss of a rule without a case."""
    assert {origin for _, origin in _CASES} == {None, *(rule.origin for rule in RULES)}
