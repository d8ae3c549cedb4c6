"""Obstacles for the controller: another controller, a server that hangs, a stop signal, missing rights."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive
from gitsnap.core.model import Trigger
from tests.support.controllers import PROFILES, SNAPSHOTS, Installation, kubectl, wait_for
from tests.support.interruption import Switch
from tests.support.remotes import bare_repository
from tests.testbed.apiserver import User

_MERGE = "application/merge-patch+json"


@pytest.fixture
def switch(installed: Installation) -> Iterator[Switch]:
    """A proxy to the API server that can cut or hold connections."""
    made = Switch(int(installed.api.url.rpartition(":")[2]))
    yield made
    made.close()


def test_a_waiting_controller_is_silent_and_knows_the_others_work(installed: Installation) -> None:
    """A waiting controller does not write the status. After a takeover, no work is repeated or forgotten."""
    installed.snapshot("hourly", {"schedule": "@yearly"})
    first = installed.start(name="gitsnap-a")
    wait_for(lambda: installed.condition("hourly", "Ready") == ("True", "Scheduled"), "the first to work")
    second = installed.start(name="gitsnap-b")
    wait_for(lambda: any("waiting for the lease" in line["message"] for line in second.log), "the second to wait")
    installed.request_sample("hourly", "one")
    wait_for(lambda: installed.status("hourly").get("lastHandledCaptureAt") == "one", "the request to be served")
    # The active controller reports that the spec is invalid, and valid again. The waiting one must stay silent.
    installed.change("hourly", {"spec": {"schedule": "61 * * * *"}})
    wait_for(lambda: installed.condition("hourly", "Ready") == ("False", "InvalidSpec"), "the error")
    installed.change("hourly", {"spec": {"schedule": "@yearly"}})
    wait_for(lambda: installed.condition("hourly", "Ready") == ("True", "Scheduled"), "the correction")
    wait_for(lambda: "nextScheduleTime" in installed.status("hourly"), "the next time to be planned again")
    before = installed.status("hourly")
    assert (second.get("/readyz")[0], second.metric("gitsnap_ready", "hourly")) == (200, None)
    assert "gitsnap_leading 0.0" in second.get("/metrics")[1]

    assert first.terminate() == 0
    wait_for(lambda: "gitsnap_leading 1.0" in second.get("/metrics")[1], "the second to take over")
    installed.request_sample("hourly", "two")
    wait_for(lambda: installed.status("hourly").get("lastHandledCaptureAt") == "two", "the second request")

    assert [sample.metadata.trigger for sample in installed.samples("hourly")] == [Trigger.MANUAL, Trigger.MANUAL]
    changed = {"conditions", "lastRunTime", "lastSample", "sampleCount", "repositoryBytes", "lastHandledCaptureAt"}
    after = installed.status("hourly")
    assert {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)} <= changed
    assert not [line for line in second.log if line["level"] == "warning"]


def test_metrics_are_complete_after_a_restart(installed: Installation) -> None:
    """Metrics of the archive and of the status are there at once, not only after the next sample."""
    installed.snapshot("rare", {"schedule": "@yearly"})
    first = installed.start()
    installed.request_sample("rare", "now")
    wait_for(lambda: installed.status("rare").get("lastHandledCaptureAt") == "now", "a sample")
    assert first.terminate() == 0

    second = installed.start()

    wait_for(lambda: second.metric("gitsnap_ready", "rare") == 1, "the condition")
    taken = installed.samples("rare")[0].metadata.time.timestamp()
    assert second.metric("gitsnap_last_success_timestamp_seconds", "rare") == taken
    assert second.metric("gitsnap_archive_samples", "rare") == 1
    assert second.metric("gitsnap_sample_objects", "rare") == 1
    assert second.metric("gitsnap_sample_incomplete_kinds", "rare") == 0
    assert (second.metric("gitsnap_archive_bytes", "rare") or 0) > 1000
    assert len(installed.samples("rare")) == 1


def test_a_stop_finishes_the_running_sample(installed: Installation, switch: Switch) -> None:
    """Within the grace period: the sample is complete, the status true, the exit code 0."""
    installed.snapshot("slow", {"schedule": "@every 1s"})
    process = installed.start(server=f"https://127.0.0.1:{switch.port}", grace=20)
    wait_for(lambda: installed.condition("slow", "Ready") == ("True", "Collected"), "a first sample")
    switch.hold()
    time.sleep(1.5)  # a run has begun, and waits for the server
    before = len(installed.samples("slow"))
    process.signal_stop()
    wait_for(lambda: any("asked to stop: finishing" in line["message"] for line in process.log), "the stop")
    switch.on()

    assert process.wait() == 0

    assert len(installed.samples("slow")) == before + 1
    assert installed.status("slow")["lastRunStatus"] == "Collected"
    assert not [finding for finding in open_archive(installed.storage, "slow").check() if finding.wrong]


def test_a_stop_abandons_a_sample_that_takes_too_long(installed: Installation, switch: Switch) -> None:
    """The process ends with the grace period. The next process takes the missed sample."""
    installed.snapshot("slow", {"schedule": "@every 1s"})
    process = installed.start(server=f"https://127.0.0.1:{switch.port}", grace=1)
    wait_for(lambda: installed.condition("slow", "Ready") == ("True", "Collected"), "a first sample")
    switch.hold()
    time.sleep(1.5)
    before = len(installed.samples("slow"))
    process.signal_stop()

    assert process.wait(20) == 0

    assert len(installed.samples("slow")) == before
    switch.on()
    installed.start()
    wait_for(lambda: len(installed.samples("slow")) > before, "the schedule to go on")
    assert not [finding for finding in open_archive(installed.storage, "slow").check() if finding.wrong]


def test_not_ready_without_the_right_to_the_lease(installed: Installation) -> None:
    """Without the right, the readiness probe names the reason. With the right, the controller works."""
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/gitsnap/rolebindings"
    binding = installed.api.ask("GET", f"{roles}/gitsnap-lease")
    installed.api.ask("DELETE", f"{roles}/gitsnap-lease")
    installed.snapshot("often", {"schedule": "@every 1s"})
    process = installed.start()

    wait_for(lambda: "lease" in process.get("/readyz")[1], "the error")
    wait_for(lambda: "forbidden" in process.get("/readyz")[1], "the reason")
    assert process.get("/readyz")[0] == 503
    assert process.get("/healthz")[0] == 200
    assert installed.samples("often") == []

    again = {"metadata": {"name": "gitsnap-lease"}, "roleRef": binding["roleRef"], "subjects": binding["subjects"]}
    installed.api.ask("POST", roles, again)
    wait_for(lambda: installed.condition("often", "Ready") == ("True", "Collected"), "a sample", seconds=60)
    assert process.get("/readyz") == (200, "ok\n")


def test_a_remote_that_hangs_delays_no_sample(installed: Installation, tmp_path: Path) -> None:
    """Samples are taken on time. The push lag grows, and disappears when the remote answers again."""
    record = bare_repository(tmp_path / "record.git")
    hook = record / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nwhile [ -e {tmp_path}/hang ]; do sleep 0.2; done\n")
    hook.chmod(0o755)
    (tmp_path / "hang").touch()
    try:
        installed.snapshot("often", {"schedule": "@every 1s", "push": {"url": str(record)}})
        process = installed.start(flags=("--allow-local-push",))
        wait_for((tmp_path / "called").exists, "a push")
        count = len(installed.samples("often"))

        wait_for(lambda: len(installed.samples("often")) >= count + 3, "samples to go on")
        wait_for(lambda: installed.status("often").get("sampleCount", 0) >= count + 2, "the status to go on")
        wait_for(lambda: (process.metric("gitsnap_push_lag_samples", "often") or 0) >= 3, "the lag")
        assert installed.condition("often", "Ready") == ("True", "Collected")
    finally:
        (tmp_path / "hang").unlink()
    installed.change("often", {"spec": {"suspend": True}})
    wait_for(lambda: process.metric("gitsnap_push_lag_samples", "often") == 0, "the remote to have everything")


def test_a_remote_that_refuses_deletions_is_reported(installed: Installation, tmp_path: Path) -> None:
    """Samples are pushed, and the condition reports the tags that the remote keeps."""
    record = bare_repository(tmp_path / "record.git")
    hook = record / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nif [ "$3" = {"0" * 40} ]; then echo "no deletions" >&2; exit 1; fi\n')
    hook.chmod(0o755)
    push = {"url": str(record), "prune": True}
    installed.snapshot("few", {"schedule": "@every 1s", "successfulSnapshotLimit": 2, "push": push})
    installed.start(flags=("--allow-local-push",))

    wait_for(lambda: installed.condition("few", "Pushed") == ("True", "NotPruned"), "the condition")

    messages = {condition["type"]: condition["message"] for condition in installed.status("few")["conditions"]}
    assert "samples that retention removed are still there" in messages["Pushed"]


def test_the_token_itself_can_do_nothing_else(installed: Installation) -> None:
    """Requests with the controller's own token, not only access reviews."""
    path = "/api/v1/namespaces/gitsnap/serviceaccounts/gitsnap/token"
    answer = installed.api.ask("POST", path, {"spec": {"expirationSeconds": 3600}})
    user = User("gitsnap", str(answer["status"]["token"]))

    def request_status(method: str, path: str, body: Any = None, content_type: str = "application/json") -> int:
        return installed.api.request(method, path, body, user=user, content_type=content_type)[0]

    installed.snapshot("mine", {"schedule": "@yearly"})
    wait_for(lambda: request_status("GET", PROFILES) == 200, "the authorizer to see the roles")
    assert request_status("GET", f"{SNAPSHOTS}/mine") == 200

    profile = f"{PROFILES}/guestbook"
    config_map = {"metadata": {"name": "made"}, "data": {}}
    refused = [
        request_status("PATCH", profile, {"spec": {"tier": 5}}, _MERGE),
        request_status("DELETE", profile),
        request_status("POST", "/api/v1/namespaces/default/configmaps", config_map),
        request_status("POST", "/api/v1/namespaces/gitsnap/secrets", config_map),
        request_status("DELETE", f"{SNAPSHOTS}/mine"),
        request_status("GET", "/api/v1/pods"),
        request_status("GET", "/api/v1/namespaces/default"),
        request_status("POST", path, {"spec": {}}),
    ]
    assert refused == [403] * len(refused)
    assert installed.api.ask("GET", profile)["spec"]["tier"] == 100


def test_an_invalid_snapshot_of_the_old_definition_stops_no_other(installed: Installation) -> None:
    """A CRD without rules stores values that the schema refuses: each sets a condition, none ends the controller."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/snapshots.utils.projectsveltos.io"
    definition = installed.api.ask("GET", crds)
    loose = json.loads(json.dumps(definition))
    schema = loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema.pop("x-kubernetes-validations", None)
    schema.pop("required", None)
    schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    installed.api.ask("PUT", crds, loose)
    bad: dict[str, Any] = {
        "a-list": {"schedule": ["@hourly"]},
        "a-number": {"schedule": 5, "storage": 7},
        "deep": {"schedule": "@every 1s", "retention": {"keepLast": {"a": [1]}}, "push": "x", "secrets": []},
        "endless": {"schedule": "0 0 30 2 *"},
        "huge": {"schedule": "@every 1s", "startingDeadlineSeconds": 10**18, "successfulSnapshotLimit": -1},
        "nowhere": {"schedule": "TZ=Nowhere/Else @hourly"},
        "relative": {"schedule": "@every 1s", "storage": "../../etc"},
        "unknown": {"schedule": "@every 1s", "shedule": "x"},
    }
    bindings = _remove_bindings(installed)
    try:
        for name, spec in bad.items():
            wait_for(lambda: _posted(installed, name, spec), f"{name} to be taken")  # noqa: B023
        installed.snapshot("good", {"schedule": "@every 1s"})
        process = installed.start()

        for name in bad:
            wait_for(lambda: installed.condition(name, "Ready") == ("False", "InvalidSpec"), name)  # noqa: B023
            assert "spec." in installed.status(name)["failureMessage"]
        wait_for(lambda: installed.condition("good", "Ready") == ("True", "Collected"), "a sample of the good one")
        assert process.get("/healthz")[0] == 200
        assert not [line for line in process.log if "traceback" in line]
    finally:
        for process in installed.processes:
            process.kill()
        for name in bad:
            installed.api.request("DELETE", f"{SNAPSHOTS}/{name}")
        for binding in bindings:
            installed.api.ask("POST", _BINDINGS, binding)
        loose = installed.api.ask("GET", crds)
        installed.api.ask("PUT", crds, {**loose, "spec": definition["spec"]})
        wait_for(lambda: installed.api.request("GET", SNAPSHOTS)[0] == 200, "the definition to be served again")


_BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


def _remove_bindings(installed: Installation) -> list[dict[str, Any]]:
    """Remove the admission policies of gitsnap from use: the Snapshots may be older than the policies.

    Returns the bindings, to create them again.
    """
    removed = []
    for binding in installed.api.ask("GET", _BINDINGS)["items"]:
        name = binding["metadata"]["name"]
        if name.startswith("gitsnap"):
            installed.api.ask("DELETE", f"{_BINDINGS}/{name}")
            removed.append({"metadata": {"name": name}, "spec": binding["spec"]})
    return removed


def _posted(installed: Installation, name: str, spec: dict[str, Any]) -> bool:
    document = {
        "apiVersion": "utils.projectsveltos.io/v1beta1",
        "kind": "Snapshot",
        "metadata": {"name": name},
        "spec": {"storage": str(installed.storage), **spec},
    }
    return installed.api.request("POST", SNAPSHOTS, document)[0] in (201, 409)


def test_the_schema_refuses_invalid_values(installed: Installation) -> None:
    """Types, bounds, formats and rules across fields: the API server's message names the field."""
    good = {"schedule": "@hourly", "storage": "/collection"}
    bad: list[tuple[dict[str, Any], str]] = [
        ({"schedule": ""}, "spec.schedule"),
        ({"storage": "collection"}, "spec.storage"),
        ({"successfulSnapshotLimit": 0}, "spec.successfulSnapshotLimit"),
        ({"successfulSnapshotLimit": 3, "retention": {"keepLast": 3}}, "spec.successfulSnapshotLimit"),
        ({"startingDeadlineSeconds": -1}, "spec.startingDeadlineSeconds"),
        ({"schedule": "TZ=Europe/Rome @hourly", "timeZone": "UTC"}, "spec.timeZone"),
        ({"secrets": {"mode": "rot13"}}, "spec.secrets.mode"),
        ({"secrets": {"mode": "omit", "recipients": ["age1" + "q" * 58]}}, "spec.secrets.recipients"),
        ({"secrets": {"recipients": ["AGE-SECRET-KEY-1"]}}, "spec.secrets.recipients"),
        ({"push": {"url": "https://user:password@example.com/a.git"}}, "spec.push.url"),
        ({"push": {}}, "spec.push.url"),
        ({"retention": {"keepWithin": "soon"}}, "spec.retention.keepWithin"),
        ({"resources": [{"group": "apps"}]}, "spec.resources[0].kind"),
        ({"shedule": "@hourly"}, "spec.shedule"),
    ]
    for spec, field in bad:
        document = {
            "apiVersion": "utils.projectsveltos.io/v1beta1",
            "kind": "Snapshot",
            "metadata": {"name": "bad"},
            "spec": {**good, **spec},
        }
        status, answer = installed.api.request("POST", f"{SNAPSHOTS}?fieldValidation=Strict", document)
        assert status in (400, 422), (spec, answer)
        assert field in answer["message"], (field, answer["message"])


def test_kubectl_explains_and_lists_snapshots(installed: Installation) -> None:
    """Each field has a description, the short name works, and the columns have values."""
    installed.snapshot("hourly", {"schedule": "@every 1s"})
    process = installed.start()
    wait_for(lambda: installed.condition("hourly", "Ready") == ("True", "Collected"), "a sample")
    assert process.get("/healthz")[0] == 200
    config = installed.api.kubeconfig()

    explained = kubectl("explain", "snapshot.spec", kubeconfig=config)
    listed = kubectl("get", "gsnap", "-o", "wide", kubeconfig=config)
    described = kubectl("describe", "snapshot", "hourly", kubeconfig=config)

    fields = ("schedule", "storage", "timeZone", "suspend", "resources", "secrets", "retention", "push", "signing")
    assert [field for field in fields if f"  {field}\t<" not in explained] == []
    assert "<no description>" not in explained
    header, row = listed.splitlines()
    columns = "NAME SCHEDULE SUSPEND READY LAST RUN STATUS SAMPLES AGE STORAGE LAST SAMPLE NEXT MESSAGE"
    assert header.split() == columns.split()
    assert row.split()[:4] == ["hourly", "@every", "1s", "True"]  # SUSPEND is empty
    assert "Captured" in described
