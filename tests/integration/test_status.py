"""``gitsnap status``: the report for a sound archive, and for each problem that it checks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.errors import EXIT_ATTENTION
from tests.support.commands import gitsnap
from tests.support.remotes import bare_repository
from tests.support.typed import TypedPlace

_SNAPSHOT = """\
apiVersion: utils.projectsveltos.io/v1beta1
kind: Snapshot
metadata: {name: hourly}
spec: {schedule: "@hourly", storage: /collection, push: {url: "https://git.example.com/platform/record.git"}}
"""
_READY = """\
status:
  nextScheduleTime: "2126-01-01T00:00:00Z"
  conditions: [{type: Ready, status: "True", reason: Scheduled, message: waiting for the next scheduled time}]
"""
_LATE = _READY.replace("2126", "2026")
_FAILED = """\
status:
  conditions: [{type: Ready, status: "False", reason: NeedsAttention, message: the volume is full}]
"""


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """An archive with two samples of a cluster in a folder."""
    place = TypedPlace(tmp_path)
    place.run("capture --snapshot hourly")
    return place


def _checks(place: TypedPlace, code: int = 0) -> dict[str, dict[str, str]]:
    document = json.loads(place.run("status -o json", code).stdout)
    (archive,) = document["archives"]
    return {check["subject"]: check for check in archive["checks"]}


def test_a_sound_archive(place: TypedPlace) -> None:
    """Ten lines name the archive, the newest sample, the keys, the cluster and the remote; the exit code is 0."""
    lines = place.run("status").stdout.splitlines()

    assert [line.split()[0] for line in lines[1:-1]] == [
        "samples", "newest", "Secrets", "rollback", "storage", "cluster", "Snapshot", "remote",
    ]  # fmt: skip
    assert lines[0] == f"hourly in {place.folder}/storage/hourly"
    assert "2 samples since" in lines[1]
    assert "UTC (just now), manual" in lines[2]
    assert "mode encrypt to 1 recipient; the private key here decrypts them" in lines[3]
    assert lines[-1] == "nothing wrong"


def test_a_missing_cluster_is_not_a_success(place: TypedPlace) -> None:
    """Without a kubeconfig the cluster is not checked, and the last line says so. A named cluster must answer."""
    done = gitsnap(place.folder, "status", "--storage", "storage", code=0, HOME=str(place.folder), KUBECONFIG="")
    assert "not checked: there is no kubeconfig" in done.stdout
    assert done.stdout.splitlines()[-1] == "nothing wrong in what was checked; not checked: cluster"
    named = ("status", "--storage", "storage", "--kubeconfig", "absent")
    assert "WRONG: " in gitsnap(place.folder, *named, code=EXIT_ATTENTION).stdout


def _lose_key(place: TypedPlace) -> None:
    (place.folder / "storage/.keys/hourly/fingerprint.key").unlink()
    (place.folder / "storage/.keys/hourly/identity.txt").unlink()


def _replace_identity(place: TypedPlace) -> None:
    """Another private key takes the place of the identity; the fingerprint key is still there."""
    other = place.folder / "other"
    other.mkdir()
    gitsnap(place.folder, "capture", "--snapshot", "x", "--storage", "other", "--from-dir", "cluster", code=0)
    (other / ".keys/x/identity.txt").replace(place.folder / "storage/.keys/hourly/identity.txt")


def _rebuild_cluster(place: TypedPlace) -> None:
    place.write("namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, uid: another}\n")


def _damage_tag(place: TypedPlace) -> None:
    repository = place.folder / "storage/hourly"
    tag = subprocess.run(
        ["git", "-C", str(repository), "tag", "--list"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, check=True).stdout
    (repository / ".git/refs/tags" / tag).write_bytes(head)


def _lose_tags(place: TypedPlace, *, kept: int = 0) -> None:
    repository = ["git", "-C", str(place.folder / "storage/hourly")]
    tags = subprocess.run([*repository, "tag", "--list"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run([*repository, "tag", "--delete", *tags[kept:]], capture_output=True, check=True)


def _empty_cluster(place: TypedPlace) -> None:
    for file in (place.folder / "cluster").iterdir():
        file.unlink()
    place.run("capture --snapshot hourly --allow-empty")


def _snapshot(status: str) -> Callable[[TypedPlace], None]:
    return lambda place: place.write("snapshot", _SNAPSHOT + status)


@pytest.mark.parametrize(
    ("cause", "subject", "message", "hint"),
    [
        (_lose_key, "Secrets", "fingerprint key", "Put the key file back"),
        (_replace_identity, "Secrets", "cannot be read with the identities at hand", "--identity"),
        (_rebuild_cluster, "cluster", "the archive belongs to the cluster", "--context"),
        (_empty_cluster, "newest", "0 objects: the sample is empty", "the right cluster or folder"),
        (_lose_tags, "samples", "no sample is here, but hourly has 1 commit by gitsnap", "gitsnap verify"),
        (_damage_tag, "samples", "these tags cannot be read", "gitsnap verify"),
        (_snapshot(""), "Snapshot", "no controller has reported a status", "get pods"),
        (_snapshot(_FAILED), "Snapshot", "not Ready (NeedsAttention): the volume is full", "docs/OPERATIONS.md"),
        (_snapshot(_LATE), "Snapshot", "a sample was due", "get pods"),
        (_snapshot(_READY), "remote", "no sample was pushed to https://git.example.com", "gitsnap push"),
    ],
)
def test_each_fault_is_named_with_the_next_step(
    place: TypedPlace, cause: Callable[[TypedPlace], None], subject: str, message: str, hint: str
) -> None:
    """The check of the subject is wrong, and its hint says what to do."""
    cause(place)
    check = _checks(place, EXIT_ATTENTION)[subject]

    assert check["state"] == "wrong"
    assert message in check["message"]
    assert hint in check["hint"]


def test_pushed_and_not_pushed(place: TypedPlace) -> None:
    """After a push, all samples are pushed. A new sample is not pushed until the next push."""
    remote = bare_repository(place.folder / "remote.git")
    words = ("push", "--to", f"file://{remote}", "--storage", "storage")
    gitsnap(place.folder, *words, code=0)
    assert _checks(place)["remote"]["message"].startswith("all samples and changes were pushed")
    place.run("capture --snapshot hourly")
    assert _checks(place, EXIT_ATTENTION)["remote"]["message"].startswith("1 sample of 3 not pushed")


def test_the_remote_is_the_remote_of_a_push(place: TypedPlace) -> None:
    """The only remote of the archive counts, whatever its name is."""
    remote = bare_repository(place.folder / "remote.git")
    subprocess.run(["git", "-C", place.folder / "storage/hourly", "remote", "add", "backup", remote], check=True)
    assert f"no sample was pushed to {remote}" in _checks(place, EXIT_ATTENTION)["remote"]["message"]
    gitsnap(place.folder, "push", "--storage", "storage", code=0)
    assert _checks(place)["remote"]["state"] == "ok"


def test_a_clone_says_that_it_is_a_clone(place: TypedPlace) -> None:
    """A clone has neither keys nor a remote to push to."""
    clone = place.folder / "clone"
    subprocess.run(["git", "clone", "--quiet", place.folder / "storage/hourly", clone], check=True)
    words = ("status", "--archive", "clone", "--from-dir", "cluster", "-o", "json")
    (archive,) = json.loads(gitsnap(place.folder, *words).stdout)["archives"]
    checks: dict[str, Any] = {check["subject"]: check for check in archive["checks"]}
    assert "this folder is a clone" in checks["remote"]["message"]
    assert checks["Secrets"]["state"] != "ok"


def test_an_empty_storage_is_an_error(tmp_path: Path) -> None:
    """A storage without an archive is an error."""
    assert "there is no archive in" in gitsnap(tmp_path, "status", code=4).stderr
