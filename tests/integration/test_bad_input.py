"""What goes wrong says so: in words, with the exit code of its class, and with nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROFILE = "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec: {}\n"


def _gitsnap(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gitsnap", *arguments],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a cluster, and storage with one sample of it."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "a.yaml").write_text(_PROFILE)
    (tmp_path / "storage").mkdir()
    done = _gitsnap(tmp_path, "capture", "--snapshot", "hourly", "--storage", "storage", "--from-dir", "cluster")
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("list --snapshot daily --storage storage", 4, "no snapshot policy daily"),
        ("list --storage missing", 6, "does not exist"),
        ("list --storage cluster/a.yaml", 6, "is a file"),
        ("show --sample 2001-01-01 --storage storage", 4, "The nearest ones: 2"),
        ("show --sample 2001-13-45 --storage storage", 2, "is no date"),
        ("show Foo/x --storage storage", 4, "Its kinds: ClusterProfile"),
        ("show nonsense --storage storage", 2, "write KIND/NAME"),
        ("diff --from-sample latest~9 --storage storage", 4, "goes back beyond the first sample"),
        ("capture --kubeconfig missing --storage storage", 3, "no kubeconfig at missing"),
        ("capture --from-dir missing --storage storage", 3, "is not a folder"),
        ("capture --from-dir cluster --storage storage --snapshot BAD_NAME", 3, "BAD_NAME"),
        ("capture --from-dir cluster --storage storage -f missing.yaml", 3, "missing.yaml"),
        ("rollback --from-dir cluster --storage storage --sample latest --profile x", 4, "--profile x"),
        ("frobnicate", 2, "frobnicate"),
        ("list --frobnicate", 2, "--frobnicate"),
    ],
)
def test_words_and_exit_code(place: Path, arguments: str, code: int, said: str) -> None:
    """The message names what is wrong; there is no traceback, and stdout stays empty."""
    done = _gitsnap(place, *arguments.split())

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("kind: [", "line"),
        (_PROFILE + "spec: {}\n", "spec"),
        ("a: 1\n", "apiVersion and kind are needed"),
    ],
)
def test_a_cluster_folder_that_cannot_be_read(place: Path, content: str, said: str) -> None:
    """The file is named; no sample is taken."""
    (place / "cluster" / "bad.yaml").write_text(content)

    done = _gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")

    assert done.returncode == 3
    assert "bad.yaml" in done.stderr
    assert said in done.stderr
    assert _gitsnap(place, "list", "--storage", "storage").stdout.count("hourly") == 1


def test_a_schedule_that_is_no_schedule(place: Path) -> None:
    """The policy file's field is named."""
    (place / "policy.yaml").write_text(
        "apiVersion: utils.projectsveltos.io/v1beta1\nkind: Snapshot\nmetadata:\n  name: hourly\n"
        "spec:\n  schedule: every hour\n  storage: /collection\n"
    )

    done = _gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "-f", "policy.yaml")

    assert done.returncode == 3
    assert "spec.schedule" in done.stderr


def test_another_cluster_is_refused_until_adopted(place: Path) -> None:
    """An archive never mixes two clusters by accident."""
    (place / "cluster" / "namespace.yaml").write_text(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kube-system\n  uid: another\n"
    )
    command = ["capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly"]

    refused = _gitsnap(place, *command)
    adopted = _gitsnap(place, *command, "--adopt")

    assert refused.returncode == 11
    assert "--adopt" in refused.stderr
    assert adopted.returncode == 0, adopted.stderr


def test_a_missing_or_wrong_fingerprint_key_is_refused(place: Path) -> None:
    """A new key would show every Secret as changed."""
    key = place / "storage" / ".keys" / "hourly" / "fingerprint.key"
    command = ["capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly"]
    key.write_text("00" * 32 + "\n")
    wrong = _gitsnap(place, *command)
    key.unlink()
    (key.parent / "identity.txt").unlink()
    missing = _gitsnap(place, *command)

    assert (wrong.returncode, missing.returncode) == (7, 7)
    assert "fingerprint" in wrong.stderr
    assert "identity" in missing.stderr


def test_the_old_features_folder_is_left_alone(place: Path) -> None:
    """gitsnap never initialises over the old Sveltos Snapshot folders."""
    (place / "storage" / "snapshot" / "hourly" / "2023-08-26:05:00:00").mkdir(parents=True)

    done = _gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "snapshot")

    assert done.returncode == 3
    assert "old Sveltos Snapshot feature" in done.stderr
