"""`gitsnap rollback` and `gitsnap undo` as typed: words, exit codes, plan files, JSON; on a folder of YAML files."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

_OLD_VALUE = "Y29ycmVjdC1ob3JzZQ=="
_NEW_VALUE = "YmF0dGVyeS1zdGFwbGU="


class _Place:
    """A folder with a cluster and storage, and the commands that are run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "cluster").mkdir()
        (folder / "storage").mkdir()
        self.write("database", _config_map("database", "a: 1"))
        self.write("frontend", _config_map("frontend", "b: 1"))
        self.write("password", _secret(_OLD_VALUE))
        self.write("guestbook", _PROFILE)
        self.write("west", _cluster("fv"))
        self.run("capture --snapshot hourly")

    def write(self, name: str, content: str) -> None:
        (self.folder / "cluster" / f"{name}.yaml").write_text(content)

    def read(self, name: str) -> str:
        return (self.folder / "cluster" / f"{name}.yaml").read_text()

    def run(self, command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command with the storage and the cluster of this place, expecting an exit code."""
        words = [*shlex.split(command), "--storage", "storage", "--from-dir", "cluster"]
        return self.exactly([sys.executable, "-m", "gitsnap", *words], code)

    def exactly(self, words: list[str], code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command line as it is."""
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


def _config_map(name: str, text: str, extra: str = "") -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: default\n"
        f"  labels:\n    app: {name}\ndata:\n  text: '{text}'\n{extra}"
    )


def _secret(value: str) -> str:
    return (
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: password\n  namespace: default\n"
        f"type: addons.projectsveltos.io/cluster-profile\ndata:\n  password: {value}\n"
    )


def _cluster(env: str) -> str:
    return (
        "apiVersion: lib.projectsveltos.io/v1beta1\nkind: SveltosCluster\nmetadata:\n  name: west\n"
        f"  namespace: default\n  labels:\n    env: {env}\nspec: {{}}\n"
    )


_PROFILE = """\
apiVersion: config.projectsveltos.io/v1beta1
kind: ClusterProfile
metadata:
  name: guestbook
spec:
  clusterSelector:
    matchLabels:
      env: fv
  policyRefs:
  - {kind: ConfigMap, name: database, namespace: default}
  - {kind: ConfigMap, name: frontend, namespace: default}
  - {kind: Secret, name: password, namespace: default}
"""


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """A cluster with one sample, in which two ConfigMaps and a Secret were changed since."""
    place = _Place(tmp_path)
    place.write("database", _config_map("database", "a: 2"))
    place.write("frontend", _config_map("frontend", "b: 2"))
    place.write("password", _secret(_NEW_VALUE))
    return place


def test_rollback_and_undo(place: _Place) -> None:
    """There and back, and each command says what it did."""
    done = place.run("rollback --sample latest --yes")
    assert "rollback: 3 applied" in done.stdout
    assert "a: 1" in place.read("database")
    undone = place.run("undo --yes")
    assert "undoing the rollback to hourly/" in undone.stderr
    assert "a: 2" in place.read("database")
    assert _NEW_VALUE in place.read("password")
    assert "undoing the undo of hourly/" in place.run("undo --yes").stderr
    assert "a: 1" in place.read("database")


def test_the_log_says_that_a_rollback_wrote(place: _Place) -> None:
    """Where it only took a field away, no field manager of its own is left on the object, and another's is."""
    fields = "managedFields: [{manager: kubectl-edit, operation: Update, time: '2026-01-01T00:00:00Z'}]"
    place.write("database", place.read("database").replace("labels:", f"{fields}\n  labels:\n    extra: label"))
    place.run("capture --snapshot hourly")
    place.run("rollback --sample latest~1 --yes")

    words = [sys.executable, "-m", "gitsnap", "log", "ConfigMap/default/database", "--storage", "storage", "-o", "json"]
    entries = json.loads(place.exactly(words).stdout)["changes"]

    assert [(one["action"], one["manager"]) for one in entries][:2] == [
        ("modified", "gitsnap"),
        ("modified", "kubectl-edit"),
    ]


def test_undo_without_a_rollback(place: _Place) -> None:
    """There is nothing to undo, in words."""
    assert "no rollback to undo" in place.run("undo --yes", 4).stderr


def test_exceptions_and_labels_narrow_a_selection(place: _Place) -> None:
    """`--except` leaves an object alone, `--selector` takes only those with the labels."""
    plan = json.loads(place.run("rollback --sample latest --dry-run -o json --except configmap/frontend").stdout)
    assert _written(plan) == ["database", "password"]
    plan = json.loads(place.run("rollback --sample latest --dry-run -o json -l 'app in (frontend, x)'").stdout)
    assert _written(plan) == ["frontend"]
    assert "--except configmap/nothing" in place.run("rollback --sample latest --except configmap/nothing", 4).stderr
    assert "no requirement" in place.run("rollback --sample latest -l 'a=b=c'", 2).stderr


def _written(plan: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    return [step["object"]["name"] for step in plan["steps"] if str(step["action"]) not in ("unchanged", "refuse")]


def test_a_plan_file_is_carried_out_exactly(place: _Place) -> None:
    """The file is the owner's alone, holds no value, and does what it says."""
    saved = place.run("rollback --sample latest --resource secret/password --plan-out plan.json")
    file = place.folder / "plan.json"
    assert "a: 2" in place.read("database")
    assert "carries out exactly this one" in saved.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert _OLD_VALUE not in file.read_text()
    assert _NEW_VALUE not in file.read_text()

    done = place.run("rollback --plan plan.json --yes")

    assert "rollback: 1 applied" in done.stdout
    assert _OLD_VALUE in place.read("password")
    assert "a: 2" in place.read("database")


def test_a_plan_file_is_refused_when_something_moved(place: _Place) -> None:
    """The object that moved is named, the others are not, and nothing is written."""
    place.run("rollback --sample latest --plan-out plan.json")
    place.write("database", _config_map("database", "a: 3"))

    refused = place.run("rollback --plan plan.json --yes", 10)

    assert "ConfigMap default/database was changed since" in refused.stderr
    assert "frontend" not in refused.stderr
    assert "b: 2" in place.read("frontend")


def test_a_plan_file_is_refused_when_an_object_is_made_or_goes(place: _Place) -> None:
    """What was to be updated is gone; nothing is written."""
    place.run("rollback --sample latest --plan-out plan.json")
    (place.folder / "cluster" / "database.yaml").unlink()
    assert (
        "ConfigMap default/database was created or deleted since"
        in place.run("rollback --plan plan.json --yes", 10).stderr
    )


def test_a_plan_file_is_refused_when_the_tag_is_another(place: _Place) -> None:
    """The tag of the sample was deleted and made anew by hand."""
    place.run("rollback --sample latest --plan-out plan.json")
    tag = json.loads((place.folder / "plan.json").read_text())["sample"]
    git = ["git", "-C", "storage/hourly"]
    message = place.exactly([*git, "tag", "-l", "--format=%(contents)", tag]).stdout
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    place.exactly([*git, *identity, "tag", "-f", "-a", "-m", message, tag, f"{tag}^{{}}"])

    assert "another sample" in place.run("rollback --plan plan.json --yes", 10).stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is no JSON"), ("[]", "no plan of a rollback"), ('{"kind": "RollbackPlanFile", "version": 9}', "version 9")],
)
def test_a_file_that_is_no_plan(place: _Place, content: str, said: str) -> None:
    """Said in words."""
    (place.folder / "plan.json").write_text(content)
    assert said in place.run("rollback --plan plan.json --yes", 3).stderr


def test_a_plan_file_takes_no_other_options(place: _Place) -> None:
    """What the file says cannot be changed beside it."""
    place.run("rollback --sample latest --plan-out plan.json")
    assert "leave these options out" in place.run("rollback --plan plan.json --sample latest", 2).stderr
    assert "--sample is needed" in place.run("rollback", 2).stderr


def test_what_is_left_out_is_said_in_the_exit_code(place: _Place) -> None:
    """`--skip-refused` does the rest, names what it left out and why, and ends with 16."""
    place.write("database", _config_map("database", "a: 2", "immutable: true\n"))
    blocked = place.run("rollback --sample latest --yes", 14)
    assert "--skip-refused" in blocked.stderr
    assert "b: 2" in place.read("frontend")

    done = place.run("rollback --sample latest --yes --skip-refused", 16)

    assert "left out: ConfigMap default/database: it is immutable" in done.stdout
    assert "b: 1" in place.read("frontend")


def test_the_json_of_a_rollback_has_plan_and_report(place: _Place) -> None:
    """One document on stdout; it holds names of fields and no values."""
    done = place.run("rollback --sample latest --yes -o json")
    document = json.loads(done.stdout)
    assert document["kind"] == "RollbackPlan"
    assert [one["object"]["name"] for one in document["report"]["applied"]] == ["database", "frontend", "password"]
    assert document["report"]["before"].startswith("hourly/")
    assert document["blocked"] == []
    assert _OLD_VALUE not in done.stdout
    assert "report" not in json.loads(place.run("rollback --sample latest --dry-run -o json").stdout)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_blocked_plan_is_a_document_too(place: _Place, form: str) -> None:
    """A script sees why, on stdout, besides the exit code."""
    place.write("database", _config_map("database", "a: 2", "immutable: true\n"))
    assert "cannot be rolled back" in place.run(f"rollback --sample latest --yes -o {form}", 14).stdout


def test_without_a_terminal_nothing_is_done_unasked(place: _Place) -> None:
    """`undo` asks like `rollback`."""
    place.run("rollback --sample latest --yes")
    assert "--yes" in place.run("undo", 14).stderr
    assert "a: 1" in place.read("database")


def test_a_secret_is_not_overwritten_where_the_sample_before_would_not_hold_it(place: _Place) -> None:
    """Samples are taken without values by now: there would be no way back, so nothing is written."""
    place.run("capture --snapshot hourly --secrets-mode redact")
    refused = place.run("rollback --sample latest~1 --yes", 14)
    assert "could not be brought back" in refused.stderr
    assert "a: 2" in place.read("database")
    place.run("rollback --sample latest~1 --yes --except secret/password")
    assert "a: 1" in place.read("database")


# Failures half-way ------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(place: _Place) -> _Place:
    """The second of the three files cannot be written, and the plan cannot know."""
    (place.folder / "sitecustomize.py").write_text(_SABOTAGE)
    return place


_SABOTAGE = """\
import os
from gitsnap.cluster import directory
from gitsnap.errors import RejectedError

_update = directory.DirectoryCluster.update

def update(self, document, *, dry_run=False):
    if document["metadata"]["name"] == os.environ.get("SABOTAGED") and not dry_run:
        if os.environ.get("BY") == "kill":
            os.kill(os.getpid(), 9)
        raise RejectedError("the quota is used up")
    return _update(self, document, dry_run=dry_run)

directory.DirectoryCluster.update = update
"""


def _sabotaged(place: _Place, monkeypatch: pytest.MonkeyPatch, by: str = "error") -> None:
    monkeypatch.setenv("PYTHONPATH", f"{place.folder}:{Path(__file__).resolve().parents[2]}")
    monkeypatch.setenv("SABOTAGED", "frontend")
    monkeypatch.setenv("BY", by)


def test_a_failure_names_the_commands_that_go_on_and_back(failing: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_killed_rollback_is_found_by_the_next_one(failing: _Place, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
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


def test_atomic_goes_back_by_itself(failing: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 17, everything as before, and no rollback left to finish or undo."""
    _sabotaged(failing, monkeypatch)
    done = failing.run("rollback --sample latest --yes --atomic", 17)
    assert "taken back: ConfigMap default/database" in done.stdout
    assert "The cluster is as it was before." in done.stderr
    assert "a: 2" in failing.read("database")
    assert "no rollback to undo" in failing.run("undo --yes", 4).stderr
