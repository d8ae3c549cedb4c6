"""Plan files: a plan is carried out later exactly as the file says, or not at all."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.typed import NEW_VALUE, OLD_VALUE, TypedPlace, changed_place, config_map


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """A cluster with a sample, and later changes of two ConfigMaps and a Secret."""
    return changed_place(tmp_path)


def test_a_plan_file_of_another_archive_is_refused(place: TypedPlace) -> None:
    """The error names the plan as the cause, not a missing sample."""
    place.run("rollback --sample latest --plan-out plan.json")
    (place.folder / "other").mkdir()
    words = ["--storage", "other", "--from-dir", "cluster"]
    place.exactly([sys.executable, "-m", "gitsnap", "capture", *words])

    refused = place.exactly([sys.executable, "-m", "gitsnap", "rollback", "--plan", "plan.json", "--yes", *words], 4)

    assert "the plan restores hourly/" in refused.stderr
    assert "other/manual has no such sample" in refused.stderr


def test_a_plan_file_of_another_cluster_is_refused(place: TypedPlace) -> None:
    """The plan is refused before its sample is read: the hint `--into-cluster` for the sample would not help."""
    place.run("rollback --sample latest --plan-out plan.json")
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kube-system\n  uid: another\n"
    place.write("kube-system", namespace)

    refused = place.run("rollback --plan plan.json --yes", 11)

    assert "the plan was made for the cluster" in refused.stderr
    assert "--into-cluster" not in refused.stderr


def test_a_plan_file_is_reported_with_its_command(place: TypedPlace) -> None:
    """The printed command has the typed locations, quoted for a shell."""
    saved = place.run("rollback --sample latest --plan-out 'the plan.json'")
    command = saved.stderr.splitlines()[-1].strip()
    assert command == "gitsnap rollback --snapshot hourly --storage storage --from-dir cluster --plan 'the plan.json'"
    assert "rollback: 3 applied" in place.exactly([*shlex.split(command), "--yes"]).stdout


def test_a_plan_file_is_carried_out_exactly(place: TypedPlace) -> None:
    """Only the owner can read the file. The file holds no value, and its plan is carried out."""
    saved = place.run("rollback --sample latest --resource secret/password --plan-out plan.json")
    file = place.folder / "plan.json"
    assert "a: 2" in place.read("database")
    assert "applies exactly this plan" in saved.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert OLD_VALUE not in file.read_text()
    assert NEW_VALUE not in file.read_text()

    done = place.run("rollback --plan plan.json --yes")

    assert "rollback: 1 applied" in done.stdout
    assert OLD_VALUE in place.read("password")
    assert "a: 2" in place.read("database")


def test_a_plan_file_is_refused_when_an_object_changed(place: TypedPlace) -> None:
    """Only the changed object is named, and nothing is written."""
    place.run("rollback --sample latest --plan-out plan.json")
    place.write("database", config_map("database", "a: 3"))

    refused = place.run("rollback --plan plan.json --yes", 10)

    assert "ConfigMap default/database has changed" in refused.stderr
    assert "frontend" not in refused.stderr
    assert "b: 2" in place.read("frontend")


def test_a_plan_file_is_refused_when_an_object_is_created_or_deleted(place: TypedPlace) -> None:
    """The object to update no longer exists, and nothing is written."""
    place.run("rollback --sample latest --plan-out plan.json")
    (place.folder / "cluster" / "database.yaml").unlink()
    assert (
        "ConfigMap default/database was created or deleted since"
        in place.run("rollback --plan plan.json --yes", 10).stderr
    )


def test_a_plan_file_is_refused_when_the_tag_was_replaced(place: TypedPlace) -> None:
    """The tag of the sample was deleted and recreated by hand."""
    place.run("rollback --sample latest --plan-out plan.json")
    tag = json.loads((place.folder / "plan.json").read_text())["sample"]
    git = ["git", "-C", "storage/hourly"]
    message = place.exactly([*git, "tag", "-l", "--format=%(contents)", tag]).stdout
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    place.exactly([*git, *identity, "tag", "-f", "-a", "-m", message, tag, f"{tag}^{{}}"])

    assert "another sample" in place.run("rollback --plan plan.json --yes", 10).stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is not JSON"),
        ("[]", "is not a plan file"),
        ('{"kind": "RollbackPlanFile", "version": 9}', "version 9"),
    ],
)
def test_a_file_that_is_no_plan(place: TypedPlace, content: str, message: str) -> None:
    """The error names the problem of the file."""
    (place.folder / "plan.json").write_text(content)
    assert message in place.run("rollback --plan plan.json --yes", 3).stderr


def test_a_plan_file_takes_no_other_options(place: TypedPlace) -> None:
    """Options cannot change the plan of a file."""
    place.run("rollback --sample latest --plan-out plan.json")
    assert "omit the options for them" in place.run("rollback --plan plan.json --sample latest", 2).stderr
    assert "--sample is needed" in place.run("rollback", 2).stderr
