"""Questions to an archive as a user types them: what refers to what, drift, two archives side by side."""

from __future__ import annotations

import json
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
    """A cluster in a folder, and commands run beside it."""

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
    """Two clusters that a profile matches, with some of what it refers to."""
    found = _Place(tmp_path)
    found.put(
        cluster(W), cluster(O), _PROFILE, config_map("shared", {"a": "b"}), config_map("west-own", {"a": "b"}),
        secret("password", {"a": "b"}) | {"type": "Opaque"},
    )  # fmt: skip
    found.capture()
    return found


def test_what_a_profile_refers_to(place: _Place) -> None:
    """For which clusters, where it stands, and what is missing."""
    found = json.loads(place.run("show", "references", "ClusterProfile/base", "-o", "json").stdout)["references"]

    assert [(one["target"], one["clusters"], one["state"], one["missing"]) for one in found] == [
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
    assert {one["path"] for one in found} == {"spec.policyRefs[]"}


def test_the_table_of_references(place: _Place) -> None:
    """One line each, with words that need no explanation; an object without references says so."""
    shown = place.run("show", "references", "clusterprofile/base").stdout
    assert "| default/sveltos--west" in shown
    assert place.run("show", "references", "ConfigMap/shared").stdout.strip() == "it refers to nothing"
    assert "name an object" in place.run("show", "references", code=2).stderr
    assert "the sample has no" in place.run("show", "references", "ClusterProfile/x", code=4).stderr


def test_drift(place: _Place) -> None:
    """Nothing right after a sample; a change is a row and, when asked for, an exit status."""
    words = ("drift", "--from-dir", "cluster", "--exit-code")
    assert "no changes" in place.run(*words).stdout

    place.put(cluster(W), cluster(O), _PROFILE, config_map("shared", {"a": "c"}))
    changed = json.loads(place.run(*words, "-o", "json", code=1).stdout)

    assert changed["to"] == "live"
    assert ("shared", "data.a") in [(row["name"], row["message"]) for row in changed["management"]]


def test_two_archives(place: _Place) -> None:
    """Staging and production, compared with the rows of a diff; Secrets of two keys cannot be told."""
    (place.folder / "production").mkdir()
    place.put(cluster(W), cluster(O), _PROFILE, config_map("shared", {"a": "c"}), secret("password", {"a": "b"}))
    place.capture("production")

    done = place.run("diff", "--archive", "hourly", "--archive", "production/hourly", "-o", "json")

    found = json.loads(done.stdout)
    assert ("shared", "modified") in [(row["name"], row["action"]) for row in found["management"]]
    assert [one["reason"] for one in found["notComparable"]] == ["cannot tell"]
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
def test_a_cluster_that_there_is_not(place: _Place, words: str, where: str) -> None:
    """It is an error that proposes others, in every command: an empty answer would pass for one about the other."""
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
def test_a_namespace_that_there_is_not(place: _Place, words: str) -> None:
    """It may have nothing in it that is archived: the empty answer is right, and a remark says why."""
    done = place.run(*words.split(), "--namespace", "tenant")

    assert "warning: there is nothing in the namespace tenant in " in done.stderr
    assert "The nearest names: tenant-a." in done.stderr
    assert "namespace" not in place.run(*words.split(), "--namespace", "tenant-a").stderr


@pytest.mark.parametrize("words", ["diff", "diff --exit-code", "log --cluster west"])
def test_one_sample_is_not_compared_with_itself(place: _Place, words: str) -> None:
    """Nothing is said about changes where there is nothing to compare with."""
    failed = place.run(*words.split(), code=4)

    assert failed.stdout == ""
    assert "is the first sample of the archive" in failed.stderr


def test_a_diff_says_what_it_compares(place: _Place) -> None:
    """Both samples with their triggers, the archive, or the cluster; on stderr, so that stdout stays a result."""
    place.put(cluster(W))
    place.capture()
    tags = [sample["tag"] for sample in json.loads(place.run("list", "-o", "json").stdout)["samples"]]

    assert f"comparing {tags[0]} (manual) of hourly with {tags[1]} (manual)" in place.run("diff").stderr
    said = place.run("drift", "--from-dir", "cluster").stderr
    assert f"comparing {tags[1]} (manual) of hourly with the cluster " in said
    assert "(context directory) now" in said


def test_a_cluster_that_there_was(place: _Place) -> None:
    """A change log knows clusters that are gone, by any form of their name, and one side of a diff is enough."""
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


def test_addons_of_clusters_of_one_name(place: _Place) -> None:
    """The type before the name tells them apart; nothing else of a name is taken for one."""
    twin = ClusterRef(kinds.CAPI_CLUSTER, W.namespace, W.name)
    odd = ClusterRef(kinds.SVELTOS_CLUSTER, W.namespace, "my-capi--west")
    place.put(*(inventory_of(one, deployed_by("base", f"/Service test/{one.type}")) for one in (W, twin, odd)))

    def shown(name: str) -> list[tuple[str, str]]:
        done = place.run("addons", "--from-dir", "cluster", "--cluster", name, "-o", "json")
        return [(row["cluster"], row["name"]) for row in json.loads(done.stdout)["addons"]]

    assert shown("west") == [("default/west", "capi"), ("default/west", "sveltos")]
    assert shown("capi--west") == [("default/west", "capi")]
    assert shown("my-capi--west") == [("default/my-capi--west", "sveltos")]


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
def test_an_object_that_the_sample_has_not(place: _Place, wanted: str, hint: str) -> None:
    """The error proposes what is most like it, with the namespace where one was written."""
    failed = place.run("show", wanted, code=4)

    assert f"the sample has no {wanted}\n{hint}" in failed.stderr


def test_a_file_of_the_archive_that_somebody_broke(place: _Place) -> None:
    """The log names the object and says so; `show` names the file, by its path from the archive's own folder."""
    archive, path = place.folder / "hourly", "configuration/default/ConfigMap/shared.yaml"
    (archive / path).write_text("a: b\n---\na: b\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    subprocess.run(["git", "-C", archive, *identity, "commit", "--quiet", "-am", "by hand"], check=True)

    entries = json.loads(place.run("log", "-o", "json").stdout)["changes"]
    assert (entries[0]["action"], entries[0]["name"]) == ("modified", "shared")
    assert "no Kubernetes object" in str(entries[0]["fields"])
    subprocess.run(["git", "-C", archive, "fsck", "--strict"], check=True, capture_output=True)


def test_more_archives_than_two_or_a_cluster_besides(place: _Place) -> None:
    """Words that mean nothing together are refused."""
    two = ("diff", "--archive", "hourly", "--archive", "hourly")
    assert "not more" in place.run(*two, "--archive", "hourly", code=2).stderr
    assert "give --archive once" in place.run(*two, "--to-sample", "live", code=2).stderr


def test_what_was_left_out(place: _Place) -> None:
    """`--include-generated` names each object, and who made it."""
    made = profile("made", {}) | {
        "metadata": {"name": "made", "labels": {"eventtrigger.lib.projectsveltos.io/eventtriggername": "x"}}
    }
    place.put(cluster(W), _PROFILE, made)

    done = place.run("capture", "--snapshot", "hourly", "--from-dir", "cluster", "--include-generated")

    assert "left out: ClusterProfile.config.projectsveltos.io made, generated by an EventTrigger" in done.stderr


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_objects_in_other_forms(place: _Place, form: str) -> None:
    """The overview and single objects can be read by programs."""
    overview = place.run("show", "-o", form).stdout
    assert "ObjectList" in overview
    shown = place.run("show", "ConfigMap/shared", "-o", form).stdout
    assert ("List" in shown) is (form == "json")


def test_cluster_api_of_an_older_version(tmp_path: Path) -> None:
    """Only v1beta1 is there: the clusters are captured as they are, and matched."""
    found = _Place(tmp_path)
    older = cluster(O) | {"apiVersion": "cluster.x-k8s.io/v1beta1"}
    found.put(older, _PROFILE, config_map("orders-own", {"a": "b"}, "tenant-a"))
    found.capture()

    references = json.loads(found.run("show", "references", "ClusterProfile/base", "-o", "json").stdout)["references"]

    assert ("ConfigMap tenant-a/orders-own", "in the sample") in [(one["target"], one["state"]) for one in references]


@pytest.mark.parametrize("words", ["addons --from-dir cluster", "addons --sample latest"])
def test_addons_of_a_failed_deployment(place: _Place, words: str) -> None:
    """What runs there is not known: the row and a warning say so, now and of a sample."""
    there = inventory_of(W, deployed_by("base", "/Service test/a"))
    place.put(cluster(W), _PROFILE, there, summary(W, "base", Resources="FailedNonRetriable"))
    place.capture()

    done = place.run(*words.split())
    known = place.run(*words.split(), "--cluster", "west", "-o", "json")

    assert "ClusterProfile/base (deployment failed)" in done.stdout
    assert "warning: the add-ons of ClusterProfile/base on default/west are not fully known" in done.stderr
    assert json.loads(known.stdout)["notKnown"] == [
        {"cluster": "default/west", "profile": "ClusterProfile/base", "features": ["Resources"]}
    ]


def test_a_capture_follows_prerequisites(place: _Place) -> None:
    """A prerequisite selects no cluster itself, and no status names one: it goes where its dependent goes."""
    first = profile("first", {"policyRefs": [policy_ref("own", namespace="")]}) | {"status": {}}
    using = profile("using", {"dependsOn": ["first"], "clusterSelector": {"matchLabels": {"env": "prod"}}})
    place.put(cluster(O, env="prod"), first, using | {"status": {}}, config_map("own", {"a": "b"}, O.namespace))
    place.capture()

    found = json.loads(place.run("show", "references", "ClusterProfile/first", "-o", "json").stdout)["references"]

    assert [(one["target"], one["clusters"], one["state"]) for one in found] == [
        (f"ConfigMap {O.namespace}/own", [str(O)], "in the sample")
    ]
