"""Rollbacks on a real API server while a simulated addon-controller, a separate process, lags behind.

The tests repeat each situation that lost add-ons on a running Sveltos, and similar situations. ``GITSNAP_LIVE_ROUNDS``
sets the number of rounds of each situation. A long manual run uses 200.
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
from tests.support.sveltos.playing import Player, Round, Surroundings, summarize
from tests.support.sveltos.process import read_log, read_state
from tests.support.sveltos.situations import SITUATIONS, Names, Situation
from tests.testbed.apiserver import ApiServer

ROUNDS = int(os.environ.get("GITSNAP_LIVE_ROUNDS", "1"))
SPEED = 20.0
"""Simulated seconds in a real second: a Sveltos retry after ten seconds takes half a second."""


class Simulator:
    """A simulator process that the tests can kill and start again."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self._kubeconfig = api.kubeconfig()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.log, self.state = folder / "happenings", folder / "state"

    def control(self, word: str) -> None:
        """Start (``up``) or kill (``down``) the simulator."""
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
        """Return the events on the managed clusters so far. A process that died fails the test with its output."""
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError((self._folder / "output").read_text()[-3000:])
        return read_log(self.log)

    def running(self, namespace: str) -> dict[str, str]:
        """Return the content that runs on the clusters of a namespace."""
        contents = {}
        for entry in read_state(self.state):
            cluster = key_of(entry["cluster"])
            if cluster is not None and cluster.namespace == namespace:
                contents[f"{cluster.name} {entry['slot']['kind']} {entry['slot']['name']}"] = entry["content"]
        return contents


@pytest.fixture
def simulator(api: ApiServer, tmp_path: Path) -> Iterator[Simulator]:
    """A running simulator."""
    process = Simulator(api, tmp_path)
    process.control("up")
    yield process
    process.control("down")
    _clear(api)


def _clear(api: ApiServer) -> None:
    """Remove the finalizers, because no controller runs that would remove them, and delete the objects."""
    cluster = adapters.connect(kubeconfig=str(api.kubeconfig()))
    for kind in (kinds.CLUSTER_SUMMARY, kinds.CLUSTER_PROFILE, kinds.CLUSTER_CONFIGURATION):
        resource = cluster.resource_type(kind)
        for page in cluster.list(resource) if resource is not None else ():
            for document in page.items:
                metadata = document["metadata"]
                place = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
                plural = resource.plural if resource else ""
                path = f"/apis/{document['apiVersion']}{place}/{plural}/{metadata['name']}"
                patch = {"metadata": {"finalizers": None}}
                api.request("PATCH", path, patch, content_type="application/merge-patch+json")
                api.request("DELETE", path)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_every_deletion_is_announced(
    situation: Situation, api: ApiServer, simulator: Simulator, tmp_path: Path
) -> None:
    """Rollback and undo, several times: every add-on that is deleted was announced before."""
    names = Names(f"s-{situation.name}")
    api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": names.prefix}})
    cluster = adapters.connect(kubeconfig=str(api.kubeconfig()))
    place = Surroundings(
        cluster, simulator.happenings, simulator.running, quiet=30 / SPEED, controller=simulator.control, patience=60
    )
    player = Player(situation, names, place, tmp_path)

    rounds: list[Round] = [player.play() for _ in range(ROUNDS)]

    print(summarize(rounds))
    assert [played.unannounced for played in rounds if played.unannounced] == []
    if not situation.at_once:
        assert any(played.deleted for played in rounds) is (situation.name in _WITHDRAWING), summarize(rounds)


_WITHDRAWING = frozenset({"fewer-refs", "depends-on", "dry-run", "missing-optional", "fewer-replicas"})
"""The situations in which add-ons are withdrawn, and announced. Profiles under deletion are not among them."""
