"""Alert rules and dashboard: Prometheus evaluates them on the metrics of a real controller."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos import kinds
from tests.support import api_proxy, charts, prometheus
from tests.support.controllers import MANIFESTS, PROFILES, ControllerProcess, Installation, kubectl, wait_for
from tests.support.followers import config_map, profile
from tests.support.prometheus import Prometheus
from tests.support.remotes import free_port
from tests.testbed.apiserver import ApiServer

pytestmark = pytest.mark.slow

_CASES = Path(__file__).with_name("alert_cases.yaml")
_DASHBOARD = MANIFESTS / "overlays" / "dashboard" / "gitsnap.json"
_MAPS = "/api/v1/namespaces/default/configmaps"
_SECRETS = "/api/v1/namespaces/gitsnap/secrets"
_ROLES = "/apis/rbac.authorization.k8s.io/v1"
_MERGE = "application/merge-patch+json"
_HOUR_AGO = """
from datetime import datetime, timedelta
from gitsnap.cli import main
from gitsnap.cli.commands import capture

class Slow(datetime):
    @classmethod
    def now(cls, zone):
        return datetime.now(zone) - timedelta(hours=1)

capture.datetime = Slow
main()
"""
"""Runs `gitsnap capture` with a clock that is an hour slow."""


def _groups() -> list[dict[str, Any]]:
    documents = yaml.safe_load_all((MANIFESTS / "overlays" / "alerts" / "alerts.yaml").read_text())
    (rules,) = [document for document in documents if document["kind"] == "PrometheusRule"]
    groups: list[dict[str, Any]] = rules["spec"]["groups"]
    return groups


def _alerts() -> set[str]:
    return {rule["alert"] for group in _groups() for rule in group["rules"]}


def _promtool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [prometheus.find_programs() / "promtool", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_promtool_finds_that_each_alert_fires_when_it_should(tmp_path: Path) -> None:
    """For each alert, alert_cases.yaml has a time before the alert fires, a time when it fires, and a time after."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": _groups()}))
    (tmp_path / "cases.yaml").write_text(_CASES.read_text())

    checked = _promtool(tmp_path, "check", "rules", "--lint-fatal", "rules.yaml")
    done = _promtool(tmp_path, "test", "rules", "cases.yaml")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [case for test in yaml.safe_load(_CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    for outcome in (True, False):
        assert {case["alertname"] for case in cases if bool(case.get("exp_alerts")) == outcome} == _alerts()


class _Watches(api_proxy.Handler):
    """A proxy that refuses watches of ConfigMaps, or delivers none of their events. Other requests are passed on."""

    refuses: ClassVar[threading.Event]

    def answer(self, body: bytes) -> None:
        """Answer a request. The watches of ConfigMaps end when the client goes away."""
        if "watch=" not in self.path:
            self.send(self.passed_on(body))
        elif "/configmaps" not in self.path:
            self.stream(body)
        elif self.refuses.is_set():
            self.send(api_proxy.Answer.failure(403, "no watch of configmaps"))
        else:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.connection.recv(1)
            self.close_connection = True


@pytest.fixture
def groups(helm: Path) -> list[dict[str, Any]]:
    """The alert rules as the chart renders them, with short times."""
    values = ["alerts.enabled=true", *(f"alerts.rules.{alert}.for=1s" for alert in sorted(_alerts()))]
    rules = charts.render(helm, "--set", ",".join(values))["PrometheusRule", "gitsnap"]
    text = json.dumps(rules["spec"]["groups"])
    short: list[dict[str, Any]] = json.loads(re.sub(r"\[\d+[mh]\]", "[15s]", text))
    return short


@pytest.fixture
def refuses() -> threading.Event:
    """Whether the API server refuses watches of ConfigMaps: at first it does."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def controller(api: ApiServer, tmp_path: Path, refuses: threading.Event) -> Iterator[_Controller]:
    """An installation whose Snapshots have each a problem. Its controller does not run yet."""
    installation = Installation(api, tmp_path)
    installation.apply()
    api.ask("POST", _MAPS, config_map("a", "0"))
    api.ask("POST", PROFILES, profile("p", [ObjectKey(kinds.CONFIG_MAP, "default", "a")], "x"))
    with api_proxy.running(api, _Watches, refuses=refuses) as url:
        yield _Controller(installation, url, tmp_path / "remote.git")
    installation.remove()
    api.request("DELETE", f"{_MAPS}/a")
    for path in ("clusterroles", "clusterrolebindings"):
        api.request("DELETE", f"{_ROLES}/{path}/workloads")


class _Controller:
    """A controller with three Snapshots, and what is wrong with them."""

    def __init__(self, installation: Installation, url: str, remote: Path) -> None:
        self._installation = installation
        self._api = installation.api
        self._url = url
        self._remote = remote
        self._requests = 0
        self._audit_port = free_port()

    def start(self) -> ControllerProcess:
        """Create the Snapshots, and start the controller."""
        installation = self._installation
        self._take_old_sample("old")
        key = {"namespace": "gitsnap", "name": "late"}
        installation.snapshot("old", {"schedule": "@every 2s", "secrets": {"mode": "redact", "secretRef": key}})
        resources = [{"group": "apps", "kind": "StatefulSet"}]
        subprocess.run(["git", "init", "--quiet", "--bare", self._remote], check=True)
        push = {"url": str(self._remote)}
        installation.snapshot("partial", {"schedule": "@every 2s", "resources": resources, "push": push})
        installation.snapshot("followed", {"schedule": "@yearly", "follow": {"quietSeconds": 0}})
        address = f"127.0.0.1:{self._audit_port}"
        return installation.start(server=self._url, flags=["--allow-local-push", f"--audit-listen={address}"])

    def send_audit_events(self) -> None:
        """Send an empty list of audit events, as an API server does."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._audit_port, timeout=30)) as connection:
            body = json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": []})
            connection.request("POST", "/audit", body, {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200

    def _take_old_sample(self, policy: str) -> None:
        command = [
            sys.executable, "-c", _HOUR_AGO, "capture", "--create", "--snapshot", policy, "--secrets-mode", "redact",
            "--storage", str(self._installation.storage), "--kubeconfig", str(self._api.kubeconfig()),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def create_key(self) -> None:
        """Create the Secret with the key of the policy ``old``, which then need not wait for its next attempt."""
        (key,) = self._installation.storage.glob(".keys/old/fingerprint.key")
        data = {"fingerprint.key": key.read_text()}
        self._api.ask("POST", _SECRETS, {"metadata": {"name": "late"}, "stringData": data})
        self.request_sample("old")

    def grant_stateful_sets(self) -> None:
        """Allow the controller to list the kind that ``partial`` adds."""
        kubectl(
            "create", "clusterrole", "workloads", "--verb=list", "--resource=statefulsets.apps",
            kubeconfig=self._api.kubeconfig(),
        )  # fmt: skip
        kubectl(
            "create", "clusterrolebinding", "workloads", "--clusterrole=workloads", "--serviceaccount=gitsnap:gitsnap",
            kubeconfig=self._api.kubeconfig(),
        )  # fmt: skip

    def move_remote_away(self) -> None:
        """Make pushes fail, after the first one."""
        wait_for(lambda: self._installation.condition("partial", "Pushed")[0] == "True", "a push")
        self._remote.rename(self._remote.with_name("away.git"))

    def move_remote_back(self) -> None:
        """Make pushes work again."""
        self._remote.with_name("away.git").rename(self._remote)
        self.request_sample("partial")

    def follow_anew(self) -> None:
        """Change the policy, because follow mode pauses after each failure."""
        self._installation.change("followed", {"spec": {"follow": {"maxSeconds": 5}}})

    def request_sample(self, policy: str) -> None:
        """Request a sample, which is also pushed at once."""
        self._requests += 1
        self._installation.request_sample(policy, str(self._requests))

    def change(self, text: str) -> None:
        """Change the ConfigMap."""
        self._api.ask("PATCH", f"{_MAPS}/a", {"data": {"text": text}}, content_type=_MERGE)

    def delete_everything(self) -> None:
        """Delete the configuration."""
        self._api.ask("DELETE", PROFILES)

    def create_profile(self) -> None:
        """Create a profile."""
        self._installation.profile("guestbook", tier=100)


@pytest.mark.xdist_group("alerts")
def test_each_alert_fires_and_clears(
    controller: _Controller, refuses: threading.Event, groups: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Each problem makes its alert fire for its policy, and its remedy clears the alert. No panel is empty then."""
    fired: set[str] = set()
    with prometheus.running(tmp_path / "prometheus", groups) as server:

        def expect(*alerts: tuple[str, str]) -> None:
            _wait(lambda: set(alerts) - server.firing(), "do not fire")
            fired.update(alert for alert, _ in alerts)

        def expect_cleared(*alerts: tuple[str, str]) -> None:
            _wait(lambda: set(alerts) & server.firing(), "still fire")

        absent = ("GitsnapAbsent", "")
        expect(absent)
        server.scrape(controller.start().port)
        expect_cleared(absent)
        controller.move_remote_away()

        first = [
            ("GitsnapSampleOverdue", "old"),
            ("GitsnapNotReady", "old"),
            ("GitsnapSampleIncomplete", "partial"),
            ("GitsnapPushBehind", "partial"),
            ("GitsnapNotFollowing", "followed"),
        ]
        expect(*first)
        controller.create_key()
        controller.grant_stateful_sets()
        controller.move_remote_back()
        refuses.clear()
        controller.follow_anew()
        expect_cleared(*first)

        missed = ("GitsnapChangesMissed", "followed")
        series = 'gitsnap_follow_missed_objects_total{policy="followed"}'
        wait_for(lambda: server.query(f"{series} == 0 and {series} offset 1s == 0"), "two scrapes before the change")
        controller.change("1")
        controller.request_sample("followed")
        expect(missed)
        expect_cleared(missed)

        empty = ("GitsnapSampleEmpty", "old")
        controller.delete_everything()
        controller.send_audit_events()
        expect(empty)
        _check_dashboard(server)
        controller.create_profile()
        expect_cleared(empty)

    assert fired == _alerts()


def _wait(wrong: Callable[[], set[tuple[str, str]]], problem: str, *, seconds: float = 90.0) -> None:
    """Wait until no alert is wrong. A failure names those that are."""
    deadline = time.monotonic() + seconds
    while alerts := wrong():
        assert time.monotonic() < deadline, f"these alerts {problem} after {seconds:.0f} s: {sorted(alerts)}"
        time.sleep(0.2)


def _check_dashboard(server: Prometheus) -> None:
    """Run each query of the dashboard. None is an error, and none stays empty."""
    dashboard = json.loads(_DASHBOARD.read_text())
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            assert server.label_values(metric, label) == ["followed", "old", "partial"]
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(expressions) > 20
    values = {"$policy": ".*", "$__rate_interval": "2m"}
    for expression in expressions:
        query = expression
        for variable, value in values.items():
            query = query.replace(variable, value)
        wait_for(partial(server.query, query), f"a value of {expression}")
