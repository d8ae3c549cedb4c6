"""Rollbacks of a cluster to a sample of another cluster: the cluster is named, and the record allows an undo."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gitsnap.archive import open_archive_at
from gitsnap.core.model import Trigger
from tests.support.commands import gitsnap
from tests.support.remotes import bare_repository

_PROFILE = """\
---
apiVersion: config.projectsveltos.io/v1beta1
kind: ClusterProfile
metadata:
  name: guestbook
spec:
  policyRefs:
  - {kind: ConfigMap, name: database, namespace: default}
  - {kind: Secret, name: password, namespace: default}
"""


def _cluster(uid: str, text: str, password: str, *, profile: bool) -> str:
    return (
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: kube-system, uid: {uid}}}\n---\n"
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, uid: of-default}\n---\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: database, namespace: default}\n"
        f"data: {{text: {text}}}\n---\n"
        "apiVersion: v1\nkind: Secret\nmetadata: {name: password, namespace: default}\n"
        f"type: addons.projectsveltos.io/cluster-profile\ndata: {{password: {password}}}\n"
        f"{_PROFILE if profile else ''}"
    )


class _Place:
    """Two clusters: ``prod`` with an archive of one sample, and ``stage`` with other content and without a profile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("prod", "stage", "storage", "record"):
            (folder / name).mkdir()
        (folder / "prod" / "all.yaml").write_text(_cluster("uid-of-prod", "prod", "cHJvZA==", profile=True))
        (folder / "stage" / "all.yaml").write_text(_cluster("uid-of-stage", "stage", "c3RhZ2U=", profile=False))
        gitsnap(folder, "capture", "--snapshot", "hourly", "--storage", "storage", "--from-dir", "prod", code=0)

    def roll_back(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Roll stage back to prod's newest sample."""
        places = ("--snapshot", "hourly", "--storage", "storage", "--from-dir", "stage")
        return gitsnap(self.folder, "rollback", "--sample", "latest", *places, *words, code=code)

    def undo(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Undo the rollback with the archive of stage."""
        places = ("--archive", "record/stage", "--from-dir", "stage")
        return gitsnap(self.folder, "undo", "--yes", *places, *words, code=code)

    def stage(self) -> str:
        """The contents of all files of stage."""
        return "".join(path.read_text() for path in sorted((self.folder / "stage").rglob("*.yaml")))

    def samples(self) -> list[str]:
        """The tags of prod's archive."""
        return [sample.tag for sample in open_archive_at(self.folder / "storage" / "hourly").samples()]


_INTO = ("--into-cluster", "uid-of-stage")
_RECORD = ("--record", "record/stage")


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """See _Place."""
    return _Place(tmp_path)


def test_another_cluster_is_refused_and_the_option_named(place: _Place) -> None:
    """Without a cluster id, or with the id of another cluster, the exit code is 11 and nothing is written."""
    before = place.stage()

    assert "--into-cluster uid-of-stage" in place.roll_back("--yes", code=11).stderr
    wrong = place.roll_back("--yes", "--into-cluster", "uid-of-prod", *_RECORD, code=11)

    assert "the folder stage is the cluster uid-of-stage, and not uid-of-prod" in wrong.stderr
    assert "--into-cluster" in place.roll_back("--yes", *_RECORD, code=2).stderr
    assert place.stage() == before
    assert not list((place.folder / "record").iterdir())


def test_the_plan_says_which_cluster_and_whose_sample(place: _Place) -> None:
    """The first line names the cluster to write. A dry run needs no --record and creates no archive."""
    planned = place.roll_back("--dry-run", *_INTO, *_RECORD)

    first = planned.stdout.splitlines()[0]
    assert first == "cluster: stage (folder, id uid-of-stage)"
    assert "note: the sample is from another cluster: uid-of-prod" in planned.stdout
    assert place.roll_back("--dry-run", *_INTO).stdout == planned.stdout
    assert not list((place.folder / "record").iterdir())


def test_an_archive_takes_no_samples_of_another_cluster(place: _Place) -> None:
    """Without an archive for the samples before and after, nothing is written. The error names --record and --adopt."""
    before, samples = place.stage(), place.samples()

    refused = place.roll_back("--yes", *_INTO, code=11)

    assert "--record" in refused.stderr
    assert "--adopt" in refused.stderr
    assert place.roll_back("--yes", *_INTO, "--record", "storage/hourly", code=11).stderr == refused.stderr
    assert (place.stage(), place.samples()) == (before, samples)


def test_rollback_and_undo_of_another_cluster(place: _Place) -> None:
    """The archive in --record allows an undo with Secrets. The archive with the sample is only read."""
    samples = place.samples()

    done = place.roll_back("--yes", *_INTO, *_RECORD)

    assert "rollback: 3 applied" in done.stdout
    assert all(word in place.stage() for word in ("text: prod", "cHJvZA==", "name: guestbook"))
    record = open_archive_at(place.folder / "record" / "stage")
    assert [(sample.metadata.cluster, sample.metadata.trigger) for sample in record.samples()] == [
        ("uid-of-stage", Trigger.BEFORE_ROLLBACK),
        ("uid-of-stage", Trigger.AFTER_ROLLBACK),
    ]
    assert ("Rollback-From", "uid-of-prod") in record.samples()[0].metadata.extra
    assert place.samples() == samples

    undone = place.undo()

    assert "delete   ClusterProfile guestbook" in undone.stdout
    assert all(word in place.stage() for word in ("text: stage", "c3RhZ2U="))
    assert "name: guestbook" not in place.stage()
    assert place.undo().stdout.count("applied") == 1
    assert "text: prod" in place.stage()


def test_undo_does_not_delete_a_created_object_that_has_changed(place: _Place) -> None:
    """The undo compares with the sample after the rollback, because the target sample is in another archive."""
    place.roll_back("--yes", *_INTO, *_RECORD)
    (profile,) = (place.folder / "stage").rglob("guestbook.yaml")
    profile.write_text(profile.read_text().replace("database", "other"))

    refused = place.undo(code=14)

    assert "it has changed since" in " ".join(refused.stdout.split())


def test_an_adopted_archive_of_a_rebuilt_cluster(place: _Place) -> None:
    """The archive takes the samples of the rebuilt cluster. A sample of the old cluster still needs --into-cluster."""
    places = ("--snapshot", "hourly", "--storage", "storage", "--from-dir", "stage")
    first = place.samples()[0].rpartition("/")[2]
    gitsnap(place.folder, "capture", "--adopt", *places, code=0)

    refused = place.roll_back("--sample", first, "--yes", code=11)
    done = place.roll_back("--sample", first, "--yes", *_INTO)

    assert "--into-cluster uid-of-stage" in refused.stderr
    assert "rollback: 3 applied" in done.stdout
    assert len(place.samples()) == 4
    gitsnap(place.folder, "undo", "--yes", *places, code=0)
    assert "text: stage" in place.stage()
    assert "name: guestbook" not in place.stage()


def test_a_rollback_of_the_old_cluster_is_not_undone_in_the_rebuilt_cluster(place: _Place) -> None:
    """A rebuilt cluster has no rollback to undo: the rollbacks in the archive are those of the old cluster."""
    (place.folder / "prod" / "all.yaml").write_text(_cluster("uid-of-prod", "changed", "cHJvZA==", profile=True))
    places = ("--snapshot", "hourly", "--storage", "storage")
    gitsnap(place.folder, "rollback", "--sample", "latest", "--yes", *places, "--from-dir", "prod", code=0)
    gitsnap(place.folder, "capture", "--adopt", *places, "--from-dir", "stage", code=0)

    refused = gitsnap(place.folder, "undo", "--yes", *places, "--from-dir", "stage", code=4)

    assert "no rollback to undo" in refused.stderr
    assert "text: stage" in place.stage()


def test_prune_is_refused_with_a_sample_of_another_cluster(place: _Place) -> None:
    """An object that another cluster lacks need not be surplus in this cluster."""
    assert "--prune" in place.roll_back("--yes", "--prune", *_INTO, *_RECORD, code=2).stderr


def test_a_plan_file_for_another_cluster(place: _Place) -> None:
    """A plan file is carried out only in its own cluster, which the command names again."""
    place.roll_back("--plan-out", "plan.json", *_INTO)
    assert json.loads((place.folder / "plan.json").read_text())["cluster"] == "uid-of-stage"
    places = ("--snapshot", "hourly", "--storage", "storage", "--from-dir", "stage")

    gitsnap(place.folder, "rollback", "--plan", "plan.json", "--yes", *places, code=11)
    gitsnap(place.folder, "rollback", "--plan", "plan.json", "--yes", *places, *_INTO, *_RECORD, code=0)

    assert "text: prod" in place.stage()


def test_from_a_remote_of_the_other_cluster(place: _Place) -> None:
    """The remote is only read. The record of the rollback is not pushed to it."""
    target = bare_repository(place.folder / "record.git")
    archive = place.folder / "storage" / "hourly"
    subprocess.run(["git", "-C", archive, "push", "-q", target, "hourly", "--tags"], check=True)
    tags = ["git", "-C", str(target), "tag"]
    remote_tags = subprocess.run(tags, capture_output=True, text=True, check=True).stdout
    identity = ("--identity", str(place.folder / "storage" / ".keys" / "hourly" / "identity.txt"))
    words = ("--archive", f"file://{target}", "--from-dir", "stage", "--sample", "latest", "--yes", *identity)

    gitsnap(place.folder, "rollback", *words, *_INTO, *_RECORD, code=0, XDG_CACHE_HOME=str(place.folder / "cache"))

    assert "cHJvZA==" in place.stage()
    assert subprocess.run(tags, capture_output=True, text=True, check=True).stdout == remote_tags
    place.undo()
    assert "c3RhZ2U=" in place.stage()


def test_an_unfinished_rollback_names_the_commands(place: _Place) -> None:
    """The archive of the cluster has the killed rollback. The messages name the commands to finish and to undo it."""
    place.roll_back("--yes", *_INTO, *_RECORD)
    record = place.folder / "record" / "stage"
    after = open_archive_at(record).samples()[-1].tag
    subprocess.run(["git", "-C", record, "tag", "-d", after], check=True, capture_output=True)

    again = place.roll_back("--dry-run", *_INTO, *_RECORD)
    back = place.undo("--dry-run")

    assert "to go back: gitsnap undo --archive record/stage --from-dir stage --of stage/" in again.stderr
    assert "--storage storage --record record/stage --from-dir stage --sample hourly/" in again.stderr
    assert "--into-cluster uid-of-stage --record record/stage --archive (that of the cluster" in back.stderr

    assert "nothing to do" in place.roll_back("--yes", *_INTO, *_RECORD).stderr
    assert "was not finished" not in place.undo("--dry-run").stderr


def test_a_new_record_is_created_on_purpose(place: _Place) -> None:
    """A misspelt --record in a storage with other archives creates no archive. A dry run needs no --create."""
    record = ("--record", "storage/stage")
    place.roll_back(*_INTO, *record, "--dry-run")
    before = place.stage()

    refused = place.roll_back(*_INTO, *record, "--yes", code=4)

    assert "no archive stage in" in refused.stderr
    assert "--create" in refused.stderr
    assert not (place.folder / "storage" / "stage").exists()
    assert place.stage() == before
    place.roll_back(*_INTO, *record, "--yes", "--create")
    assert (place.folder / "storage" / "stage" / ".git").is_dir()
