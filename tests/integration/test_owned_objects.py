"""Objects of Sveltos kinds that a controller owns: left out and reported, followed, included if a policy asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.model import JsonObject
from tests.support.commands import gitsnap
from tests.support.trees import W, cluster, config_map, policy_ref, profile

_NAMESPACE: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "1-1"}}
_OWNER = {"apiVersion": "example.org/v1", "kind": "ServiceSet", "name": "managed", "uid": "4-8", "controller": True}
_DEPLOYED = {"projectsveltos.io/owner-name": "p", "projectsveltos.io/owner-kind": "ClusterProfile"}
_INCLUDE = "ClusterProfile.config.projectsveltos.io"


def _folder(place: Path, *objects: JsonObject) -> None:
    place.mkdir(exist_ok=True)
    listed = [_NAMESPACE, cluster(W, env="fv"), *objects]
    (place / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": listed}))


def _marked(document: JsonObject, mark: dict[str, Any]) -> JsonObject:
    return {**document, "metadata": {**document["metadata"], **mark}}


def _capture(tmp_path: Path, *words: str) -> tuple[dict[str, Any], str]:
    (tmp_path / "store").mkdir(exist_ok=True)
    capture = ("capture", "--snapshot", "p", "--from-dir", "cluster", "-o", "json")
    done = gitsnap(tmp_path, *capture, *words, GITSNAP_STORAGE=str(tmp_path / "store"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def _archived(tmp_path: Path) -> set[str]:
    root = tmp_path / "store" / "p" / "configuration"
    return {str(path.relative_to(root)) for path in root.rglob("*.yaml")}


@pytest.mark.parametrize("mark", [{"ownerReferences": [_OWNER]}, {"annotations": _DEPLOYED}], ids=["owned", "deployed"])
def test_a_profile_that_is_left_out_is_followed(tmp_path: Path, mark: dict[str, Any]) -> None:
    """Its ConfigMap is captured, the warning names the profile, and the suggested option includes it."""
    owned = _marked(profile("managed", {"clusterSelector": {}, "policyRefs": [policy_ref("mine")]}), mark)
    _folder(tmp_path / "cluster", owned, config_map("mine", {"a.yaml": "x: y"}))

    _, warnings = _capture(tmp_path)

    assert "default/ConfigMap/mine.yaml" in _archived(tmp_path)
    assert f"_cluster/{_INCLUDE}/managed.yaml" not in _archived(tmp_path)
    assert "1 object of the kind ClusterProfile" in warnings
    assert "managed. The sample has" in warnings
    assert f"--resources {_INCLUDE}" in warnings

    _, warnings = _capture(tmp_path, "--resources", _INCLUDE)

    assert f"_cluster/{_INCLUDE}/managed.yaml" in _archived(tmp_path)
    assert "left out" not in warnings


def test_an_owned_set_selects_the_clusters_of_a_profile(tmp_path: Path) -> None:
    """An empty namespace of a reference is the namespace of each cluster that the set matches."""
    members: JsonObject = {
        "apiVersion": "lib.projectsveltos.io/v1beta1",
        "kind": "ClusterSet",
        "metadata": {"name": "prod", "ownerReferences": [_OWNER]},
        "spec": {"clusterSelector": {"matchLabels": {"env": "fv"}}, "maxReplicas": 3},
    }
    using = profile("p", {"setRefs": ["prod"], "policyRefs": [policy_ref("mine", namespace="")]})
    _folder(tmp_path / "cluster", members, using, config_map("mine", {"a.yaml": "x: y"}, namespace=W.namespace))

    _capture(tmp_path)

    assert f"{W.namespace}/ConfigMap/mine.yaml" in _archived(tmp_path)


def test_a_wider_scope_is_no_addition(tmp_path: Path) -> None:
    """Owned profiles change the scope: a diff does not compare the kind, and the log has `now covered`."""
    owned = _marked(profile("managed", {"clusterSelector": {}}), {"ownerReferences": [_OWNER]})
    _folder(tmp_path / "cluster", owned)
    _capture(tmp_path)
    _capture(tmp_path, "--resources", _INCLUDE)

    words = ("--snapshot", "p", "--storage", "store")
    compared = gitsnap(tmp_path, "diff", *words, "-o", "json", code=13)
    logged = gitsnap(tmp_path, "log", "ClusterProfile/managed", *words, "-o", "json", code=0)

    assert json.loads(compared.stdout)["management"] == []
    assert [entry["kind"] for entry in json.loads(compared.stdout)["notComparable"]] == [_INCLUDE]
    assert [change["action"] for change in json.loads(logged.stdout)["changes"]] == ["now covered"]


def test_a_referenced_object_that_a_controller_owns_is_named(tmp_path: Path) -> None:
    """Such as a ConfigMap or Secret of another operator: the sample lacks the object, and the capture names it."""
    using = profile("p", {"clusterSelector": {}, "policyRefs": [policy_ref("made"), policy_ref("mine")]})
    made = _marked(config_map("made", {"a.yaml": "x: y"}), {"ownerReferences": [_OWNER]})
    _folder(tmp_path / "cluster", using, made, config_map("mine", {"a.yaml": "x: y"}))

    _, warnings = _capture(tmp_path)

    assert "default/ConfigMap/made.yaml" not in _archived(tmp_path)
    assert "left out: 1 object of the kind ConfigMap, owned by a controller: default/made." in warnings
