"""The commands `gitsnap prune` and `gitsnap keep`: output, confirmation and removed samples."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.capture import Request, capture, tree_info
from gitsnap.core.model import Trigger
from gitsnap.policy import snapshot
from tests.support import adapters
from tests.support.commands import gitsnap

_PROFILE = "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec: {}\n"
_POLICY = """\
apiVersion: utils.projectsveltos.io/v1beta1
kind: Snapshot
metadata:
  name: hourly
spec:
  schedule: "@hourly"
  storage: /collection
  retention:
    keepLast: 2
    keepWithin: 2h
"""


def _gitsnap(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return gitsnap(folder, *arguments, GITSNAP_STORAGE="storage")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a cluster, a policy file, and an archive of four scheduled samples, an hour apart."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "a.yaml").write_text(_PROFILE)
    (tmp_path / "policy.yaml").write_text(_POLICY)
    (tmp_path / "storage").mkdir()
    created = archive.create_archive(tmp_path / "storage", "hourly")
    without_secrets = snapshot.from_resource(
        {
            "apiVersion": "utils.projectsveltos.io/v1beta1",
            "kind": "Snapshot",
            "metadata": {"name": "hourly"},
            "spec": {"secrets": {"mode": "omit"}},
        }
    )
    info = tree_info(without_secrets, branch="hourly", keeper=None)
    live = adapters.open_directory(tmp_path / "cluster")
    for hour in range(4):
        moment = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(hours=hour)
        capture(live, created, Request(info, None, moment, Trigger.SCHEDULE))
    return tmp_path


def _opened(place: Path) -> GitArchive:
    return archive.open_archive(place / "storage", "hourly")


def _hours(place: Path) -> list[int]:
    return [sample.metadata.time.hour for sample in _opened(place).samples()]


def test_a_dry_run_shows_every_sample_with_its_reasons(place: Path) -> None:
    """The table has a row for each sample, and no sample is removed."""
    done = _gitsnap(place, "prune", "--keep-last", "1", "--keep-within", "1h", "--dry-run")

    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[0] == "|"]
    assert rows == [
        ["DATE", "ACTION", "REASONS"],
        ["2026-01-01:12:00:00", "remove", "no rule keeps it"],
        ["2026-01-01:13:00:00", "remove", "no rule keeps it"],
        ["2026-01-01:14:00:00", "remove", "no rule keeps it"],
        ["2026-01-01:15:00:00", "keep", "last sample 1 of 1, within 1h, newest sample"],
    ]
    assert _hours(place) == [12, 13, 14, 15]


def test_prune_without_a_terminal_needs_yes(place: Path) -> None:
    """The samples to remove are listed, and none is removed."""
    refused = _gitsnap(place, "prune", "--keep-last", "1")

    assert refused.returncode == 14
    assert "remove" in refused.stdout
    assert "--yes" in refused.stderr
    assert _hours(place) == [12, 13, 14, 15]


def test_rules_from_a_policy_file(place: Path) -> None:
    """Prune applies the rules of the file as the controller does. A second run removes nothing."""
    done = _gitsnap(place, "prune", "-f", "policy.yaml", "--yes", "-o", "json")
    again = _gitsnap(place, "prune", "-f", "policy.yaml", "--yes")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["kind"], report["policy"], report["dryRun"]) == ("Prune", "hourly", False)
    assert [sample["action"] for sample in report["samples"]] == ["remove", "remove", "keep", "keep"]
    assert report["samples"][2]["reasons"] == ["last sample 2 of 2", "within 2h"]
    assert _hours(place) == [14, 15]
    assert "nothing to remove" in again.stderr


def test_a_kept_sample_stays_until_the_mark_is_removed(place: Path) -> None:
    """`list --wide` and the JSON of `list` show the mark."""
    marked = _gitsnap(place, "keep", "2026-01-01:12:00:00")
    _gitsnap(place, "prune", "--keep-last", "1", "--yes")
    wide = _gitsnap(place, "list", "--wide")
    listed = json.loads(_gitsnap(place, "list", "-o", "json").stdout)["samples"]
    unmarked = _gitsnap(place, "keep", "2026-01-01:12:00:00", "--remove")
    held = _hours(place)
    _gitsnap(place, "prune", "--keep-last", "1", "--yes")

    assert (marked.returncode, unmarked.returncode) == (0, 0)
    assert "2026-01-01T12-00-00Z: marked" in marked.stdout
    assert [line.split("|")[-2].strip() for line in wide.stdout.splitlines() if "hourly" in line] == ["yes", ""]
    assert [sample["kept"] for sample in listed] == [True, False]
    assert held == [12, 15]
    assert _hours(place) == [15]


def test_without_rules_everything_is_kept(place: Path) -> None:
    """Prune without rules removes nothing and says that no rule was given."""
    done = _gitsnap(place, "prune", "--yes")

    assert done.returncode == 0
    assert "no rule was given" in done.stderr
    assert _hours(place) == [12, 13, 14, 15]


def test_a_rollback_records_its_target_sample(place: Path) -> None:
    """Retention can therefore keep the target of an unfinished rollback."""
    target = _opened(place).samples()[0]
    (place / "cluster" / "a.yaml").write_text(_PROFILE.replace("{}", "{tier: 50}"))

    done = _gitsnap(place, "rollback", "--sample", target.tag, "--from-dir", "cluster", "--yes")

    assert done.returncode == 0, done.stderr
    *_, before, after = _opened(place).samples()
    assert (before.metadata.trigger, before.metadata.target) == (Trigger.BEFORE_ROLLBACK, target.tag_id)
    assert (after.metadata.trigger, after.metadata.target) == (Trigger.AFTER_ROLLBACK, None)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("prune --keep-last -1", 2, "keep-last"),
        ("prune --keep-within soon", 3, "soon"),
        ("prune --keep-last 1 --time-zone Mars/Olympus", 3, "Mars/Olympus"),
        ("prune -f policy.yaml --keep-last 1", 2, "--file"),
        ("prune -f missing.yaml", 3, "missing.yaml"),
        ("prune --snapshot daily --keep-last 1", 4, "daily"),
        ("keep 2001-01-01", 4, "no sample"),
    ],
)
def test_errors_and_exit_codes(place: Path, arguments: str, code: int, message: str) -> None:
    """A command that fails has an error message and an exit code, and removes nothing."""
    done = _gitsnap(place, *arguments.split())

    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert _hours(place) == [12, 13, 14, 15]
