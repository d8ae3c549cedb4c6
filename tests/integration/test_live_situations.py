"""Rollbacks on a real API server while a simulated addon-controller, a process of its own, lags behind.

Each situation that lost add-ons on a running Sveltos, and its brothers. ``GITSNAP_LIVE_ROUNDS`` sets the number of
rounds of each; a long run by hand takes 200.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitsnap.sveltos import kinds
from tests.support import adapters
from tests.support.sveltos.managed import Happening, key_of
from tests.support.sveltos.playing import Player, Round, Surroundings, summed_up
from tests.support.sveltos.process import read_log, read_state
from tests.support.sveltos.situations import SITUATIONS, Names, Situation
from tests.testbed.apiserver import ApiServer

ROUNDS = int(os.environ.get("GITSNAP_LIVE_ROUNDS", "1"))
SPEED = 20.0
"""Seconds of Sveltos in a second: its retries of ten seconds take half a second."""


class Simulator:
    """The process, which can be killed and started again."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self._kubeconfig = api.kubeconfig()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.log, self.state = folder / "happenings", folder / "state"

    def control(self, word: str) -> None:
        """``up`` or ``down``."""
        with self._lock:
            if word == "down" and self._process is not None:
                self._process.send_signal(signal.SIGKILL)
                self._process.wait()
                self._process = None
            if word == "up" and self._process is None:
                self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        files = ("--kubeconfig", self._kubeconfig, "--state", self.state, "--log", self.log)
        words = [*map(str, files), "--speed", str(SPEED)]
        with (self._folder / "output").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.support.sveltos.process", *words],
                cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def happenings(self) -> list[Happening]:
        """What happened on the managed clusters so far; a process that died says why."""
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError((self._folder / "output").read_text()[-3000:])
        return read_log(self.log)

    def running(self, namespace: str) -> dict[str, str]:
        """What runs on the clusters of a namespace."""
        found = {}
        for entry in read_state(self.state):
            cluster = key_of(entry["cluster"])
            if cluster is not None and cluster.namespace == namespace:
                found[f"{cluster.name} {entry['slot']['kind']} {entry['slot']['name']}"] = entry["content"]
        return found


@pytest.fixture
def simulator(api: ApiServer, tmp_path: Path) -> Iterator[Simulator]:
    """A running one."""
    process = Simulator(api, tmp_path)
    process.control("up")
    yield process
    process.control("down")
    _clear(api)


def _clear(api: ApiServer) -> None:
    """Take the finalizers off, which nobody else does now."""
    cluster = adapters.connect(kubeconfig=str(api.kubeconfig()))
    for kind in (kinds.CLUSTER_SUMMARY, kinds.CLUSTER_PROFILE, kinds.CLUSTER_CONFIGURATION):
        resource = cluster.resource_type(kind)
        for page in cluster.list(resource) if resource is not None else ():
            for one in page.items:
                place = f"/namespaces/{one['metadata']['namespace']}" if "namespace" in one["metadata"] else ""
                path = (
                    f"/apis/{one['apiVersion']}{place}/{resource.plural if resource else ''}/{one['metadata']['name']}"
                )
                patch = {"metadata": {"finalizers": None}}
                api.request("PATCH", path, patch, content_type="application/merge-patch+json")
                api.request("DELETE", path)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_nothing_leaves_unsaid(situation: Situation, api: ApiServer, simulator: Simulator, tmp_path: Path) -> None:
    """A rollback and its undo, again and again: what is deleted was named before."""
    names = Names(f"s-{situation.name}")
    api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": names.prefix}})
    cluster = adapters.connect(kubeconfig=str(api.kubeconfig()))
    place = Surroundings(
        cluster, simulator.happenings, simulator.running, quiet=30 / SPEED, controller=simulator.control, patience=60
    )
    player = Player(situation, names, place, tmp_path)

    rounds: list[Round] = [player.play() for _ in range(ROUNDS)]

    print(summed_up(rounds))
    assert [one.unsaid for one in rounds if one.unsaid] == []
    if not situation.at_once:
        assert any(one.deleted for one in rounds) is (situation.name in _WITHDRAWING), summed_up(rounds)


_WITHDRAWING = frozenset({"fewer-refs", "depends-on", "dry-run", "missing-optional", "fewer-replicas"})
"""The situations in which something is to leave, named. A profile that is being deleted goes when its owner wanted."""
