"""Follow mode in the controller: spec.follow, with the rights of the manifests, held to account by samples."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos import kinds
from tests.support.controllers import Installation, wait_for
from tests.support.followers import config_map, profile, secret
from tests.support.interruption import Switch
from tests.support.remotes import bare_repository, refs_of
from tests.testbed.apiserver import ApiServer

_MAPS = "/api/v1/namespaces/default/configmaps"
_SECRETS = "/api/v1/namespaces/default/secrets"
_PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
_MERGE = "application/merge-patch+json"


@pytest.fixture
def installed(api: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    """An installation, and a profile that refers to a ConfigMap and a Secret."""
    installation = Installation(api, tmp_path)
    installation.apply()
    api.ask("POST", f"{_MAPS}?fieldManager=setup", config_map("a", "0"))
    api.ask("POST", f"{_SECRETS}?fieldManager=setup", secret("s", "0"))
    keys = [ObjectKey(kinds.CONFIG_MAP, "default", "a"), ObjectKey(kinds.SECRET, "default", "s")]
    api.ask("POST", f"{_PROFILES}?fieldManager=setup", profile("p", keys, "x"))
    yield installation
    installation.remove()
    for path in (f"{_MAPS}/a", f"{_SECRETS}/s"):
        api.request("DELETE", path)


def _git(installed: Installation, *words: str) -> str:
    repository = installed.storage / "follow"
    done = subprocess.run(["git", "-C", str(repository), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_a_followed_snapshot_records_changes_at_once_and_its_samples_are_complete(installed: Installation) -> None:
    """The first sample is taken at once. Each write, also of a Secret, is a commit. A sample finds nothing missed."""
    running = installed.start()
    installed.snapshot("follow", {"schedule": "@yearly", "follow": {"quietSeconds": 0}, "secrets": {"mode": "redact"}})
    wait_for(lambda: len(installed.samples("follow")) == 1, "the first sample")
    wait_for(lambda: running.metric("gitsnap_following", "follow") == 1, "follow mode")

    time.sleep(1.1)  # managedFields have whole seconds
    installed.api.ask("PATCH", f"{_MAPS}/a?fieldManager=alice", {"data": {"text": "1"}}, content_type=_MERGE)
    wait_for(lambda: _git(installed, "log", "-1", "--format=%an") == "alice", "the change of alice")
    patch = {"data": {"text": "YmI="}}
    installed.api.ask("PATCH", f"{_SECRETS}/s?fieldManager=bob", patch, content_type=_MERGE)
    wait_for(lambda: _git(installed, "log", "-1", "--format=%an") == "bob", "the change of bob")
    installed.api.ask("PATCH", f"{_MAPS}/a?fieldManager=carol", {"data": {"text": "2"}}, content_type=_MERGE)
    installed.request_sample("follow", "2026-01-01T00:00:00Z")

    wait_for(lambda: len(installed.samples("follow")) == 2, "the sample")
    newest = installed.samples("follow")[-1]
    assert ("Followed", "complete") in newest.metadata.extra
    assert _git(installed, "log", "-3", "--format=%an").split() == ["carol", "bob", "alice"]
    assert _git(installed, "rev-parse", "HEAD") == newest.commit
    wait_for(lambda: installed.status("follow").get("lastCommit") == newest.commit, "the status")
    assert running.metric("gitsnap_follow_missed_objects_total", "follow") == 0
    assert "YmI=" not in _git(installed, "log", "-p")
    assert running.terminate() == 0


def test_a_snapshot_that_is_no_longer_followed_records_no_changes(installed: Installation) -> None:
    """Removing spec.follow ends follow mode."""
    running = installed.start()
    installed.snapshot("follow", {"schedule": "@yearly", "follow": {}, "secrets": {"mode": "redact"}})
    wait_for(lambda: running.metric("gitsnap_following", "follow") == 1, "follow mode")
    installed.change("follow", {"spec": {"follow": None}})
    wait_for(lambda: running.metric("gitsnap_following", "follow") is None, "the end of follow mode")
    installed.api.ask("PATCH", f"{_MAPS}/a", {"data": {"text": "3"}}, content_type=_MERGE)
    time.sleep(4)
    assert len(_git(installed, "log", "--format=%H").split()) == 1
    assert running.terminate() == 0


def test_a_kind_that_becomes_forbidden_is_a_condition(installed: Installation) -> None:
    """The controller is no longer allowed to list or watch a kind: the condition Following says so."""
    switch = Switch(int(installed.api.url.rpartition(":")[2]))
    running = installed.start(server=f"https://127.0.0.1:{switch.port}")
    installed.snapshot("follow", {"schedule": "@yearly", "follow": {"quietSeconds": 0}, "secrets": {"mode": "omit"}})
    wait_for(lambda: installed.condition("follow", "Following") == ("True", "Following"), "follow mode")
    wait_for(lambda: (running.metric("gitsnap_follow_watches", "follow") or 0) > 10, "the watches")
    assert running.metric("gitsnap_follow_lag_seconds", "follow") == 0

    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/gitsnap-controller"
    rules = [
        {**entry, "resources": [name for name in entry["resources"] if name != "clusterprofiles"]}
        for entry in installed.api.ask("GET", path)["rules"]
    ]
    installed.api.ask("PATCH", path, {"rules": rules}, content_type=_MERGE)
    switch.off()
    time.sleep(1)
    switch.on()
    wanted = ("False", "KindsNotFollowed")
    wait_for(lambda: installed.condition("follow", "Following") == wanted, "the condition", seconds=60)
    assert running.metric("gitsnap_following", "follow") == 0
    assert running.terminate() == 0
    switch.close()


def test_a_controller_that_lost_the_lease_and_wakes_up_doubles_nothing(installed: Installation) -> None:
    """The leader is stopped for longer than its Lease lasts. Another controller follows, and then both run."""
    first = installed.start()
    installed.snapshot("follow", {"schedule": "@yearly", "follow": {"quietSeconds": 0}, "secrets": {"mode": "omit"}})
    wait_for(lambda: first.metric("gitsnap_following", "follow") == 1, "follow mode")
    second = installed.start(name="gitsnap-1")
    os.kill(first.pid, signal.SIGSTOP)
    try:
        for number in range(1, 4):
            installed.api.ask("PATCH", f"{_MAPS}/a", {"data": {"text": str(number)}}, content_type=_MERGE)
        wait_for(lambda: _text(installed) == "3", "the second controller", seconds=90)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    for number in range(4, 30):
        installed.api.ask("PATCH", f"{_MAPS}/a", {"data": {"text": str(number)}}, content_type=_MERGE)
        time.sleep(0.1)
    wait_for(lambda: _text(installed) == "29", "the last change")
    installed.request_sample("follow", "2026-01-01T00:00:00Z")
    wait_for(lambda: len(installed.samples("follow")) == 2, "the sample")

    assert ("Followed", "complete") in installed.samples("follow")[-1].metadata.extra
    texts = _git(installed, "log", "-p", "--reverse", "--format=", "--", "configuration/default/ConfigMap/a.yaml")
    values = [int(line.rpartition(" ")[2].strip('"')) for line in texts.splitlines() if line.startswith("+  text:")]
    assert values == sorted(set(values))
    assert _git(installed, "fsck", "--strict", "--no-dangling") == ""
    assert (first.terminate(), second.terminate()) == (0, 0)


def _text(installed: Installation) -> str:
    shown = _git(installed, "show", "HEAD:configuration/default/ConfigMap/a.yaml")
    return shown.rpartition("text: ")[2].strip('"')


def test_a_change_reaches_the_remote_without_a_sample(installed: Installation, tmp_path: Path) -> None:
    """After an outage of the remote, a metric counts the changes that it lacks, until a later push."""
    record = bare_repository(tmp_path / "record.git")
    running = installed.start(flags=("--allow-local-push",))
    spec = {"schedule": "@yearly", "follow": {"quietSeconds": 0}, "secrets": {"mode": "redact"}}
    installed.snapshot("follow", {**spec, "push": {"url": str(record)}})
    wait_for(lambda: running.metric("gitsnap_following", "follow") == 1, "follow mode")
    wait_for(lambda: running.metric("gitsnap_push_lag_changes", "follow") == 0, "the first push")

    installed.api.ask("PATCH", f"{_MAPS}/a?fieldManager=alice", {"data": {"text": "1"}}, content_type=_MERGE)
    wait_for(lambda: len(_git(installed, "log", "--format=%H").split()) == 2, "the change")
    wait_for(lambda: refs_of(record)["refs/heads/follow"] == _git(installed, "rev-parse", "HEAD"), "the push")
    assert len(installed.samples("follow")) == 1

    away = record.rename(tmp_path / "away.git")
    installed.api.ask("PATCH", f"{_MAPS}/a?fieldManager=bob", {"data": {"text": "2"}}, content_type=_MERGE)
    wait_for(lambda: running.metric("gitsnap_push_lag_changes", "follow") == 1, "the lag")
    assert running.metric("gitsnap_push_lag_samples", "follow") == 0
    away.rename(record)
    wait_for(lambda: running.metric("gitsnap_push_lag_changes", "follow") == 0, "the next push", seconds=90)
    assert refs_of(record)["refs/heads/follow"] == _git(installed, "rev-parse", "HEAD")
    assert running.terminate() == 0
