"""The controller of ClusterSummaries: when a feature is deployed or withdrawn, and which status is written.

The controller reads the result of a worker when it reconciles the ClusterSummary again, ten seconds later. Until then
only a change of the spec triggers a reconciliation. This module must not decide which clusters match.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.sveltos import clusters, deployment, summaries
from tests.support.sveltos.content import FEATURES, fingerprint, mentioned
from tests.support.sveltos.deployment import Outcome
from tests.support.sveltos.managed import ManagedClusters
from tests.support.sveltos.manager import RETRY, Change, Manager, Queue

FINALIZER = "clustersummaryfinalizer.projectsveltos.io"
CONFLICT_RETRY, DRY_RUN_RETRY = 60.0, 60.0

Task = tuple[ObjectKey, str]
"""A ClusterSummary and a feature."""


@dataclass
class _Memory:
    """State that is lost when the process ends."""

    outcomes: dict[Task, Outcome] = field(default_factory=dict)
    removals: dict[Task, Outcome] = field(default_factory=dict)
    running: dict[Task, str] = field(default_factory=dict)
    """Task -> the work that is under way: ``deploy`` or ``withdraw``."""
    cooldowns: dict[ObjectKey, tuple[float, Any]] = field(default_factory=dict)
    deletions: dict[ObjectKey, float] = field(default_factory=dict)

    def forget(self, key: ObjectKey) -> None:
        """Forget a deleted ClusterSummary: a later object with its name is another object."""
        self.cooldowns.pop(key, None)
        self.deletions.pop(key, None)
        for feature in FEATURES:
            self.outcomes.pop((key, feature), None)
            self.removals.pop((key, feature), None)


class SummaryController:
    """Deploys and withdraws the features of ClusterSummaries."""

    def __init__(self, manager: Manager, managed: ManagedClusters) -> None:
        self.queue = Queue("ClusterSummary", self.reconcile)
        self._manager = manager
        self._managed = managed
        self._memory = _Memory()
        manager.on(kinds.CLUSTER_SUMMARY, self._changed)
        for kind in clusters.KINDS:
            manager.on(kind, self._cluster_changed)
        for kind in (kinds.CONFIG_MAP, kinds.SECRET):
            manager.on(kind, self._source_changed)

    # Triggers -----------------------------------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        old, new = change.old, change.new
        if new is None:
            if old is not None:
                self._memory.forget(ObjectKey.of(old))
            return
        if old is None or old["spec"] != new["spec"] or clusters.deleting(old) != clusters.deleting(new):
            self._manager.add(self.queue, ObjectKey.of(new))

    def _cluster_changed(self, change: Change) -> None:
        document = change.new or change.old
        if document is not None:
            self._wake(lambda summary: summaries.cluster_of(summary) == ObjectKey.of(document))

    def _source_changed(self, change: Change) -> None:
        if change.old is not None and change.new is not None and _content(change.old) == _content(change.new):
            return
        document = change.new or change.old
        if document is None:
            return
        key = ObjectKey.of(document)

        def refers(summary: JsonObject) -> bool:
            cluster = self._manager.get(summaries.cluster_of(summary))
            return cluster is not None and key in mentioned(summary, cluster)

        self._wake(refers)

    def _wake(self, concerned: Any) -> None:
        for key, summary in self._manager.all(kinds.CLUSTER_SUMMARY).items():
            if concerned(summary):
                self._manager.add(self.queue, key)

    # Reconciliation -----------------------------------------------------------------------------------------------

    def reconcile(self, key: ObjectKey) -> float | None:
        """Reconcile a ClusterSummary. Returns the seconds until the next reconciliation, or None."""
        summary = self._manager.get(key)
        if summary is None:
            self._memory.forget(key)
            return None
        if clusters.deleting(summary):
            return self._delete(key, summary)
        until, spec = self._memory.cooldowns.get(key, (0.0, None))
        if self._manager.timeline.now < until and spec == summary["spec"]:
            return until - self._manager.timeline.now
        self._memory.cooldowns.pop(key, None)
        cluster = self._manager.get(summaries.cluster_of(summary))
        if cluster is None or not clusters.ready(cluster):
            return None
        finalizers = summary["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            self._manager.api.patch(key, {"metadata": {"finalizers": [*finalizers, FINALIZER]}})
        if clusters.is_paused(cluster) or not _due(summary):
            return None
        if not self._prerequisites_deployed(summary):
            return self._cool_down(key, summary, RETRY)
        waits = [self._feature(key, summary, feature, cluster) for feature in FEATURES]
        longest = max((wait for wait in waits if wait is not None), default=None)
        return None if longest is None else self._cool_down(key, summary, longest)

    def _cool_down(self, key: ObjectKey, summary: JsonObject, seconds: float) -> float:
        self._memory.cooldowns[key] = self._manager.timeline.now + seconds, summary["spec"]
        return seconds

    def _prerequisites_deployed(self, summary: JsonObject) -> bool:
        profile, cluster = summaries.profile_of(summary), summaries.cluster_of(summary)
        for name in summaries.spec_of(summary).get("dependsOn") or ():
            other = ObjectKey(profile.kind, profile.namespace, name)
            found = self._manager.get(summaries.key_for(other, cluster))
            if found is None or not _provisioned(found):
                return False
        return True

    def _feature(self, key: ObjectKey, summary: JsonObject, feature: str, cluster: JsonObject) -> float | None:
        """Deploy a feature if its fingerprint changed. Returns the seconds until its result is read, or None."""
        status = _feature_status(summary, feature)
        if not summaries.spec_of(summary).get(FEATURES[feature]) and status is None:
            return None
        task = key, feature
        self._memory.removals.pop(task, None)
        if self._memory.running.get(task) == "withdraw":
            return RETRY
        dry_run = summaries.spec_of(summary).get("syncMode") == "DryRun"
        current = fingerprint(self._manager, summary, feature, cluster)
        same = status is not None and status.get("hash") == current
        if same and not dry_run and status is not None and status["status"] in ("Provisioned", "FailedNonRetriable"):
            return None
        outcome = self._memory.outcomes.get(task)
        if same and outcome is not None and outcome.fingerprint == current:
            word = "Provisioning" if dry_run else outcome.status
            self._write_feature(key, feature, word, current, outcome.message)
            if dry_run:
                del self._memory.outcomes[task]
                return DRY_RUN_RETRY
            if outcome.status != "Failed":
                return None
            self._start(task, "deploy")
            return CONFLICT_RETRY
        self._write_feature(key, feature, "Provisioning", current, "")
        self._start(task, "deploy")
        return RETRY

    def _write_feature(self, key: ObjectKey, feature: str, word: str, value: str, message: str) -> None:
        new: JsonObject = {"featureID": feature, "status": word}
        if value:
            new["hash"] = value
        if message:
            new["failureMessage"] = message
        found = [
            feature_summary
            for feature_summary in _features(self._manager.api.get(key))
            if feature_summary["featureID"] != feature
        ]
        self._manager.api.patch_status(key, {"featureSummaries": [*found, new]})

    # Workers ------------------------------------------------------------------------------------------------------

    def _start(self, task: Task, what: str) -> None:
        """Start a worker for a task unless a worker has it. A later change waits for the next reconciliation."""
        summary = self._manager.get(task[0])
        if task not in self._memory.running and summary is not None:
            self._memory.running[task] = what
            lag = self._manager.lags.draw("deploy", task[1])
            self._manager.after(lag, lambda: self._run(task, what, summary))

    def _run(self, task: Task, what: str, summary: JsonObject) -> None:
        """Do the work of a worker, with the ClusterSummary as it was when the task was started."""
        del self._memory.running[task]
        cluster = self._manager.get(summaries.cluster_of(summary))
        if cluster is None:
            return
        if what == "withdraw":
            outcome = deployment.withdraw(self._manager, self._managed, summary, task[1], cluster)
            self._memory.removals[task] = outcome
        else:
            current = fingerprint(self._manager, summary, task[1], cluster)
            outcome = deployment.deploy(self._manager, self._managed, summary, task[1], cluster, current)
            self._memory.outcomes[task] = outcome

    # Deletion -----------------------------------------------------------------------------------------------------

    def _delete(self, key: ObjectKey, summary: JsonObject) -> float | None:
        """Withdraw the features, and check ten seconds later whether they are withdrawn."""
        now = self._manager.timeline.now
        if now < self._memory.deletions.get(key, now - RETRY) + RETRY:
            return RETRY
        self._memory.deletions[key] = now
        self._memory.cooldowns.pop(key, None)
        cluster = self._manager.get(summaries.cluster_of(summary))
        if cluster is not None and not clusters.ready(cluster):
            return RETRY
        if cluster is not None:
            if clusters.is_paused(cluster):
                del self._memory.deletions[key]
                return None
            if self._is_needed(summary) or not self._withdrawn(key, summary):
                return RETRY
        left = [finalizer for finalizer in summary["metadata"].get("finalizers") or () if finalizer != FINALIZER]
        with contextlib.suppress(NotFoundError):
            self._manager.api.patch(key, {"metadata": {"finalizers": left or None}})
        return None

    def _is_needed(self, summary: JsonObject) -> bool:
        """Whether another profile on the cluster still depends on the profile of a ClusterSummary."""
        profile, cluster = summaries.profile_of(summary), summaries.cluster_of(summary)
        others: Iterable[JsonObject] = self._manager.all(kinds.CLUSTER_SUMMARY).values()
        return any(
            summaries.cluster_of(other) == cluster and profile.name in (summaries.spec_of(other).get("dependsOn") or ())
            for other in others
            if ObjectKey.of(other) != ObjectKey.of(summary)
        )

    def _withdrawn(self, key: ObjectKey, summary: JsonObject) -> bool:
        done = True
        for feature in FEATURES:
            task = key, feature
            self._memory.outcomes.pop(task, None)
            if self._memory.running.get(task) == "deploy":
                done = False
                continue
            status = _feature_status(summary, feature)
            if status is not None and status["status"] == "Removed":
                continue
            removal = self._memory.removals.get(task)
            if removal is not None and removal.status == "Removed":
                self._write_feature(key, feature, "Removed", "", "")
                continue
            done = False
            self._write_feature(key, feature, "Removing", "", removal.message if removal else "")
            self._start(task, "withdraw")
        return done


def _due(summary: JsonObject) -> bool:
    """Whether a ClusterSummary is deployed. In the mode OneTime, a feature is deployed only once."""
    spec = summaries.spec_of(summary)
    if spec.get("syncMode") != "OneTime":
        return True
    return any(
        (_feature_status(summary, feature) or {}).get("status") != "Provisioned"
        for feature, part in FEATURES.items()
        if spec.get(part)
    )


def _provisioned(summary: JsonObject) -> bool:
    features = {entry["featureID"]: entry["status"] for entry in _features(summary)}
    spec = summaries.spec_of(summary)
    return all(status == "Provisioned" for status in features.values()) and all(
        feature in features for feature, part in FEATURES.items() if spec.get(part)
    )


def _features(summary: JsonObject) -> list[Any]:
    return list((summary.get("status") or {}).get("featureSummaries") or ())


def _feature_status(summary: JsonObject, feature: str) -> JsonObject | None:
    return next((entry for entry in _features(summary) if entry["featureID"] == feature), None)


def _content(document: JsonObject) -> list[Any]:
    return [document.get("data"), document.get("binaryData"), document["metadata"].get("annotations")]
