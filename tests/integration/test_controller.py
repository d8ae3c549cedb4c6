"""The controller as it is installed: from the manifests, with its own ServiceAccount, on a real API server."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive
from gitsnap.core.model import Trigger
from gitsnap.sveltos.kinds import CAPTURED_KINDS, KINDS, SOURCE_KINDS
from tests.support.controllers import SERVICE_ACCOUNT, SNAPSHOTS, Installation, wait_for
from tests.support.interruption import Switch
from tests.support.remotes import bare_repository, generate_key, ssh_server

_SOAK_SECONDS = float(os.environ.get("GITSNAP_SOAK_SECONDS", "15"))
"""Read at import, because the tests run without the environment of the user."""

_OUTAGE_SECONDS = float(os.environ.get("GITSNAP_OUTAGE_SECONDS", "1"))
"""Seconds of an outage. From a minute on, the tests do not speed up the recovery."""

_UNAIDED = _OUTAGE_SECONDS >= 60


def test_takes_samples_on_schedule_and_reports_them(installed: Installation) -> None:
    """Sample, status, conditions, Event, metrics and probes, with only the rights that the manifests grant."""
    installed.snapshot("often", {"schedule": "@every 2s"})
    process = installed.start()

    wait_for(lambda: installed.status("often").get("sampleCount", 0) >= 2, "two samples")

    status = installed.status("often")
    first, second, *_ = installed.samples("often")
    assert (first.metadata.trigger, second.commit) == (Trigger.SCHEDULE, first.commit)
    assert status["lastSample"] in {sample.tag for sample in installed.samples("often")}
    assert status["lastRunStatus"] in ("Collected", "InProgress")
    assert status["lastCommit"] == first.commit
    assert status["repositoryBytes"] > 1000
    assert status["observedGeneration"] == 1
    assert installed.condition("often", "Ready") == ("True", "Collected")
    assert installed.condition("often", "Complete") == ("True", "AllKindsRead")
    assert installed.condition("often", "SecretsRestorable") == ("False", "NoRecipients")
    assert ("Captured", f"{first.tag}: 1 object, 1 added, commit {first.commit[:12]}") in installed.events("often")
    assert process.metric("gitsnap_archive_samples", "often") is not None
    assert process.metric("gitsnap_expected_interval_seconds", "often") == 2
    assert [process.get(path)[0] for path in ("/healthz", "/readyz", "/other")] == [200, 200, 404]


def test_the_role_allows_its_work_and_nothing_else(installed: Installation) -> None:
    """The controller can list every captured kind, and can change no captured object."""

    def allowed(verb: str, group: str, resource: str, **more: str) -> bool:
        attributes = {"verb": verb, "group": group, "resource": resource, **more}
        review = {"spec": {"user": SERVICE_ACCOUNT, "resourceAttributes": attributes}}
        answer = installed.api.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    others = {("", "pods"), ("", "nodes"), ("apps", "statefulsets"), ("rbac.authorization.k8s.io", "clusterroles")}
    captured = {(row.kind.group, row.plural) for row in KINDS if row.kind in CAPTURED_KINDS | SOURCE_KINDS}
    wait_for(lambda: allowed("list", "", "secrets"), "the authorizer to see the roles")

    assert [pair for pair in sorted(captured) if not allowed("list", *pair)] == []
    writing = ("create", "update", "patch", "delete", "deletecollection")
    assert [(verb, *pair) for pair in sorted(captured) for verb in writing if allowed(verb, *pair)] == []
    assert [pair for pair in sorted(others) if allowed("list", *pair) or allowed("get", *pair)] == []
    snapshots = "utils.projectsveltos.io"
    assert not any(allowed(verb, snapshots, "snapshots") for verb in ("create", "update", "delete"))
    assert not allowed("get", "", "namespaces", name="default")
    assert not allowed("update", "coordination.k8s.io", "leases", namespace="gitsnap", name="another")
    assert not allowed("create", "", "serviceaccounts", subresource="token", namespace="gitsnap")


def test_takes_a_sample_on_request(installed: Installation) -> None:
    """Each new value of the annotation requests one sample. Creating the Snapshot takes no sample."""
    installed.snapshot("asked", {"schedule": "@yearly"})
    installed.start()
    wait_for(lambda: installed.condition("asked", "Ready") == ("True", "Scheduled"), "the Snapshot to be seen")
    assert installed.samples("asked") == []

    for value in ("first", "second"):
        installed.change("asked", {"metadata": {"annotations": {"gitsnap.io/capture-requested-at": value}}})
        wait_for(lambda: installed.status("asked").get("lastHandledCaptureAt") == value, "the request")  # noqa: B023

    assert [sample.metadata.trigger for sample in installed.samples("asked")] == [Trigger.MANUAL, Trigger.MANUAL]


def test_a_suspended_snapshot_is_ready_and_takes_samples_on_request(installed: Installation) -> None:
    """A suspended Snapshot is ready, so no alert fires, even after a requested sample."""
    installed.snapshot("quiet", {"schedule": "@every 1s", "suspend": True})
    process = installed.start()
    wait_for(lambda: installed.condition("quiet", "Ready") == ("True", "Suspended"), "the Snapshot to be seen")

    installed.request_sample("quiet", "now")
    wait_for(lambda: installed.status("quiet").get("lastHandledCaptureAt") == "now", "the request")

    assert installed.condition("quiet", "Ready") == ("True", "Suspended")
    assert process.metric("gitsnap_ready", "quiet") == 1
    assert process.metric("gitsnap_expected_interval_seconds", "quiet") is None
    assert [sample.metadata.trigger for sample in installed.samples("quiet")] == [Trigger.MANUAL]

    installed.change("quiet", {"spec": {"suspend": False}})
    wait_for(lambda: installed.condition("quiet", "Ready") == ("True", "Collected"), "the schedule to go on")


def test_an_invalid_snapshot_stops_no_other_and_can_be_corrected(installed: Installation) -> None:
    """A value that the schema cannot refuse sets a condition that names the field. A correction is enough."""
    installed.snapshot("bad", {"schedule": "61 * * * *"})
    installed.snapshot("good", {"schedule": "@every 1s"})
    installed.start()

    wait_for(lambda: installed.condition("bad", "Ready") == ("False", "InvalidSpec"), "the error")
    wait_for(lambda: installed.condition("good", "Ready") == ("True", "Collected"), "a sample of the other")
    assert "spec.schedule" in installed.status("bad")["failureMessage"]

    installed.change("bad", {"spec": {"schedule": "@every 1s"}})
    wait_for(lambda: installed.condition("bad", "Ready") == ("True", "Collected"), "a sample after the correction")
    assert "failureMessage" not in installed.status("bad")


def test_defect_02_the_status_of_a_run_is_true(installed: Installation) -> None:
    """A failed run ends as Failed with its reason, a successful run as Collected. No run stays InProgress."""
    storage = installed.storage / "not-there"
    installed.snapshot("hourly", {"schedule": "@every 1s", "storage": str(storage)})
    installed.start()
    wait_for(lambda: installed.status("hourly").get("lastRunStatus") == "Failed", "the failure")
    assert str(storage) in installed.status("hourly")["failureMessage"]
    assert installed.condition("hourly", "Ready") == ("False", "NeedsAttention")

    storage.mkdir()
    installed.change("hourly", {"spec": {"schedule": "@every 2s"}})  # the controller retries at once, not in a minute

    wait_for(lambda: installed.status("hourly").get("lastRunStatus") == "Collected", "the success")
    assert "failureMessage" not in installed.status("hourly")


def test_defect_15_deleting_a_snapshot_leaves_its_archive(installed: Installation) -> None:
    """A Snapshot with the old feature's finalizer is deleted at once, and every sample stays."""
    installed.snapshot("old", {"schedule": "@every 1s"}, finalizers=["snapshotfinalizer.projectsveltos.io"])
    process = installed.start()
    wait_for(lambda: installed.samples("old"), "a sample")

    installed.api.ask("DELETE", f"{SNAPSHOTS}/old")

    wait_for(lambda: installed.api.request("GET", f"{SNAPSHOTS}/old")[0] == 404, "the deletion")
    wait_for(lambda: process.metric("gitsnap_ready", "old") is None, "the series to go")
    assert installed.samples("old")


def test_defect_01_a_limit_keeps_exactly_as_many(installed: Installation) -> None:
    """An empty folder gets its first sample. Old samples are removed after a new one is safe. Manual samples stay."""
    installed.snapshot("few", {"schedule": "@every 1s", "successfulSnapshotLimit": 3})
    installed.change("few", {"metadata": {"annotations": {"gitsnap.io/capture-requested-at": "now"}}})
    process = installed.start()

    wait_for(lambda: (process.metric("gitsnap_removed_samples_total", "few") or 0) >= 2, "samples to be removed")

    samples = installed.samples("few")
    scheduled = [sample for sample in samples if sample.metadata.trigger is Trigger.SCHEDULE]
    assert len(scheduled) in (3, 4)  # a new sample may just have been taken
    assert [sample.metadata.sequence for sample in samples if sample.metadata.trigger is Trigger.MANUAL] == [1]


def test_two_controllers_do_not_work_at_once(installed: Installation) -> None:
    """The second controller waits for the Lease, and takes over when the first one stops."""
    installed.snapshot("often", {"schedule": "@every 1s"})
    first = installed.start(name="gitsnap-a")
    wait_for(lambda: installed.condition("often", "Ready") == ("True", "Collected"), "a sample")
    second = installed.start(name="gitsnap-b")
    wait_for(lambda: any("waiting for the lease" in line["message"] for line in second.log), "the second to wait")
    time.sleep(2.5)
    assert not any("object" in line["message"] for line in second.log)

    assert first.terminate() == 0

    wait_for(lambda: any("object" in line["message"] for line in second.log), "the second to work")


def test_recovers_when_the_api_server_was_away(installed: Installation) -> None:
    """During the outage no sample is taken. Afterwards the controller recovers without help."""
    switch = Switch(int(installed.api.url.rpartition(":")[2]))
    installed.snapshot("often", {"schedule": "@every 1s"})
    process = installed.start(server=f"https://127.0.0.1:{switch.port}")
    wait_for(lambda: len(installed.samples("often")) >= 2, "two samples")

    switch.off()
    wait_for(lambda: process.get("/readyz")[0] == 503, "not being ready")
    wait_for(lambda: process.metric("gitsnap_errors_total", "often") is not None, "a failed run")
    time.sleep(_OUTAGE_SECONDS)
    before = len(installed.samples("often"))
    installed.profile("guestbook", tier=7)
    switch.on()

    wait_for(lambda: len(installed.samples("often")) > before, "a sample afterwards", seconds=90)
    wait_for(lambda: process.get("/readyz")[0] == 200, "being ready again", seconds=90)
    wait_for(lambda: installed.condition("often", "Ready") == ("True", "Collected"), "the status", seconds=60)
    assert process.get("/healthz")[0] == 200
    switch.close()


def test_recovers_when_the_volume_was_full(installed: Installation, tmp_path: Path) -> None:
    """The status reports the full volume, the archive stays intact, and samples continue when there is space again."""
    volume = tmp_path / "volume"
    volume.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", volume], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        installed.snapshot("often", {"schedule": "@every 1s", "storage": str(volume)})
        installed.start(storage=volume)
        wait_for(lambda: installed.samples("often", storage=volume), "a sample")
        filler = volume / "filler"
        _fill(filler)
        installed.profile("guestbook", tier=8)
        wait_for(lambda: installed.condition("often", "Ready")[0] == "False", "the error")
        assert "space" in installed.status("often")["failureMessage"]
        before = len(installed.samples("often", storage=volume))

        time.sleep(_OUTAGE_SECONDS)
        filler.unlink()
        if not _UNAIDED:
            installed.request_sample("often", "now")

        longest = 60 + 2 * _OUTAGE_SECONDS
        wait_for(lambda: len(installed.samples("often", storage=volume)) > before, "a sample", seconds=longest)
        wait_for(lambda: installed.condition("often", "Ready") == ("True", "Collected"), "the status")
        _check_archive(volume / "often")
    finally:
        for process in installed.processes:
            process.kill()
        subprocess.run(["umount", volume], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass


def test_killed_at_random_no_sample_is_torn(installed: Installation, tmp_path: Path) -> None:
    """kill -9 during changes: samples are complete, sequences have no gap, and the remote gets every sample in the end.

    `scripts/soak` extends this test to ten minutes.
    """
    randomness = random.Random(7)
    record = bare_repository(tmp_path / "record.git")
    with ssh_server(tmp_path / "sshd") as server:
        server.authorize(generate_key(tmp_path / "identity"))
        data = {"identity": (tmp_path / "identity").read_text(), "known_hosts": server.known_hosts}
        secret = {"metadata": {"name": "remote"}, "stringData": data}
        installed.api.ask("POST", "/api/v1/namespaces/gitsnap/secrets", secret)
        push = {"url": server.url(record), "secretRef": {"namespace": "gitsnap", "name": "remote"}}
        installed.snapshot("often", {"schedule": "@every 1s", "push": push})
        first = installed.start()
        wait_for(lambda: installed.samples("often"), "a first sample", seconds=90)
        first.kill()
        ends = time.monotonic() + _SOAK_SECONDS
        tier = 0
        while time.monotonic() < ends:
            process = installed.start()
            wait_for(lambda: any("serving" in line["message"] for line in process.log), "the controller to begin")  # noqa: B023
            until = time.monotonic() + randomness.random() * 3
            while time.monotonic() < until:
                tier += 1
                installed.profile(f"profile-{tier % 5}", tier=tier)
            process.kill()
        before = len(installed.samples("often"))

        installed.start()
        wait_for(lambda: len(installed.samples("often")) >= before + 2, "the schedule to go on", seconds=90)
        wait_for(lambda: installed.status("often")["lastRunStatus"] == "Collected", "a true status")
        installed.change("often", {"spec": {"suspend": True}})
        wait_for(
            lambda: _refs(record) == _refs(installed.storage / "often"), "the remote to have every ref", seconds=90
        )
    archive = open_archive(installed.storage, "often")
    samples = archive.samples()
    assert [sample.metadata.sequence for sample in samples] == list(range(1, len(samples) + 1))
    assert not [finding for finding in archive.check() if finding.wrong]
    print(f"{len(samples)} samples, {len(installed.processes) - 1} kills, {tier} changes")


def _check_archive(folder: Path) -> None:
    for words in (["fsck", "--strict", "--no-progress"], ["log", "--all", "--format=%H"]):
        done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_fifty_snapshots(installed: Installation) -> None:
    """Fifty policies that are due together are all served, before and after an outage of the API server."""
    switch = Switch(int(installed.api.url.rpartition(":")[2]))
    names = [f"policy-{number:02}" for number in range(50)]
    for number, name in enumerate(names):
        installed.snapshot(name, {"schedule": f"@every {5 + number % 3}s"})
    process = installed.start(server=f"https://127.0.0.1:{switch.port}")
    wait_for(lambda: all(installed.samples(name) for name in names), "a sample of each", seconds=120)

    switch.off()
    wait_for(lambda: process.get("/readyz")[0] == 503, "not being ready")
    time.sleep(_OUTAGE_SECONDS)
    before = {name: len(installed.samples(name)) for name in names}
    switch.on()

    longest = 120 + 2 * _OUTAGE_SECONDS
    wait_for(
        lambda: all(len(installed.samples(name)) > before[name] for name in names), "another of each", seconds=longest
    )
    wait_for(lambda: process.get("/readyz")[0] == 200, "being ready again", seconds=90)
    assert [snapshot["metadata"]["name"] for snapshot in installed.api.ask("GET", SNAPSHOTS)["items"]] == names
    wait_for(lambda: {installed.condition(name, "Ready") for name in names} == {("True", "Collected")}, "their status")
    switch.close()


def test_encrypts_and_signs_with_the_keys_of_secrets(installed: Installation, tmp_path: Path) -> None:
    """Recipients, a fingerprint key and a signing key come from Secrets. No private key is written to the volume."""
    public = generate_key(tmp_path / "signing")
    (tmp_path / "allowed").write_text(f"platform@example.com {public}")
    signing = {"metadata": {"name": "signing"}, "stringData": {"identity": (tmp_path / "signing").read_text()}}
    installed.api.ask("POST", "/api/v1/namespaces/gitsnap/secrets", signing)
    recipient = "age1a09l9ptfyh526p92h4scplaz9zspvjgzcugl5sf0g29rutjp5u2qsfjekv"
    spec: dict[str, Any] = {
        "schedule": "@every 1s",
        "secrets": {"recipients": [recipient], "secretRef": {"namespace": "gitsnap", "name": "keys"}},
        "signing": {"secretRef": {"namespace": "gitsnap", "name": "signing"}},
    }
    installed.snapshot("sealed", spec)
    installed.start()
    wait_for(lambda: "no Secret gitsnap/keys" in installed.status("sealed").get("failureMessage", ""), "the error")

    secret = {"metadata": {"name": "keys"}, "stringData": {"fingerprint.key": "ab" * 32}}
    installed.api.ask("POST", "/api/v1/namespaces/gitsnap/secrets", secret)
    installed.change("sealed", {"spec": {"schedule": "@every 2s"}})

    wait_for(lambda: installed.condition("sealed", "SecretsRestorable") == ("True", "Encrypted"), "a sample")
    assert not (installed.storage / ".keys").exists()
    findings = open_archive(installed.storage, "sealed").check(allowed_signers=tmp_path / "allowed")
    assert not [finding for finding in findings if finding.wrong]


def test_pushes_to_a_remote_by_ssh(installed: Installation, tmp_path: Path) -> None:
    """Each sample reaches the remote. After an outage of the remote, the controller pushes the missing samples."""
    record = bare_repository(tmp_path / "record.git")
    with ssh_server(tmp_path / "sshd") as server:
        switch = Switch(server.port)
        server.authorize(generate_key(tmp_path / "identity"))
        url = server.url(record).replace(f":{server.port}/", f":{switch.port}/")
        hosts = server.known_hosts.replace(str(server.port), str(switch.port))
        data = {"identity": (tmp_path / "identity").read_text(), "known_hosts": hosts}
        secret = {"metadata": {"name": "remote"}, "stringData": data}
        installed.api.ask("POST", "/api/v1/namespaces/gitsnap/secrets", secret)
        push = {"url": url, "secretRef": {"namespace": "gitsnap", "name": "remote"}}
        installed.snapshot("often", {"schedule": "@every 2s", "push": push})
        process = installed.start()
        wait_for(lambda: installed.condition("often", "Pushed") == ("True", "Pushed"), "a push")
        assert installed.status("often")["lastPushedCommit"] == installed.samples("often")[0].commit

        switch.off()
        installed.profile("guestbook", tier=9)
        wait_for(lambda: installed.condition("often", "Pushed") == ("False", "Behind"), "the lag to be seen")
        wait_for(lambda: (process.metric("gitsnap_push_lag_samples", "often") or 0) >= 2, "the lag to be measured")
        assert installed.condition("often", "Ready") == ("True", "Collected")
        installed.change("often", {"spec": {"suspend": True}})
        switch.on()

        wait_for(lambda: installed.condition("often", "Pushed") == ("True", "Pushed"), "catching up", seconds=60)
        wait_for(lambda: process.metric("gitsnap_push_lag_samples", "often") == 0, "no lag")
        assert _refs(record) == _refs(installed.storage / "often")
        assert ("PushFailed" in dict(installed.events("often"))) is True
        switch.close()


def test_a_lost_volume_comes_back_from_the_remote(installed: Installation, tmp_path: Path) -> None:
    """The history continues. While the remote is unreachable, no new archive is created."""
    record = bare_repository(tmp_path / "record.git")
    installed.snapshot("often", {"schedule": "@every 1s", "push": {"url": str(record)}})
    first = installed.start(flags=("--allow-local-push",))
    wait_for(lambda: installed.status("often").get("sampleCount", 0) >= 2, "two samples")
    wait_for(lambda: installed.condition("often", "Pushed") == ("True", "Pushed"), "a push")
    assert first.terminate() == 0
    before = _refs(record)
    shutil.rmtree(installed.storage / "often")
    hidden = record.rename(tmp_path / "away.git")

    installed.start(flags=("--allow-local-push",))
    wait_for(lambda: installed.condition("often", "Ready")[0] == "False", "the error")
    assert not (installed.storage / "often").exists()
    hidden.rename(record)
    installed.change("often", {"spec": {"schedule": "@every 2s"}})

    wait_for(lambda: len(installed.samples("often")) > len(before) - 1, "a sample after the old ones", seconds=60)
    samples = installed.samples("often")
    assert [sample.metadata.sequence for sample in samples] == list(range(1, len(samples) + 1))
    wait_for(lambda: len(_refs(record)) > len(before), "the new one to be pushed")


def test_a_diverged_remote_is_a_condition(installed: Installation, tmp_path: Path) -> None:
    """Samples continue, and the condition names the commit of the remote."""
    record = bare_repository(tmp_path / "record.git")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-C"]
    tree = subprocess.run([*git, record, "mktree"], input=b"", capture_output=True, check=True).stdout.decode().strip()
    made = subprocess.run([*git, record, "commit-tree", "-m", "x", tree], capture_output=True, check=True)
    commit = made.stdout.decode().strip()
    subprocess.run([*git, record, "update-ref", "refs/heads/often", commit], check=True)
    # The archive exists before the push is configured. Otherwise the controller restores it from the remote.
    installed.snapshot("often", {"schedule": "@every 1s"})
    installed.start(flags=("--allow-local-push",))
    wait_for(lambda: installed.samples("often"), "a sample")

    installed.change("often", {"spec": {"push": {"url": str(record)}}})

    wait_for(lambda: installed.condition("often", "Pushed") == ("False", "Diverged"), "the error")
    conditions = {condition["type"]: condition["message"] for condition in installed.status("often")["conditions"]}
    assert commit[:12] in conditions["Pushed"]
    count = len(installed.samples("often"))
    wait_for(lambda: len(installed.samples("often")) > count, "samples to go on")


def _refs(folder: Path) -> dict[str, str]:
    command = ["git", "-C", str(folder), "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(line.split(" ") for line in done.stdout.splitlines())
