"""The fingerprint key in the Secret that a Snapshot names: commands use it as the controller does."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gitsnap.core.errors import EXIT_ATTENTION
from tests.support.typed import TypedPlace

_KEY = "ab" * 32
_SNAPSHOT = """\
apiVersion: utils.projectsveltos.io/v1beta1
kind: Snapshot
metadata: {name: daily}
spec:
  schedule: "@hourly"
  secrets: {mode: redact, secretRef: {namespace: gitsnap, name: daily-keys}}
status:
  nextScheduleTime: "2126-01-01T00:00:00Z"
  conditions: [{type: Ready, status: "True", reason: Scheduled, message: waiting for the next scheduled time}]
"""


def _secret(key: str) -> str:
    text = base64.b64encode(key.encode()).decode()
    return (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: daily-keys, namespace: gitsnap}\n"
        f"data:\n  fingerprint.key: {text}\n"
    )


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """An archive that was begun with the key in the Secret, and that has no key file."""
    place = TypedPlace(tmp_path)
    place.write("snapshot", _SNAPSHOT)
    place.write("keys", _secret(_KEY))
    place.run("capture --snapshot daily --create")
    return place


@pytest.mark.parametrize(
    "command",
    [
        "drift --exit-code",
        "diff latest live --exit-code",
        "status",
        "capture",
        "rollback latest --dry-run",
        "rollback latest --clusterprofile guestbook --yes",
    ],
)
def test_commands_take_the_key_from_the_secret(place: TypedPlace, command: str) -> None:
    """Each command succeeds without a key file, and writes none. A new archive took the same key."""
    place.run(f"{command} --snapshot daily")

    assert not (place.folder / "storage/.keys/daily").exists()


def test_another_key_in_the_secret_is_refused(place: TypedPlace) -> None:
    """The message names the Secret and no key."""
    place.write("keys", _secret("cd" * 32))

    done = place.run("drift --snapshot daily", 7)

    assert "the Secret gitsnap/daily-keys is the fingerprint key" in done.stderr
    assert "cd" * 8 not in done.stderr + done.stdout
    assert "daily-keys" in place.run("status --snapshot daily", EXIT_ATTENTION).stdout


def test_a_missing_secret_is_named(place: TypedPlace) -> None:
    """The message says which field names the Secret."""
    (place.folder / "cluster/keys.yaml").unlink()

    assert (
        "spec.secrets.secretRef: there is no Secret gitsnap/daily-keys"
        in place.run("capture --snapshot daily", 7).stderr
    )
