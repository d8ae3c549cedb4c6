"""Faults between gitsnap and the real API server: refusals, cut connections and kill -9 at each step of a rollback.

After each fault, cluster and archive agree, and an undo restores the `configuration/` tree of the sample before.
GITSNAP_ALL_FAULTS=1 (scripts/soak) tries every fault at every step; without it each fault is tried at some steps.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitsnap.core.errors import AccessDeniedError, ClusterError, ConflictError, GitsnapError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback import RevertedError, StoppedError, past_rollbacks, unfinished
from gitsnap.rollback.plan import Action, Plan
from gitsnap.sveltos import kinds
from tests.support.adapters import connect
from tests.support.followers import config_map
from tests.support.plans import changed, custom, with_metadata
from tests.support.rollbacks import Story, delete, put
from tests.support.write_faults import Fault, FaultyProxy, faulty_proxy
from tests.testbed.apiserver import ApiServer

WEST = custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "fv"})
EVENT = custom(kinds.EVENT_SOURCE, "e", {"resourceSelectors": [{"group": "", "version": "v1", "kind": "Service"}]})
PASSWORD: JsonObject = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "password", "namespace": "default"},
    "type": "addons.projectsveltos.io/cluster-profile",
    "data": {"password": "MQ=="},
}
STEPS = ["create two", "update one", "recreate password", "update e", "hold guestbook", "update west"]
STEPS += ["update guestbook"]
WRITES = 8
"""The number of writes of the steps. A recreation takes two writes."""

_ALL = bool(os.environ.get("GITSNAP_ALL_FAULTS"))
FAULTS = {
    "403": Fault(403),
    "409": Fault(409, always=True),
    "410": Fault(410),
    "422": Fault(422),
    "429": Fault(429, always=True),
    "500": Fault(500),
    "cut before": Fault(),
    "cut after": Fault(carried_out=True),
}
CASES = [
    pytest.param(name, position, id=f"{name} at {position}")
    for number, name in enumerate(FAULTS)
    for position in range(WRITES)
    if _ALL or position == number * 3 % WRITES or (name == "cut after" and position % 2 == 0)
]


def _profile(env: str) -> JsonObject:
    names = (("ConfigMap", "one"), ("ConfigMap", "two"), ("Secret", "password"))
    references = [{"kind": kind, "name": name, "namespace": "default"} for kind, name in names]
    spec = {"clusterSelector": {"matchLabels": {"env": env}}, "policyRefs": references}
    return custom(kinds.CLUSTER_PROFILE, "guestbook", spec)


class _Scene:
    """A rollback of seven steps through a proxy. Captures and checks use the server directly."""

    def __init__(self, folder: Path, api: ApiServer, proxy: FaultyProxy) -> None:
        self.folder, self.proxy = folder, proxy
        self.cluster = connect(kubeconfig=str(api.kubeconfig()))
        self.story = Story(folder, self.cluster)
        for document in (WEST, EVENT, _profile("fv"), config_map("one", "1"), config_map("two", "2"), PASSWORD):
            put(self.cluster, document)
        self.first = self.story.capture()
        put(self.cluster, config_map("one", "changed"))
        delete(self.cluster, config_map("two", "2"))
        delete(self.cluster, PASSWORD)
        put(self.cluster, changed(PASSWORD, type="Opaque"))
        put(self.cluster, with_metadata(WEST, labels={"env": "prod"}))
        put(self.cluster, _profile("prod"))
        put(self.cluster, changed(EVENT, spec={**EVENT["spec"], "collectResources": True}))
        self.before = self.now()

    def plan(self) -> Plan:
        """Make the plan through the proxy."""
        self.through = connect(kubeconfig=self.proxy.kubeconfig())
        self.story.cluster = self.through
        return self.story.plan(self.first, recreate=True)

    def straight(self) -> None:
        """Stop all faults, and use the server directly."""
        self.proxy.heal()
        self.story.cluster = self.cluster

    def now(self) -> dict[str, str]:
        """The live configuration, as a sample stores it."""
        return self.story.configuration(self.story.capture())

    def undo(self) -> dict[str, str]:
        """Undo the newest rollback, and return the configuration."""
        self.story.undo(allow_withdraw=True)
        return self.now()

    def text(self, name: str) -> str:
        """The text of a ConfigMap."""
        return str(self.cluster.get(ObjectKey.of(config_map(name, "")))["data"]["text"])


@pytest.fixture
def proxy(api: ApiServer) -> Iterator[FaultyProxy]:
    """A proxy in front of the API server."""
    with faulty_proxy(api) as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path, api: ApiServer, proxy: FaultyProxy) -> _Scene:
    """See _Scene."""
    return _Scene(tmp_path, api, proxy)


def test_the_scene(scene: _Scene) -> None:
    """The plan has the steps that these tests rely on, and works without faults."""
    plan = scene.plan()
    assert [f"{step.action} {step.key.name}" for step in plan.writes] == STEPS
    scene.proxy.strike(WRITES, Fault())
    scene.story.apply(plan)
    assert len(scene.proxy.writes) == WRITES
    scene.straight()
    assert scene.now() == scene.story.configuration(scene.first)
    assert scene.undo() == scene.before


def _apply(scene: _Scene, plan: Plan, *, atomic: bool = False) -> GitsnapError | None:
    try:
        scene.story.apply(plan, atomic=atomic)
    except GitsnapError as error:
        return error
    return None


@pytest.mark.parametrize(("name", "position"), CASES)
def test_undo_after_a_fault(scene: _Scene, name: str, position: int) -> None:
    """The report has the applied steps and says whether a write is uncertain. Undo restores the state before."""
    plan, fault = scene.plan(), FAULTS[name]
    scene.proxy.strike(position, fault)

    error = _apply(scene, plan)
    written = list(scene.proxy.writes)
    scene.straight()

    assert error is not None
    if isinstance(error, StoppedError):
        report = error.report
        applied = [step for step in report.applied if step.action is not Action.RELEASE]
        assert report.failed == plan.writes[len(applied)]
        assert report.not_tried == plan.writes[len(applied) + 1 :]
        assert report.unknown is (name in ("500", "cut before", "cut after"))
        assert unfinished(scene.story.archive.samples()) is not None
    else:
        assert position == 0
        assert isinstance(error, AccessDeniedError | ConflictError | ClusterError)
        assert written == []
        assert scene.now() == scene.before
        return
    assert scene.undo() == scene.before
    assert unfinished(scene.story.archive.samples()) is None


@pytest.mark.parametrize("name", ["403", "cut before", "cut after"])
@pytest.mark.parametrize("position", range(1, WRITES) if _ALL else (3,))
def test_atomic_reverts_by_itself(scene: _Scene, name: str, position: int) -> None:
    """The tree is that of the sample before, and no rollback is unfinished, even if a write was uncertain."""
    plan = scene.plan()
    scene.proxy.strike(position, FAULTS[name])

    error = _apply(scene, plan, atomic=True)
    scene.straight()

    assert isinstance(error, RevertedError)
    assert scene.now() == scene.before
    assert unfinished(scene.story.archive.samples()) is None


def test_a_write_to_a_busy_server_is_retried(scene: _Scene) -> None:
    """After a 429 with Retry-After the write is sent again, and the rollback completes."""
    plan = scene.plan()
    scene.proxy.strike(3, Fault(429))
    assert _apply(scene, plan) is None
    scene.straight()
    assert scene.now() == scene.story.configuration(scene.first)


KILLS = [
    pytest.param(position, carried_out, id=f"{'after' if carried_out else 'before'} {position}")
    for position in range(WRITES)
    for carried_out in (False, True)
    if _ALL or (position, carried_out) in ((0, True), (3, False), (4, True), (7, False))
]


@pytest.mark.parametrize(("position", "carried_out"), KILLS)
def test_killed_at_every_step(scene: _Scene, *, position: int, carried_out: bool) -> None:
    """After kill -9 of the process the rollback is unfinished, and undo restores the state before."""
    process: list[subprocess.Popen[bytes]] = []
    started = signal.SIGKILL
    scene.proxy.strike(position, Fault(carried_out=carried_out, act=lambda: process[0].send_signal(started)))
    command = ["rollback", "--storage", str(scene.folder), "--snapshot", "hourly", "--sample", scene.first.moment]
    command += ["--kubeconfig", scene.proxy.kubeconfig(), "--recreate", "--yes"]
    process.append(subprocess.Popen([sys.executable, "-m", "gitsnap", *command], stdout=subprocess.DEVNULL))
    assert process[0].wait(120) == -signal.SIGKILL
    scene.straight()

    past = unfinished(scene.story.archive.samples())

    assert past is not None
    assert [f"{action} {key.name}" for action, key in past.record.objects] == STEPS
    assert scene.undo() == scene.before
    assert past_rollbacks(scene.story.archive.samples())[-1].finished


@pytest.mark.parametrize("position", range(WRITES) if _ALL else (0, 3, 6))
def test_another_writer_at_every_step(scene: _Scene, position: int) -> None:
    """Another writer changes the object just before the write. The change is not overwritten."""
    plan = scene.plan()
    keys = [step.key for step in plan.writes]
    keys.insert(2, keys[2])
    key = keys[position]
    theirs: list[JsonObject] = []

    def interfere(number: int) -> None:
        if number == position and not theirs:
            theirs.append(_touched(scene, key))

    scene.proxy.strike(WRITES, Fault())
    scene.proxy.before_write = interfere
    error = _apply(scene, plan)
    scene.proxy.before_write = lambda _number: None
    scene.straight()

    assert isinstance(error, ConflictError if position == 0 else StoppedError), error
    live = scene.cluster.get(key)
    assert live["metadata"]["annotations"]["somebody"] == "else"
    assert live["metadata"]["resourceVersion"] == theirs[0]["metadata"]["resourceVersion"]


def _touched(scene: _Scene, key: ObjectKey) -> JsonObject:
    """Annotate an object as another writer, or create the object if it does not exist."""
    note = {"annotations": {"somebody": "else"}}
    try:
        return scene.cluster.patch(key, {"metadata": note})
    except NotFoundError:
        theirs = PASSWORD if key.name == "password" else config_map(key.name, "theirs")
        return scene.cluster.create(with_metadata(theirs, **note))
