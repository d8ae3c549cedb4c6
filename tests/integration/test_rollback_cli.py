"""The commands `gitsnap rollback` and `gitsnap undo` on a folder of YAML files: output, exit codes and JSON."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from gitsnap.core.errors import EXIT_ATTENTION
from tests.support.typed import NEW_VALUE, OLD_VALUE, TypedPlace, changed_place, config_map


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """A cluster with a sample, and later changes of two ConfigMaps and a Secret."""
    return changed_place(tmp_path)


def test_rollback_and_undo(place: TypedPlace) -> None:
    """A rollback, its undo and an undo of the undo. Each command reports its work."""
    done = place.run("rollback --sample latest --yes")
    assert "rollback: 3 applied" in done.stdout
    assert "a: 1" in place.read("database")
    undone = place.run("undo --yes")
    assert "undoing the rollback to hourly/" in undone.stderr
    assert "a: 2" in place.read("database")
    assert NEW_VALUE in place.read("password")
    assert "undoing the undo of hourly/" in place.run("undo --yes").stderr
    assert "a: 1" in place.read("database")


def test_a_plan_shows_values_and_what_its_sample_was_taken_for(place: TypedPlace) -> None:
    """Values of ConfigMaps are shown. Values of Secrets are shown only on request."""
    plan = place.run("rollback --sample latest --dry-run").stdout
    assert "lines:   - in the cluster now, + as the plan writes them" in plan
    assert "             -  text: 'a: 2'\n             +  text: 'a: 1'\n" in plan.replace('"', "'")
    assert '-  password: "(not shown, before)"' in plan
    assert re.search(r"\d UTC, just now, taken by hand\n", plan)
    shown = place.run("rollback --sample latest --dry-run --decrypt").stdout
    assert "-  password: battery-staple\n" in shown
    assert "+  password: correct-horse\n" in shown
    names = place.run("rollback --sample latest --dry-run --names-only").stdout
    assert "a: 1" not in names
    assert "data.text" in names
    assert "--names-only shows no lines" in place.run("rollback --sample latest --names-only --full", 2).stderr

    place.run("rollback --sample latest --yes")
    back = place.run("rollback --sample latest~1 --dry-run").stdout
    assert re.search(r"This sample is the state before your rollback of \d\d:\d\d UTC to hourly/", back)
    assert "`gitsnap undo` goes back to it." in back
    undo = place.run("undo --dry-run").stdout
    assert "This sample is the state before your rollback" in undo
    assert "goes back to it" not in undo


def test_a_sensitive_field_that_was_named_after_the_sample(place: TypedPlace) -> None:
    """The plan hides the fields that new samples hide, even if the old sample does not hide them."""
    place.run("capture --snapshot hourly --sensitive-field 'ConfigMap data.text'")
    plan = place.run("rollback --sample latest~1 --dry-run --full").stdout
    assert "a: 1" not in plan
    assert "a: 2" not in plan
    assert '-  text: "(not shown, before)"' in plan


def test_the_log_names_gitsnap_as_the_manager_of_a_rollback(place: TypedPlace) -> None:
    """A rollback that only removes a field leaves no managed field of gitsnap on the object."""
    fields = "managedFields: [{manager: kubectl-edit, operation: Update, time: '2026-01-01T00:00:00Z'}]"
    place.write("database", place.read("database").replace("labels:", f"{fields}\n  labels:\n    extra: label"))
    place.run("capture --snapshot hourly")
    place.run("rollback --sample latest~1 --yes")

    words = ["gitsnap", "log", "ConfigMap/default/database", "--storage", "storage", "-o", "json"]
    entries = json.loads(place.exactly(words).stdout)["changes"]

    assert [(entry["action"], entry["manager"]) for entry in entries][:2] == [
        ("modified", "gitsnap"),
        ("modified", "kubectl-edit"),
    ]


def test_undo_without_a_rollback(place: TypedPlace) -> None:
    """The error says that there is no rollback to undo."""
    assert "no rollback to undo" in place.run("undo --yes", 4).stderr


def test_exceptions_and_labels_narrow_a_selection(place: TypedPlace) -> None:
    """`--except` excludes an object, and `--selector` selects objects by labels."""
    plan = json.loads(place.run("rollback --sample latest --dry-run -o json --except configmap/frontend").stdout)
    assert _written(plan) == ["database", "password"]
    plan = json.loads(place.run("rollback --sample latest --dry-run -o json -l 'app in (frontend, x)'").stdout)
    assert _written(plan) == ["frontend"]
    assert "--except configmap/nothing" in place.run("rollback --sample latest --except configmap/nothing", 4).stderr
    assert "is not a label requirement" in place.run("rollback --sample latest -l 'a=b=c'", 2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-l app=nothing", "--selector app=nothing leaves no object of the selection"),
        ("--clusterprofile guestbook --except clusterprofile/guestbook", "--except clusterprofile/guestbook leaves"),
        ("--resource configmap/frontend -l app=x --except configmap/database", "configmap/database leave no object"),
    ],
)
def test_an_empty_selection_is_an_error(place: TypedPlace, words: str, message: str) -> None:
    """An empty selection fails like an unknown name. "Nothing to do" would be a wrong answer."""
    refused = place.run(f"rollback --sample latest --yes {words}", 4)
    assert message in refused.stderr
    assert "nothing to do" not in refused.stderr


def test_a_repeated_name_selects_an_object_once(place: TypedPlace) -> None:
    """Two spellings of a name select the same object."""
    twice = "--resource configmaps/database --resource ConfigMap/default/database --resource configmaps/database"
    assert _written(json.loads(place.run(f"rollback --sample latest --dry-run -o json {twice}").stdout)) == ["database"]


def test_undo_accepts_each_form_of_a_sample(place: TypedPlace) -> None:
    """`--of` accepts the forms of `--sample` of other commands."""
    place.run("rollback --sample latest --yes")
    for name in ("latest~1", "@2100-01-01", "latest"):
        code = 4 if name == "latest" else 0  # the newest sample is the sample after the rollback
        undone = place.run(f"undo --of {name} --dry-run", code)
        assert ("undoing the rollback to hourly/" in undone.stderr) is (code == 0)
        assert ("is not a sample that was taken before a rollback" in undone.stderr) is (code == 4)


def _written(plan: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    return [step["object"]["name"] for step in plan["steps"] if str(step["action"]) not in ("unchanged", "refuse")]


def test_skipped_objects_change_the_exit_code(place: TypedPlace) -> None:
    """`--skip-refused` writes the other objects, names the skipped object and the reason, and exits with 16."""
    place.write("database", config_map("database", "a: 2", "immutable: true\n"))
    blocked = place.run("rollback --sample latest --yes", 14)
    assert "1 object cannot be rolled back; --skip-refused leaves it out" in blocked.stderr
    assert "b: 2" in place.read("frontend")

    done = place.run("rollback --sample latest --yes --skip-refused", 16)

    assert "left out: ConfigMap default/database: it is immutable" in done.stdout
    assert "b: 1" in place.read("frontend")


def test_the_json_of_a_rollback_has_plan_and_report(place: TypedPlace) -> None:
    """stdout is a single document with names of fields and without values."""
    done = place.run("rollback --sample latest --yes -o json")
    document = json.loads(done.stdout)
    assert document["kind"] == "RollbackPlan"
    assert [step["object"]["name"] for step in document["report"]["applied"]] == ["database", "frontend", "password"]
    assert document["report"]["before"].startswith("hourly/")
    assert document["blocked"] == []
    assert OLD_VALUE not in done.stdout
    assert "report" not in json.loads(place.run("rollback --sample latest --dry-run -o json").stdout)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_blocked_plan_is_a_document(place: TypedPlace, form: str) -> None:
    """A script can read the reason on stdout."""
    place.write("database", config_map("database", "a: 2", "immutable: true\n"))
    assert "cannot be rolled back" in place.run(f"rollback --sample latest --yes -o {form}", 14).stdout


def test_without_a_terminal_the_commands_need_yes(place: TypedPlace) -> None:
    """`undo` needs a confirmation like `rollback`."""
    place.run("rollback --sample latest --yes")
    assert "--yes" in place.run("undo", 14).stderr
    assert "a: 1" in place.read("database")


def test_a_secret_is_not_overwritten_without_its_value_in_the_sample_before(place: TypedPlace) -> None:
    """New samples have no values, so an undo would be impossible. Nothing is written."""
    place.run("capture --snapshot hourly --secrets-mode redact --accept-secrets-change")
    refused = place.run("rollback --sample latest~1 --yes", 14)
    assert "an undo could not restore" in refused.stderr
    assert "a: 2" in place.read("database")
    place.run("rollback --sample latest~1 --yes --except secret/password")
    assert "a: 1" in place.read("database")


# Failures half-way ------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(place: TypedPlace) -> TypedPlace:
    """A cluster whose second of three files cannot be written, which the plan cannot predict."""
    (place.folder / "sitecustomize.py").write_text(_SABOTAGE)
    return place


_SABOTAGE = """\
import os
from gitsnap.cluster.directory import cluster as directory
from gitsnap.core.errors import RejectedError

_update = directory.DirectoryCluster.update

def update(self, document, *, dry_run=False):
    if document["metadata"]["name"] == os.environ.get("SABOTAGED") and not dry_run:
        if os.environ.get("BY") == "kill":
            os.kill(os.getpid(), 9)
        raise RejectedError("the quota is used up")
    return _update(self, document, dry_run=dry_run)

directory.DirectoryCluster.update = update
"""


def _sabotaged(place: TypedPlace, monkeypatch: pytest.MonkeyPatch, by: str = "error") -> None:
    monkeypatch.setenv("PYTHONPATH", f"{place.folder}:{Path(__file__).resolve().parents[2]}")
    monkeypatch.setenv("SABOTAGED", "frontend")
    monkeypatch.setenv("BY", by)


def test_a_failure_names_the_commands_to_finish_and_to_undo(
    failing: TypedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both commands work as printed."""
    _sabotaged(failing, monkeypatch)
    done = failing.run("rollback --sample latest --yes", 15)
    assert "updated ConfigMap default/database" in done.stdout
    assert "FAILED ConfigMap default/frontend: the quota is used up" in done.stdout
    assert "not tried: update Secret default/password" in done.stdout
    assert "1 written, 1 not tried" in done.stderr
    go_on, go_back = _commands(done.stderr)

    monkeypatch.setenv("SABOTAGED", "")
    failing.exactly([*go_back, "--yes"])
    assert "a: 2" in failing.read("database")
    failing.exactly([*go_on, "--yes"])
    assert "a: 1" in failing.read("database")
    assert "b: 1" in failing.read("frontend")


def _commands(text: str) -> list[list[str]]:
    lines = [line.strip() for line in text.splitlines()]
    on, back = (next(line for line in lines if line.startswith(f"to go {way}:")) for way in ("on", "back"))
    return [shlex.split(line.partition(":")[2]) for line in (on, back)]


@pytest.mark.parametrize("way", ["on", "back"])
def test_a_killed_rollback_is_reported_by_the_next_command(
    failing: TypedPlace, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The message names the unfinished rollback and the commands to finish and to undo it. Both work as printed."""
    _sabotaged(failing, monkeypatch, by="kill")
    failing.run("rollback --sample latest --yes", -9)
    monkeypatch.setenv("SABOTAGED", "")

    found = failing.run("rollback --sample latest~1 --dry-run")

    assert "was not finished" in found.stderr
    assert "WRONG: a rollback to" in failing.run("status", EXIT_ATTENTION).stdout
    go_on, go_back = _commands(found.stderr)
    failing.exactly([*(go_on if way == "on" else go_back), "--yes"])
    expected = "1" if way == "on" else "2"
    assert f"a: {expected}" in failing.read("database")
    assert f"b: {expected}" in failing.read("frontend")
    assert "not finished" not in failing.run("rollback --sample latest --dry-run").stderr


def test_atomic_reverts_by_itself(failing: TypedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 17, the cluster is unchanged, and there is no rollback to finish or undo."""
    _sabotaged(failing, monkeypatch)
    done = failing.run("rollback --sample latest --yes --atomic", 17)
    assert "reverted: ConfigMap default/database" in done.stdout
    assert "The cluster is as it was before." in done.stderr
    assert "a: 2" in failing.read("database")
    assert "no rollback to undo" in failing.run("undo --yes", 4).stderr
