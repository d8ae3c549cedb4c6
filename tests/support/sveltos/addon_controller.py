"""A simulated addon-controller: controllers that share a cache, and that can be started, killed and restarted.

The simulator follows addon-controller v1.14 in deployments, withdrawals and reports, with lagging caches and queues.
It uses neither ``gitsnap.sveltos.matching`` nor ``gitsnap.rollback.plan``, because tests compare them with it.
"""

from __future__ import annotations

from gitsnap.core.model import JsonObject
from gitsnap.sveltos import kinds
from tests.support.sveltos.deployments import SummaryController
from tests.support.sveltos.lags import Lags
from tests.support.sveltos.managed import ManagedClusters
from tests.support.sveltos.manager import Api, Manager
from tests.support.sveltos.prerequisites import DependencyManager
from tests.support.sveltos.profiles import ProfileController
from tests.support.sveltos.sets import SetController
from tests.support.sveltos.timeline import Timeline

WATCHED = (
    kinds.CAPI_CLUSTER,
    kinds.SVELTOS_CLUSTER,
    kinds.SET,
    kinds.CLUSTER_SET,
    kinds.PROFILE,
    kinds.CLUSTER_PROFILE,
    kinds.CLUSTER_SUMMARY,
    kinds.CLUSTER_CONFIGURATION,
    kinds.CONFIG_MAP,
    kinds.SECRET,
)


class AddonController:
    """An addon-controller and the managed clusters that it deploys to."""

    def __init__(self, api: Api, timeline: Timeline, lags: Lags, managed: ManagedClusters | None = None) -> None:
        self.timeline = timeline
        self.managed = managed or ManagedClusters(lambda: timeline.now)
        self._api = api
        self._lags = lags
        self._manager = Manager(api, timeline, lags, WATCHED)
        self.problems: list[str] = []
        """Errors that led to a retry, of all processes."""

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._manager.alive

    def start(self) -> None:
        """Start a new process without memory."""
        self._manager = manager = Manager(self._api, self.timeline, self._lags, WATCHED, problems=self.problems)
        dependencies = DependencyManager(manager)
        SetController(manager, "Set")
        SetController(manager, "ClusterSet")
        ProfileController(manager, "Profile", dependencies)
        ProfileController(manager, "ClusterProfile", dependencies)
        SummaryController(manager, self.managed)
        manager.start(dependencies.start)

    def stop(self) -> None:
        """Kill the process. Work in progress ends."""
        self._manager.stop()

    def receive(self, change: str, document: JsonObject) -> None:
        """Receive an event of the management cluster."""
        self._manager.receive(change, document)
