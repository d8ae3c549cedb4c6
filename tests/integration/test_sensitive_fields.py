"""Sensitive fields of a policy are protected like Secrets: in capture, diff, show, log, rollback and rotation."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive
from gitsnap.capture.substitutes import carries
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.cli.rollback_target import RollbackTarget
from gitsnap.cluster.directory.cluster import DirectoryCluster
from gitsnap.core.model import Area, Kind, SensitiveField
from gitsnap.sveltos.kinds import CLUSTER_PROFILE
from tests.support.commands import gitsnap
from tests.support.trees import config_map, policy_ref, profile

_VALUE = "adminPassword: canary-in-values"
_VALUES = "'ClusterProfile.config.projectsveltos.io spec.helmCharts[].values'"
_CHART = {
    "releaseName": "r",
    "releaseNamespace": "ns",
    "chartName": "c",
    "chartVersion": "1",
    "repositoryURL": "https://x",
}
_PATH = "_cluster/ClusterProfile.config.projectsveltos.io/p.yaml"


class _Place:
    """A cluster in a folder with a profile that contains chart values, and an archive that hides these values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "cluster").mkdir()
        self.put(_VALUE)
        self.run(f"capture --snapshot hourly --from-dir cluster --sensitive-field {_VALUES}")

    def put(self, *values: str, **spec: Any) -> None:
        charts = [{**_CHART, "releaseName": f"r{number}", "values": text} for number, text in enumerate(values)]
        objects = [
            profile("p", {"helmCharts": charts, "policyRefs": [policy_ref("open")], **spec}),
            config_map("open", {"a": "b"}),
        ]
        for document in objects:
            document.pop("status", None)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        (self.folder / "cluster" / "all.json").write_text(text)

    def capture(self, more: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run(f"capture --snapshot hourly --from-dir cluster {more}", code)

    def run(self, command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = gitsnap(self.folder, *shlex.split(command), code=code)
        assert "canary" not in done.stdout + done.stderr or "--decrypt" in command
        return done

    def live(self) -> str:
        files = sorted(path for path in (self.folder / "cluster").rglob("*") if path.is_file())
        return "".join(file.read_text() for file in files)

    def everything(self) -> bytes:
        """The contents of all objects of the repository."""
        command = ["git", "cat-file", "--batch-all-objects", "--batch"]
        return subprocess.run(command, cwd=self.folder / "hourly", capture_output=True, check=True).stdout


_ANOTHER = "capture --create --snapshot another --from-dir cluster"


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """An archive with a sample."""
    return _Place(tmp_path)


def test_the_value_is_only_in_the_ciphertext(place: _Place) -> None:
    """The tree has a fingerprint instead of the value, also after captures without the option."""
    place.capture()
    place.put(_VALUE.replace("values", "other-values"))
    place.capture()

    archive = open_archive(place.folder, "hourly")
    tree = archive.tree(archive.samples()[-1])
    assert b"canary" not in place.everything()
    assert b"gitsnap:hmac-sha256:" in tree.read(tree.files(Area.CONFIGURATION)[_PATH])
    assert sorted(tree.files(Area.SEALED)) == [_PATH, "_fingerprint-key.age"]
    assert len(archive.samples()) == 3
    assert archive.samples()[0].commit == archive.samples()[1].commit
    place.run("verify")


def test_show_decrypts_on_request(place: _Place) -> None:
    """Without --decrypt, `show` prints a fingerprint and a warning not to apply the object."""
    shown = place.run("show ClusterProfile/p")
    assert "gitsnap:hmac-sha256:" in shown.stdout
    assert "makes an API server refuse" in shown.stderr
    assert _VALUE in place.run("show ClusterProfile/p --decrypt").stdout
    assert "a: b" in place.run("show ConfigMap/open --decrypt").stdout


def test_a_diff_says_that_the_values_changed(place: _Place) -> None:
    """`diff`, `log` and `drift` name the changed field without its value."""
    place.put(f"{_VALUE}-two")
    place.capture()

    assert "spec.helmCharts[0].values" in place.run("diff").stdout
    assert "gitsnap:hmac-sha256:" in place.run("diff --raw-diff").stdout
    assert "spec.helmCharts[0].values" in place.run("log").stdout
    assert "spec.helmCharts[0].values" in place.run("drift --from-dir cluster --sample latest~1").stdout
    assert "no changes" in place.run("drift --from-dir cluster").stdout


def test_a_rollback_restores_the_value(place: _Place) -> None:
    """The value comes from the ciphertext. Without an identity the rollback is refused and nothing is written."""
    place.put(f"{_VALUE}-two", syncMode="OneTime")
    place.capture()
    identity = place.folder / ".keys" / "hourly" / "identity.txt"
    identity.rename(place.folder / "elsewhere.txt")
    command = "rollback --snapshot hourly --from-dir cluster --sample latest~1"

    refused = place.run(f"{command} --yes", 14)
    assert "ClusterProfile p" in refused.stdout + refused.stderr
    assert f"{_VALUE}-two" in place.live()
    planned = place.run(f"{command} --dry-run --identity elsewhere.txt -o json --plan-out plan.json")
    assert "spec.helmCharts[0].values" in planned.stdout
    assert "canary" not in (place.folder / "plan.json").read_text()
    place.run(f"{command} --yes --identity elsewhere.txt")

    assert f"{_VALUE}-two" not in place.live()
    assert _VALUE in place.live()
    place.run("undo --snapshot hourly --from-dir cluster --yes --identity elsewhere.txt")
    assert f"{_VALUE}-two" in place.live()


def test_undo_deletes_what_the_rollback_created(place: _Place) -> None:
    """An unchanged encrypted value does not count as a later change. A different value does."""
    (place.folder / "cluster" / "all.json").write_text(json.dumps(config_map("open", {"a": "b"})))
    places = "--snapshot hourly --from-dir cluster --yes"
    place.run(f"rollback --sample latest {places}")
    assert _VALUE in place.live()
    place.run(f"undo {places}")
    assert _VALUE not in place.live()

    place.run(f"undo {places}")
    (written,) = (place.folder / "cluster").rglob("p.yaml")
    written.write_text(written.read_text().replace(_VALUE, "changed"))

    assert "changed since" in place.run(f"undo {places}", 14).stdout


def test_another_field_can_be_rolled_back_without_an_identity(place: _Place) -> None:
    """If the fingerprints are equal, the value of the live object is kept."""
    place.put(_VALUE, syncMode="OneTime")
    place.capture()
    (place.folder / ".keys" / "hourly" / "identity.txt").unlink()

    place.run("rollback --snapshot hourly --from-dir cluster --sample latest~1 --yes")

    assert "OneTime" not in place.live()
    assert _VALUE in place.live()
    assert "hmac-sha256" not in place.live()


def test_a_new_rule_is_no_change(place: _Place) -> None:
    """If only one side hides a field, a diff says that it cannot tell, and shows no value of either side."""
    place.put(_VALUE)
    place.capture("--sensitive-field none")
    assert b"canary" in place.everything()

    shown = place.run("diff --raw-diff", 13)

    assert "no changes" in shown.stdout
    assert "cannot tell: ClusterProfile" in shown.stderr
    place.put(f"{_VALUE}-two", syncMode="OneTime")
    place.capture(f"--sensitive-field {_VALUES}")
    shown = place.run("diff --raw-diff", 13)
    assert "OneTime" in shown.stdout
    assert "cannot tell: ClusterProfile" in shown.stderr


def test_rekey_with_sensitive_fields(place: _Place) -> None:
    """Hidden fields get new ciphertexts and fingerprints like Secrets. Both samples can be decrypted."""
    before = place.run("show ClusterProfile/p").stdout

    place.run("secrets rekey")

    assert place.run("show ClusterProfile/p").stdout != before
    assert _VALUE in place.run("show ClusterProfile/p --decrypt").stdout
    assert _VALUE in place.run("show ClusterProfile/p --decrypt --sample latest~1").stdout
    assert "cannot tell: ClusterProfile" in place.run("diff", 13).stderr
    place.capture()
    assert "no changes" in place.run("diff").stdout


def test_mode_redact_shows_changes_and_restores_nothing(tmp_path: Path) -> None:
    """There is no ciphertext in the mode redact. A rollback of the field is refused with the reason."""
    place = _Place(tmp_path)
    place.run(f"capture --create --snapshot other --from-dir cluster --secrets-mode redact --sensitive-field {_VALUES}")
    place.put(f"{_VALUE}-two")
    place.run("capture --snapshot other --from-dir cluster")

    assert "spec.helmCharts[0].values" in place.run("diff --snapshot other").stdout
    done = place.run("rollback --snapshot other --from-dir cluster --sample latest~1 --yes", 14)
    assert "mode redact" in done.stdout + done.stderr


@pytest.mark.parametrize("mode", ["omit", "plaintext"])
def test_a_mode_that_hides_nothing_is_refused(place: _Place, mode: str) -> None:
    """A change of the mode does not expose sensitive fields by accident."""
    done = place.capture(f"--secrets-mode {mode} --accept-secrets-change", 3)

    assert "--sensitive-field none" in done.stderr


def test_a_kind_that_cannot_be_read_is_not_carried_under_another_rule(place: _Place) -> None:
    """A carried object must not have plain values in hidden fields, or fingerprints of fields that are not hidden."""
    place.capture("--sensitive-field none")
    archive = open_archive(place.folder, "hourly")
    hidden, shown = (archive.tree(sample) for sample in archive.samples())

    assert carries(hidden, CLUSTER_PROFILE, hidden.info)
    assert carries(shown, CLUSTER_PROFILE, shown.info)
    assert not carries(hidden, CLUSTER_PROFILE, shown.info)
    assert not carries(shown, CLUSTER_PROFILE, hidden.info)


@pytest.mark.parametrize("word", ["ClusterProfil", "clusterprofils.config.projectsveltos.io", "Widget"])
def test_an_unknown_kind_is_refused(place: _Place, word: str) -> None:
    """A rule for a kind that does not exist would hide nothing, and the value would stay in the archive."""
    words = f"{_ANOTHER} --sensitive-field '{word} spec.helmCharts[].values'"

    refused = place.run(words, 3)

    assert f"kind: '{word}' is not a kind" in refused.stderr
    assert not (place.folder / "another").exists()


@pytest.mark.parametrize("word", ["ClusterProfile", "clusterprofiles"])
def test_a_kind_may_be_written_without_its_group(place: _Place, word: str) -> None:
    """The rule in the archive has the whole kind, whatever the word on the command line."""
    place.run(f"{_ANOTHER} --sensitive-field '{word} spec.helmCharts[].values'")

    archive = open_archive(place.folder, "another")
    (field,) = archive.tree(archive.samples()[-1]).info.secrets.sensitive_fields
    assert field == SensitiveField(CLUSTER_PROFILE, "spec.helmCharts[].values")


@pytest.fixture
def later(place: _Place) -> _Place:
    """The second newest sample has the value in plain text; the newest one hides the field again."""
    place.put(f"{_VALUE}-two")
    place.capture("--sensitive-field none")
    place.put(f"{_VALUE}-three", syncMode="OneTime")
    place.capture(f"--sensitive-field {_VALUES}")
    place.put(f"{_VALUE}-live", syncMode="Continuous")
    return place


@pytest.mark.parametrize("words", ["drift --sample latest~1", "diff live latest~1", "diff latest~1 live"])
def test_a_field_that_became_sensitive_is_hidden_in_the_cluster(later: _Place, words: str) -> None:
    """The compared sample does not hide the field: its value in the cluster is still not for a log."""
    shown = later.run(f"{words} --from-dir cluster --raw-diff", 13)

    assert "cannot tell: ClusterProfile" in shown.stderr
    assert "syncMode" in later.run("drift --sample latest --from-dir cluster --raw-diff").stdout
    assert "spec.helmCharts[0].values" in later.run(f"{words} --from-dir cluster").stdout
    assert f"{_VALUE}-live" in later.run(f"{words} --from-dir cluster --raw-diff --decrypt").stdout


def test_a_plan_hides_the_fields_of_the_cluster_that_it_writes(later: _Place) -> None:
    """With --record, the archive of the written cluster names sensitive fields as well."""
    shutil.copytree(later.folder / "cluster", later.folder / "stage")
    (later.folder / "stage" / "system.yaml").write_text(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, uid: u-2}\n"
    )
    later.run("capture --snapshot other --create --from-dir cluster")
    later.put("adminPassword: public")
    later.run("capture --snapshot other --from-dir cluster")
    words = f"capture --snapshot stage --storage record --create --from-dir stage --sensitive-field {_VALUES}"
    later.run(words)

    plan = later.run(
        "rollback latest --snapshot other --from-dir stage --into-cluster u-2 --record record/stage --dry-run --full"
    )

    assert "+    values: (not shown, after)" in plan.stdout.replace('"', "")
    assert "public" not in plan.stdout


def test_messages_about_a_field_that_became_sensitive(later: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server quotes rejected values: its messages about the kind are not shown, though the sample hides nothing."""
    redacted = set[Kind]()
    monkeypatch.setattr(DirectoryCluster, "redact_errors_for", lambda _self, kinds: redacted.update(kinds))
    archive_options = ArchiveOptions("hourly", later.folder, "")

    RollbackTarget.open(archive_options, ClusterOptions(from_dir=later.folder / "cluster"), [])

    assert redacted == {CLUSTER_PROFILE}
