"""Commands that read an archive: references, drift, diff of two archives, add-ons and objects."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from tests.support.commands import gitsnap
from tests.support.trees import (
    O,
    W,
    cluster,
    config_map,
    deployed_by,
    inventory_of,
    policy_ref,
    profile,
    secret,
    summary,
)

_PROFILE = profile(
    "base",
    {
        "policyRefs": [
            policy_ref("shared"),
            policy_ref("{{ .ClusterName }}-own", namespace=""),
            policy_ref("{{ .Event.metadata.name }}"),
            policy_ref("maybe", optional=True),
            policy_ref("password", "Secret"),
        ]
    },
    W,
    O,
)


class _Place:
    """A cluster in a folder, and commands that run next to the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "cluster").mkdir()

    def put(self, *objects: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        (self.folder / "cluster" / "all.json").write_text(text)

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return gitsnap(self.folder, *words, code=code)

    def capture(self, storage: str = ".") -> None:
        words = ("--storage", storage, "--from-dir", "cluster", "--secrets-mode", "redact")
        self.run("capture", "--snapshot", "hourly", *words)


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """Two clusters that a profile matches, with some of the objects that the profile refers to."""
    setup = _Place(tmp_path)
    setup.put(
        cluster(W), cluster(O), _PROFILE, config_map("shared", {"a": "b"}), config_map("west-own", {"a": "b"}),
        secret("password", {"a": "b"}) | {"type": "Opaque"},
    )  # fmt: skip
    setup.capture()
    return setup


def test_references_of_a_profile(place: _Place) -> None:
    """Each reference has its clusters, its path in the profile, and its state."""
    found = json.loads(place.run("show", "references", "ClusterProfile/base", "-o", "json").stdout)["references"]

    assert [
        (reference["target"], reference["clusters"], reference["state"], reference["missing"]) for reference in found
    ] == [
        ("ConfigMap default/maybe", [], "not found, optional", False),
        ("ConfigMap default/shared", [], "in the sample", False),
        ("ConfigMap default/west-own", [str(W)], "in the sample", False),
        (
            "ConfigMap default/{{ .Event.metadata.name }}",
            [str(O), str(W)],
            "a template that only Sveltos can evaluate",
            True,
        ),
        ("ConfigMap tenant-a/orders-own", [str(O)], "not found", True),
        ("Secret default/password", [], "a Secret of another type than Sveltos reads", True),
    ]
    assert {reference["path"] for reference in found} == {"spec.policyRefs[]"}


def test_the_table_of_references(place: _Place) -> None:
    """The table has a line for each reference. An object without references has a message instead."""
    shown = place.run("show", "references", "clusterprofile/base").stdout
    assert "| default/sveltos--west" in shown
    assert place.run("show", "references", "ConfigMap/shared").stdout.strip() == "it refers to nothing"
    assert "name an object" in place.run("show", "references", code=2).stderr
    assert "the sample has no" in place.run("show", "references", "ClusterProfile/x", code=4).stderr


def test_drift(place: _Place) -> None:
    """There is no drift right after a sample. A change gives a row, and with --exit-code the exit code 1."""
    words = ("drift", "--from-dir", "cluster", "--exit-code")
    assert "no changes" in place.run(*words).stdout

    place.put(cluster(W), cluster(O), _PROFILE, config_map("shared", {"a": "c"}))
    changed = json.loads(place.run(*words, "-o", "json", code=1).stdout)

    assert changed["to"] == "live"
    assert ("shared", "data.a") in [(row["name"], row["message"]) for row in changed["management"]]


def test_diff_from_the_live_cluster(place: _Place) -> None:
    """The sides are exchanged: objects that only the cluster has are `deleted`."""
    place.put(cluster(W), cluster(O), _PROFILE, config_map("shared", {"a": "c"}), profile("young", {}))
    to_live = ("diff", "--to-sample", "live", "--from-dir", "cluster")
    from_live = ("diff", "--from-sample", "live", "--from-dir", "cluster")

    def actions(words: tuple[str, ...]) -> dict[str, str]:
        found = json.loads(place.run(*words, "-o", "json").stdout)
        assert (found["from"] == "live", found["to"] == "live") == (words == from_live, words == to_live)
        return {row["name"]: row["action"] for row in found["management"]}

    assert actions(to_live) == {
        "shared": "modified", "young": "added", "west-own": "deleted", "password": "deleted",
    }  # fmt: skip
    assert actions(from_live) == {
        "shared": "modified", "young": "deleted", "west-own": "added", "password": "added",
    }  # fmt: skip
    raw = place.run(*from_live, "--raw-diff").stdout
    assert ("-  a: c" in raw, "+  a: b" in raw) == (True, True)
    assert "--- /ConfigMap default/shared from live\n+++ /ConfigMap default/shared from hourly/" in raw
    heading = place.run(*from_live, "--exit-code", code=1).stderr
    assert re.search(r"comparing the folder cluster now with hourly/\S+ \(manual\) of ", " ".join(heading.split()))
    both = place.run(*from_live, "--to-sample", "live", code=2).stderr
    assert "both sides are live" in both
    assert "--decrypt needs --raw-diff" in place.run(*from_live, "--decrypt", code=2).stderr


def test_two_archives(place: _Place) -> None:
    """Two archives are compared like two samples. Secrets with different fingerprint keys cannot be compared."""
    (place.folder / "production").mkdir()
    place.put(cluster(W), cluster(O), _PROFILE, config_map("shared", {"a": "c"}), secret("password", {"a": "b"}))
    place.capture("production")

    both = ("diff", "--archive", "hourly", "--archive", "production/hourly")
    done = place.run(*both, "-o", "json", code=13)

    found = json.loads(done.stdout)
    assert ("shared", "modified") in [(row["name"], row["action"]) for row in found["management"]]
    assert [entry["reason"] for entry in found["notComparable"]] == ["cannot tell"]
    place.run(*both, "--exit-code", code=1)
    same = place.run("diff", "--archive", "hourly", "--archive", "hourly", "--exit-code")
    assert "no changes" in same.stdout


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("diff", "hourly/"),
        ("diff --raw-diff --exit-code -o json", "hourly/"),
        ("diff --archive hourly --archive hourly", "hourly/"),
        ("diff --to-sample live --from-dir cluster", " or the management cluster now"),
        ("drift --from-dir cluster --exit-code", " or the management cluster now"),
        ("log", "the history of the archive"),
        ("addons --sample latest", "hourly/"),
        ("addons --from-dir cluster", "the management cluster now"),
        ("rollback --sample latest --from-dir cluster --dry-run", ""),
    ],
)
def test_an_unknown_cluster_is_an_error(place: _Place, words: str, where: str) -> None:
    """Each command fails and proposes names: an empty answer would look like an answer about the intended cluster."""
    place.put(_PROFILE, cluster(W), cluster(O), config_map("shared", {"a": "c"}))
    place.capture()

    failed = place.run(*words.split(), "--cluster", "west", "--cluster", "ordes", code=4)

    assert failed.stdout == ""
    assert "ordes" in failed.stderr
    assert where in failed.stderr
    assert "The nearest names: orders" in failed.stderr
    assert place.run(*words.split(), "--cluster", "tenant-a/capi--orders").returncode == 0


@pytest.mark.parametrize(
    "words",
    ["diff --from-sample latest", "drift --from-dir cluster", "addons --sample latest", "addons --from-dir cluster"],
)
def test_an_unknown_namespace_is_a_warning(place: _Place, words: str) -> None:
    """The namespace may hold no archived objects: the empty answer is right, and a warning explains it."""
    done = place.run(*words.split(), "--namespace", "tenant")

    assert "warning: there is nothing in the namespace tenant in " in done.stderr
    assert "The nearest names: tenant-a." in done.stderr
    assert "namespace" not in place.run(*words.split(), "--namespace", "tenant-a").stderr


@pytest.mark.parametrize("words", ["diff", "diff --exit-code", "log --cluster west"])
def test_one_sample_is_not_compared_with_itself(place: _Place, words: str) -> None:
    """A command that needs two samples fails in an archive with one sample."""
    failed = place.run(*words.split(), code=4)

    assert failed.stdout == ""
    assert "is the first sample of the archive" in failed.stderr


def test_a_diff_names_both_sides(place: _Place) -> None:
    """Both samples with their triggers, the archive, or the cluster. The line is on stderr, not on stdout."""
    place.put(cluster(W))
    place.capture()
    tags = [sample["tag"] for sample in json.loads(place.run("list", "-o", "json").stdout)["samples"]]

    assert f"comparing {tags[0]} (manual) of hourly with {tags[1]} (manual)" in place.run("diff").stderr
    message = place.run("drift", "--from-dir", "cluster").stderr
    assert f"comparing {tags[1]} (manual) of hourly with the folder cluster now" in message


def test_a_deleted_cluster_can_be_named(place: _Place) -> None:
    """`log` accepts each form of the name of a deleted cluster, and `diff` a cluster that only one side has."""
    gone = cluster(O) | {"metadata": {"namespace": "tenant-a", "name": "orders", "labels": {"env": "prod"}}}
    place.put(cluster(W), gone)
    place.capture()
    place.put(cluster(W))
    place.capture()
    assert [row["name"] for row in _management(place, "diff", "--cluster", "orders")] == ["orders"]
    place.put(cluster(W) | {"metadata": {"namespace": "default", "name": "west", "labels": {"env": "prod"}}})
    place.capture()

    for name in ("orders", "capi--orders", "tenant-a/orders", "tenant-a/capi--orders"):
        assert place.run("log", "--cluster", name).stdout == "no changes found\n"
    for name in ("rders", "sveltos--orders", "default/orders", "tenant-a/*"):
        assert "there is no managed cluster" in place.run("log", "--cluster", name, code=4).stderr
    assert "no managed cluster orders in hourly/" in place.run("diff", "--cluster", "orders", code=4).stderr


def test_addons_of_clusters_with_the_same_name(place: _Place) -> None:
    """The type before the name tells the clusters apart. No other prefix of a name is taken for a type."""
    twin = ClusterRef(kinds.CAPI_CLUSTER, W.namespace, W.name)
    odd = ClusterRef(kinds.SVELTOS_CLUSTER, W.namespace, "my-capi--west")
    place.put(*(inventory_of(ref, deployed_by("base", f"/Service test/{ref.type}")) for ref in (W, twin, odd)))

    def shown(name: str) -> list[tuple[str, str]]:
        done = place.run("addons", "--from-dir", "cluster", "--cluster", name, "-o", "json")
        return [(row["cluster"], row["name"]) for row in json.loads(done.stdout)["addons"]]

    assert shown("west") == [("default/capi--west", "capi"), ("default/sveltos--west", "sveltos")]
    assert shown("capi--west") == [("default/capi--west", "capi")]
    assert shown("my-capi--west") == [("default/sveltos--my-capi--west", "sveltos")]


def _management(place: _Place, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(place.run(*words, "-o", "json").stdout)["management"]
    return found


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("ConfigMap/shred", "The nearest names: shared."),
        ("ConfigMap/deflt/shared", "The nearest names: default/shared"),
        ("ConfigMap/zzzz", "Existing names: shared, west-own."),
        ("ConfgMap/shared", "Its kinds: Cluster.cluster.x-k8s.io, ClusterProfile.config.projectsveltos.io, ConfigMap"),
    ],
)
def test_an_object_that_is_not_in_the_sample(place: _Place, wanted: str, hint: str) -> None:
    """The error proposes similar names, with the namespace if the argument has a namespace."""
    failed = place.run("show", wanted, code=4)

    assert f"the sample has no {wanted}\n{hint}" in failed.stderr


def test_a_broken_file_of_the_archive(place: _Place) -> None:
    """`log` lists the object and says that the file holds no Kubernetes object."""
    archive, path = place.folder / "hourly", "configuration/default/ConfigMap/shared.yaml"
    (archive / path).write_text("a: b\n---\na: b\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    subprocess.run(["git", "-C", archive, *identity, "commit", "--quiet", "-am", "by hand"], check=True)

    entries = json.loads(place.run("log", "-o", "json").stdout)["changes"]
    assert (entries[0]["action"], entries[0]["name"]) == ("modified", "shared")
    assert "not a Kubernetes object" in str(entries[0]["fields"])
    subprocess.run(["git", "-C", archive, "fsck", "--strict"], check=True, capture_output=True)


def test_three_archives_or_an_archive_and_a_cluster_are_refused(place: _Place) -> None:
    """A diff compares two archives, or an archive and the cluster."""
    two = ("diff", "--archive", "hourly", "--archive", "hourly")
    assert "not more" in place.run(*two, "--archive", "hourly", code=2).stderr
    assert "give --archive once" in place.run(*two, "--to-sample", "live", code=2).stderr
    assert "give --archive once" in place.run(*two, "--from-sample", "live", code=2).stderr


def test_generated_objects_are_listed(place: _Place) -> None:
    """`--include-generated` names each omitted object and its generator."""
    made = profile("made", {}) | {
        "metadata": {"name": "made", "labels": {"eventtrigger.lib.projectsveltos.io/eventtriggername": "x"}}
    }
    place.put(cluster(W), _PROFILE, made)

    done = place.run("capture", "--snapshot", "hourly", "--from-dir", "cluster", "--include-generated")

    assert "left out: ClusterProfile.config.projectsveltos.io made, generated by an EventTrigger" in done.stderr


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_objects_in_other_forms(place: _Place, form: str) -> None:
    """`show` prints the overview and single objects as JSON and YAML."""
    overview = place.run("show", "-o", form).stdout
    assert "ObjectList" in overview
    shown = place.run("show", "ConfigMap/shared", "-o", form).stdout
    assert ("List" in shown) is (form == "json")


def test_cluster_api_of_an_older_version(tmp_path: Path) -> None:
    """A server that has only v1beta1: the clusters are captured in that version, and profiles match them."""
    place = _Place(tmp_path)
    older = cluster(O) | {"apiVersion": "cluster.x-k8s.io/v1beta1"}
    place.put(older, _PROFILE, config_map("orders-own", {"a": "b"}, "tenant-a"))
    place.capture()

    references = json.loads(place.run("show", "references", "ClusterProfile/base", "-o", "json").stdout)["references"]

    assert ("ConfigMap tenant-a/orders-own", "in the sample") in [
        (reference["target"], reference["state"]) for reference in references
    ]


@pytest.mark.parametrize("words", ["addons --from-dir cluster", "addons --sample latest"])
def test_addons_of_a_failed_deployment(place: _Place, words: str) -> None:
    """The running add-ons are unknown: the row and a warning say so, for the cluster and for a sample."""
    reported = inventory_of(W, deployed_by("base", "/Service test/a"))
    place.put(cluster(W), _PROFILE, reported, summary(W, "base", Resources="FailedNonRetriable"))
    place.capture()

    done = place.run(*words.split())
    known = place.run(*words.split(), "--cluster", "west", "-o", "json")

    assert "ClusterProfile/base (deployment failed)" in done.stdout
    assert "warning: the add-ons of ClusterProfile/base on default/sveltos--west are not fully known" in done.stderr
    assert json.loads(known.stdout)["notKnown"] == [
        {"cluster": "default/sveltos--west", "profile": "ClusterProfile/base", "features": ["Resources"]}
    ]


def test_a_capture_follows_prerequisites(place: _Place) -> None:
    """A prerequisite that selects no cluster is deployed to the clusters of its dependent."""
    first = profile("first", {"policyRefs": [policy_ref("own", namespace="")]}) | {"status": {}}
    using = profile("using", {"dependsOn": ["first"], "clusterSelector": {"matchLabels": {"env": "prod"}}})
    place.put(cluster(O, env="prod"), first, using | {"status": {}}, config_map("own", {"a": "b"}, O.namespace))
    place.capture()

    found = json.loads(place.run("show", "references", "ClusterProfile/first", "-o", "json").stdout)["references"]

    assert [(reference["target"], reference["clusters"], reference["state"]) for reference in found] == [
        (f"ConfigMap {O.namespace}/own", [str(O)], "in the sample")
    ]
