"""The pairs of profiles and clusters, and the lost pairs: an addon-controller that acts before the next write.

It copies the configuration to its own management cluster, so that it can follow any cluster of the tests.
This module must not be imported by the package.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gitsnap.cluster.semantics import copy_json
from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos.lags import INSTANT, Lags
from tests.support.sveltos.stage import Stage
from tests.support.sveltos.summaries import cluster_of, profile_of

Pair = tuple[ObjectKey, ObjectKey]
"""A profile and a cluster."""

_REPORTED = kinds.PROFILE_KINDS | {kinds.SET, kinds.CLUSTER_SET}
_FOLLOWED = _REPORTED | kinds.CLUSTER_KINDS
_ENOUGH = 300.0
_SETS_FIRST = {**INSTANT, "queue Profile": (0.01, 0.01), "queue ClusterProfile": (0.01, 0.01)}


@dataclass
class Matches:
    """Follows the objects of a cluster. Call ``act`` after each write."""

    objects: dict[ObjectKey, JsonObject]
    lost: set[Pair] = field(default_factory=set)
    """The pairs whose ClusterSummary was deleted, even if it was created again."""
    sets_first: bool = True
    """Whether sets are reconciled before profiles. Sveltos guarantees no such order."""

    def __post_init__(self) -> None:
        self._stage = Stage(lags=Lags(bounds=_SETS_FIRST if self.sets_first else INSTANT))
        self._stage.server.listeners.append(self._see)

    def act(self) -> None:
        """Act as Sveltos after a write, and write the statuses of profiles and sets."""
        wanted = {key: document for key, document in self.objects.items() if key.kind in _FOLLOWED}
        server = self._stage.server
        for key in [key for key in server.objects if key.kind in _FOLLOWED and key not in wanted]:
            self._stage.delete(server.objects[key])
        for key, document in wanted.items():
            self._follow(key, document)
        self._stage.settle(_ENOUGH)
        for key, document in wanted.items():
            if key.kind in _REPORTED and key in server.objects:
                document["status"] = copy_json(server.objects[key].get("status") or {})

    def _follow(self, key: ObjectKey, document: JsonObject) -> None:
        new = {name: copy_json(value) for name, value in document.items() if name not in ("metadata", "status")}
        kept = ("name", "namespace", "labels", "annotations")
        new["metadata"] = {name: value for name, value in document["metadata"].items() if name in kept}
        try:
            live = self._stage.live(document)
        except NotFoundError:
            live = {}
        if live and _owned(live) == _owned(new):
            return
        self._stage.put(new)
        if key.kind in kinds.CLUSTER_KINDS and not live:
            status = document.get("status") or {"ready": True, "initialization": {"controlPlaneInitialized": True}}
            with self._stage.server.quiet():
                self._stage.server.patch_status(key, status)

    @property
    def deployed(self) -> set[Pair]:
        """The pairs that have a ClusterSummary."""
        documents = self._stage.server.objects.items()
        return {
            (profile_of(document), cluster_of(document))
            for key, document in documents
            if key.kind == kinds.CLUSTER_SUMMARY
        }

    def _see(self, change: str, document: JsonObject) -> None:
        if document["kind"] == "ClusterSummary" and (
            change == "DELETED" or "deletionTimestamp" in document["metadata"]
        ):
            self.lost.add((profile_of(document), cluster_of(document)))


def _owned(document: JsonObject) -> list[object]:
    metadata = document["metadata"]
    return [document.get("spec"), metadata.get("labels") or {}, metadata.get("annotations") or {}]
