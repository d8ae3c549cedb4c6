"""Prometheus as a child process that scrapes one controller and evaluates alert rules.

This module must not be imported by the package.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.controllers import wait_for
from tests.testbed import apiserver, binaries

_TIED = Path(apiserver.__file__).with_name("tied.py")
_CONFIGURATION = {
    "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
    "rule_files": ["rules.json"],
    "scrape_configs": [
        {"job_name": "gitsnap", "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}]}
    ],
}


def find_programs() -> Path:
    """Return the folder of prometheus and promtool. Skips if there is none, fails with CI=true."""
    try:
        return binaries.obtain_prometheus()
    except binaries.MissingError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


class Prometheus:
    """A running Prometheus, without a target until ``scrape``."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port

    def scrape(self, port: int) -> None:
        """Scrape the controller that listens on a port of loopback."""
        targets = self._folder / "targets.json"
        complete = targets.with_name("targets.new")
        complete.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
        complete.replace(targets)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression now."""
        answer = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        result: list[dict[str, Any]] = answer["result"]
        return result

    def label_values(self, metric: str, label: str) -> list[str]:
        """Return the values of a label of a metric."""
        words = urllib.parse.urlencode({"match[]": metric})
        values: list[str] = self._get(f"/api/v1/label/{label}/values?{words}")
        return values

    def firing(self) -> set[tuple[str, str]]:
        """Return the alerts that fire now, each with the policy that it is about."""
        alerts = self._get("/api/v1/alerts")["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"].get("policy", ""))
            for alert in alerts
            if alert["state"] == "firing"
        }

    def is_ready(self) -> bool:
        """Return whether Prometheus answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _get(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from None


@contextlib.contextmanager
def running(folder: Path, groups: Sequence[Mapping[str, Any]]) -> Iterator[Prometheus]:
    """Run Prometheus with groups of rules, in a folder of its own, until the end of the block."""
    program = find_programs() / "prometheus"
    folder.mkdir()
    (folder / "rules.json").write_text(json.dumps({"groups": groups}))  # JSON is YAML
    (folder / "prometheus.json").write_text(json.dumps(_CONFIGURATION))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = [
        sys.executable, "-I", "-S", str(_TIED), str(os.getpid()), str(program),
        f"--config.file={folder / 'prometheus.json'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
    server = Prometheus(folder, port)
    try:
        wait_for(lambda: server.is_ready() or process.poll() is not None, "Prometheus", seconds=60)
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        process.kill()
        process.wait()
