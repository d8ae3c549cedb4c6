"""The change log of an archive, of an object and of a cluster: time, fields and field manager of each change."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.errors import UsageError
from gitsnap.core.model import ObjectKey
from gitsnap.history.changelog import ObjectPattern
from gitsnap.sveltos.kind_names import KindNames
from gitsnap.sveltos.kinds import CLUSTER_PROFILE, CONFIG_MAP, SECRET
from tests.support.commands import gitsnap

_PROFILE = """apiVersion: config.projectsveltos.io/v1beta1
kind: ClusterProfile
metadata:
  name: guestbook
  managedFields:
  - manager: kubectl-edit
    operation: Update
    time: "2023-08-26T05:00:00Z"
spec:
  tier: {tier}
  policyRefs:
  - kind: ConfigMap
    namespace: default
    name: Upper.Case
"""
_CLUSTER = """apiVersion: cluster.x-k8s.io/{version}
kind: Cluster
metadata:
  name: orders
  namespace: default
  managedFields:
  - manager: kubectl-edit
    operation: Update
    time: "2023-08-26T05:00:00Z"
"""
_CONTENT = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: default\ndata:\n  a: b\n"


def _changes(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = gitsnap(folder, "log", *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    changes: list[dict[str, Any]] = json.loads(done.stdout)["changes"]
    return changes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An archive in which a profile is created, changed and deleted, and its ConfigMap disappears with it."""
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    (cluster / "content.yaml").write_text(_CONTENT.format(name="Upper.Case"))
    (cluster / "other.yaml").write_text(_PROFILE.format(tier=1).replace("guestbook", "other").partition("  policy")[0])
    for tier in (1, 2, None):
        profile = cluster / "profile.yaml"
        if tier is None:
            profile.unlink()
        else:
            profile.write_text(_PROFILE.format(tier=tier))
        done = gitsnap(tmp_path, "capture", "--from-dir", "cluster", "--snapshot", "hourly")
        assert done.returncode == 0, done.stderr
    return tmp_path


def test_everything_newest_first(place: Path) -> None:
    """Each change of each object, with sample, fields and field manager. Deleted objects are included."""
    entries = [
        (entry["action"], entry["kind"], entry["name"], entry["fields"], entry["manager"]) for entry in _changes(place)
    ]

    profile = str(CLUSTER_PROFILE)
    assert entries == [
        ("deleted", profile, "guestbook", "", ""),
        ("no longer referenced", "ConfigMap", "Upper.Case", "by ClusterProfile guestbook", ""),
        ("modified", profile, "guestbook", "spec.tier", "kubectl-edit"),
        ("added", profile, "guestbook", "", "kubectl-edit"),
        ("added", profile, "other", "", "kubectl-edit"),
        ("added", "ConfigMap", "Upper.Case", "", ""),
    ]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("ClusterProfile/guestbook", 3),
        ("clusterprofiles/guestbook", 3),
        ("clusterprofile", 4),
        ("ConfigMap/default/Upper.Case", 2),
        ("configmap/Upper.Case", 2),
        ("eventtriggers", 0),
    ],
)
def test_names_of_one_object(place: Path, pattern: str, count: int) -> None:
    """Kinds in any case and as plurals, names with or without namespace. Deleted objects are included."""
    assert len(_changes(place, pattern)) == count


def test_a_config_map_that_is_deleted_or_comes_back(place: Path) -> None:
    """A referenced ConfigMap that the capture did not find is deleted, and added when it is found again."""
    profile, content = place / "cluster/profile.yaml", place / "cluster/content.yaml"
    kept = content.read_text()
    profile.write_text(_PROFILE.format(tier=1))
    for text in (kept, None, kept):
        content.unlink(missing_ok=True)
        if text is not None:
            content.write_text(text)
        gitsnap(place, "capture", "--from-dir", "cluster", "--snapshot", "hourly")

    entries = [(entry["action"], entry["fields"]) for entry in _changes(place, "ConfigMap/default/Upper.Case")]

    assert entries == [
        ("added", ""),
        ("deleted", ""),
        ("now referenced", "by ClusterProfile guestbook"),
        ("no longer referenced", "by ClusterProfile guestbook"),
        ("added", ""),
    ]


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("ClusterProfile/guestbok", "Did you mean ClusterProfile/other?"),
        ("ClusterProfile/oter", "Did you mean ClusterProfile/other?"),
        ("po/guestbook", "The newest sample has no object of the kind Pod."),
    ],
)
def test_an_object_that_never_existed(place: Path, pattern: str, hint: str) -> None:
    """The error suggests objects. An object that existed once is no error, whatever the limits."""
    done = gitsnap(place, "log", pattern)

    assert (done.returncode, done.stdout) == (4, "")
    assert f"the archive never had {pattern}" in done.stderr
    assert hint in done.stderr
    assert _changes(place, "ClusterProfile/guestbook", "--until", "2001-01-01") == []


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("ClusterProfil", "Did you mean ClusterProfile, "),
        ("ClusterProfil/guestbook", "Did you mean ClusterProfile, "),
        ("ClusterProfil/other", "Did you mean ClusterProfile/other?"),
        ("Zzz", "It has: ClusterProfile.config.projectsveltos.io"),
        ("Zzz/other", "It has: ClusterProfile.config.projectsveltos.io"),
    ],
)
def test_a_kind_that_never_existed(place: Path, pattern: str, hint: str) -> None:
    """Without the error, the answer would be that nothing of the kind changed."""
    done = gitsnap(place, "log", pattern)

    assert (done.returncode, done.stdout) == (4, "")
    assert f"the archive never had a kind {pattern.partition('/')[0]}\n" in done.stderr
    assert hint in done.stderr


def test_a_change_of_scope_is_no_addition_or_deletion(place: Path) -> None:
    """An object that enters or leaves with the scope may exist all the time. Other additions and deletions are real."""
    cluster = place / "cluster"
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {}\nrules: []\n"
    (cluster / "content.yaml").write_text(_CONTENT.format(name="plain"))
    (cluster / "role.yaml").write_text(role.format("reader"))

    def capture(*resources: str) -> None:
        scope = [word for resource in resources for word in ("--resources", resource)]
        done = gitsnap(place, "capture", "--from-dir", "cluster", "--snapshot", "hourly", *scope)
        assert done.returncode == 0, done.stderr

    role_kind, everything = "ClusterRole.rbac.authorization.k8s.io", "ConfigMap in default"
    capture(role_kind)
    (cluster / "late.yaml").write_text(role.format("late"))
    capture(role_kind, everything)
    (cluster / "content.yaml").unlink()
    capture(role_kind, everything)
    capture("none")

    entries = [(entry["action"], entry["name"]) for entry in _changes(place, "--limit", "6")]
    assert entries == [
        ("no longer covered", "late"),
        ("no longer covered", "reader"),
        ("deleted", "plain"),
        ("added", "late"),
        ("now covered", "plain"),
        ("now covered", "reader"),
    ]


def test_a_tree_without_gitsnap_yaml_does_not_stop_the_log(place: Path) -> None:
    """A commit by hand removed gitsnap.yaml: its entries have the actions that git reports."""
    archive = place / "hourly"
    next(archive.glob("configuration/_cluster/*/other.yaml")).unlink()
    (archive / "gitsnap.yaml").unlink()
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    subprocess.run(["git", "-C", archive, *identity, "commit", "--quiet", "-am", "by hand"], check=True)

    assert [entry["action"] for entry in _changes(place, "ClusterProfile/other")] == ["deleted", "added"]


def test_bounds_and_limit(place: Path) -> None:
    """Times limit the samples, --limit the rows. An empty log is no error."""
    assert len(_changes(place, "--limit", "2")) == 2
    assert _changes(place, "--until", "2001-01-01") == []
    assert len(_changes(place, "--since", "2001-01-01")) == 6
    done = gitsnap(place, "log", "EventTrigger")
    assert (done.returncode, done.stdout) == (0, "no changes found\n")


@pytest.mark.parametrize("arguments", [["--since", "soon"], ["a/b/c/d"], ["ClusterProfile/x", "--cluster", "c"]])
def test_invalid_arguments(place: Path, arguments: list[str]) -> None:
    """A usage error names the argument that cannot be parsed."""
    done = gitsnap(place, "log", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_commit_by_hand_is_shown_as_such(place: Path) -> None:
    """A commit by hand has no sample. The next capture reverts the commit, and that entry has a sample."""
    archive = place / "hourly"
    path = next(archive.glob("configuration/_cluster/*/other.yaml"))
    path.write_text(path.read_text().replace("tier: 1", "tier: 9"))
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    subprocess.run(["git", "-C", archive, *identity, "commit", "--quiet", "-am", "by hand"], check=True)

    entries = _changes(place, "ClusterProfile/other")

    assert [(entry["date"] is None, entry["fields"]) for entry in entries] == [(True, "spec.tier"), (False, "")]


def test_patterns_become_literal_paths() -> None:
    """A literal path lets git use its changed-path filters, which is fastest."""

    def parse(reference: str) -> ObjectPattern:
        return ObjectPattern.parse(reference, KindNames())

    assert parse("ClusterProfile/a").pathspecs() == [
        ":(literal)configuration/_cluster/ClusterProfile.config.projectsveltos.io/a.yaml"
    ]
    assert parse("deploy/shop/a").pathspecs() == [":(literal)configuration/shop/Deployment.apps/a.yaml"]
    assert parse("cm/default/a*b").pathspecs() == [":(literal)configuration/default/ConfigMap/a%2Ab.yaml"]
    assert parse("widget/default/a").pathspecs()[0].startswith(":(glob,icase)")
    assert parse("ConfigMap/x/a").matches(ObjectKey(CONFIG_MAP, "x", "a"))
    assert ObjectPattern().pathspecs() == ["configuration"]
    assert ObjectPattern().matches(ObjectKey(CONFIG_MAP, "x", "a"))
    assert not parse("ConfigMap/x/a").matches(ObjectKey(SECRET, "x", "a"))
    for malformed in ("", "a//b", "a/b/c/d", "/a"):
        with pytest.raises(UsageError):
            parse(malformed)


def test_changes_by_the_server_have_no_manager(tmp_path: Path) -> None:
    """A new API version is not a row of a diff. Its log entry has no manager."""
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    for version in ("v1beta1", "v1beta2"):
        registered = _CLUSTER.format(version=version)
        (cluster / "cluster.yaml").write_text(registered)
        gitsnap(tmp_path, "capture", "--from-dir", "cluster", "--snapshot", "hourly", code=0)

    compared = gitsnap(tmp_path, "diff", code=0)

    assert "no changes detected" in compared.stdout
    (modified, added) = _changes(tmp_path)
    assert (modified["action"], modified["fields"], modified["manager"]) == (
        "modified",
        "apiVersion (by the server)",
        "",
    )
    assert (added["action"], added["manager"]) == ("added", "kubectl-edit")
