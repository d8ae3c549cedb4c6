"""`gitsnap rollback` and `gitsnap undo` as typed: words, exit codes, JSON; on a folder of YAML files."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.support.typed import NEW_VALUE, OLD_VALUE, TypedPlace, changed_place, config_map


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """A cluster with one sample, in which two ConfigMaps and a Secret were changed since."""
    return changed_place(tmp_path)


def test_rollback_and_undo(place: TypedPlace) -> None:
    """There and back, and each command says what it did."""
    done = place.run("rollback --sample latest --yes")
    assert "rollback: 3 applied" in done.stdout
    assert "a: 1" in place.read("database")
    undone = place.run("undo --yes")
    assert "undoing the rollback to hourly/" in undone.stderr
    assert "a: 2" in place.read("database")
    assert NEW_VALUE in place.read("password")
    assert "undoing the undo of hourly/" in place.run("undo --yes").stderr
    assert "a: 1" in place.read("database")


def test_the_log_says_that_a_rollback_wrote(place: TypedPlace) -> None:
    """Where it only took a field away, no field manager of its own is left on the object, and another's is."""
    fields = "managedFields: [{manager: kubectl-edit, operation: Update, time: '2026-01-01T00:00:00Z'}]"
    place.write("database", place.read("database").replace("labels:", f"{fields}\n  labels:\n    extra: label"))
    place.run("capture --snapshot hourly")
    place.run("rollback --sample latest~1 --yes")

    words = ["gitsnap", "log", "ConfigMap/default/database", "--storage", "storage", "-o", "json"]
    entries = json.loads(place.exactly(words).stdout)["changes"]

    assert [(one["action"], one["manager"]) for one in entries][:2] == [
        ("modified", "gitsnap"),
        ("modified", "kubectl-edit"),
    ]


def test_undo_without_a_rollback(place: TypedPlace) -> None:
    """There is nothing to undo, in words."""
    assert "no rollback to undo" in place.run("undo --yes", 4).stderr


def test_exceptions_and_labels_narrow_a_selection(place: TypedPlace) -> None:
    """`--except` leaves an object alone, `--selector` takes only those with the labels."""
    plan = json.loads(place.run("rollback --sample latest --dry-run -o json --except configmap/frontend").stdout)
    assert _written(plan) == ["database", "password"]
    plan = json.loads(place.run("rollback --sample latest --dry-run -o json -l 'app in (frontend, x)'").stdout)
    assert _written(plan) == ["frontend"]
    assert "--except configmap/nothing" in place.run("rollback --sample latest --except configmap/nothing", 4).stderr
    assert "is not a label requirement" in place.run("rollback --sample latest -l 'a=b=c'", 2).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-l app=nothing", "--selector app=nothing leaves no object of the selection"),
        ("--clusterprofile guestbook --except clusterprofile/guestbook", "--except clusterprofile/guestbook leaves"),
        ("--resource configmap/frontend -l app=x --except configmap/database", "configmap/database leave nothing"),
    ],
)
def test_a_selection_of_nothing_is_a_mistake(place: TypedPlace, words: str, said: str) -> None:
    """As a name that fits nothing is: that the cluster has it all already would not be true."""
    refused = place.run(f"rollback --sample latest --yes {words}", 4)
    assert said in refused.stderr
    assert "nothing to do" not in refused.stderr


def test_a_name_that_was_given_twice_is_one_object(place: TypedPlace) -> None:
    """Also in two spellings."""
    twice = "--resource configmaps/database --resource ConfigMap/default/database --resource configmaps/database"
    assert _written(json.loads(place.run(f"rollback --sample latest --dry-run -o json {twice}").stdout)) == ["database"]


def test_undo_takes_every_way_to_name_a_sample(place: TypedPlace) -> None:
    """As `--sample` of the other commands does."""
    place.run("rollback --sample latest --yes")
    for name in ("latest~1", "@2100-01-01"):
        code = 0 if name == "latest~1" else 4  # the newest of all is the one after
        undone = place.run(f"undo --of {name} --dry-run", code)
        assert ("undoing the rollback to hourly/" in undone.stderr) is (code == 0)
        assert ("is not a sample that was taken before a rollback" in undone.stderr) is (code == 4)


def _written(plan: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    return [step["object"]["name"] for step in plan["steps"] if str(step["action"]) not in ("unchanged", "refuse")]


def test_what_is_left_out_is_said_in_the_exit_code(place: TypedPlace) -> None:
    """`--skip-refused` does the rest, names what it left out and why, and ends with 16."""
    place.write("database", config_map("database", "a: 2", "immutable: true\n"))
    blocked = place.run("rollback --sample latest --yes", 14)
    assert "1 object cannot be rolled back; --skip-refused leaves it out" in blocked.stderr
    assert "b: 2" in place.read("frontend")

    done = place.run("rollback --sample latest --yes --skip-refused", 16)

    assert "left out: ConfigMap default/database: it is immutable" in done.stdout
    assert "b: 1" in place.read("frontend")


def test_the_json_of_a_rollback_has_plan_and_report(place: TypedPlace) -> None:
    """One document on stdout; it holds names of fields and no values."""
    done = place.run("rollback --sample latest --yes -o json")
    document = json.loads(done.stdout)
    assert document["kind"] == "RollbackPlan"
    assert [one["object"]["name"] for one in document["report"]["applied"]] == ["database", "frontend", "password"]
    assert document["report"]["before"].startswith("hourly/")
    assert document["blocked"] == []
    assert OLD_VALUE not in done.stdout
    assert "report" not in json.loads(place.run("rollback --sample latest --dry-run -o json").stdout)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_blocked_plan_is_a_document_too(place: TypedPlace, form: str) -> None:
    """A script sees why, on stdout, besides the exit code."""
    place.write("database", config_map("database", "a: 2", "immutable: true\n"))
    assert "cannot be rolled back" in place.run(f"rollback --sample latest --yes -o {form}", 14).stdout


def test_without_a_terminal_nothing_is_done_unasked(place: TypedPlace) -> None:
    """`undo` asks like `rollback`."""
    place.run("rollback --sample latest --yes")
    assert "--yes" in place.run("undo", 14).stderr
    assert "a: 1" in place.read("database")


def test_a_secret_is_not_overwritten_where_the_sample_before_would_not_hold_it(place: TypedPlace) -> None:
    """Samples are taken without values by now: there would be no way back, so nothing is written."""
    place.run("capture --snapshot hourly --secrets-mode redact --accept-secrets-change")
    refused = place.run("rollback --sample latest~1 --yes", 14)
    assert "an undo could not restore" in refused.stderr
    assert "a: 2" in place.read("database")
    place.run("rollback --sample latest~1 --yes --except secret/password")
    assert "a: 1" in place.read("database")


# Failures half-way ------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(place: TypedPlace) -> TypedPlace:
    """The second of the three files cannot be written, and the plan cannot know."""
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


def test_a_failure_names_the_commands_that_go_on_and_back(failing: TypedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both commands work as they are printed."""
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
def test_a_killed_rollback_is_found_by_the_next_one(
    failing: TypedPlace, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """It says what was begun, and how to finish it or go back; both work as printed."""
    _sabotaged(failing, monkeypatch, by="kill")
    failing.run("rollback --sample latest --yes", -9)
    monkeypatch.setenv("SABOTAGED", "")

    found = failing.run("rollback --sample latest~1 --dry-run")

    assert "was not finished" in found.stderr
    go_on, go_back = _commands(found.stderr)
    failing.exactly([*(go_on if way == "on" else go_back), "--yes"])
    expected = "1" if way == "on" else "2"
    assert f"a: {expected}" in failing.read("database")
    assert f"b: {expected}" in failing.read("frontend")
    assert "not finished" not in failing.run("rollback --sample latest --dry-run").stderr


def test_atomic_goes_back_by_itself(failing: TypedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 17, everything as before, and no rollback left to finish or undo."""
    _sabotaged(failing, monkeypatch)
    done = failing.run("rollback --sample latest --yes --atomic", 17)
    assert "reverted: ConfigMap default/database" in done.stdout
    assert "The cluster is as it was before." in done.stderr
    assert "a: 2" in failing.read("database")
    assert "no rollback to undo" in failing.run("undo --yes", 4).stderr
