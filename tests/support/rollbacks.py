"""Rollbacks and undos in the process of the test, with a cluster, an archive and keys as on the command line.

This module must not be imported by the package.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gitsnap import archive, rollback
from gitsnap import capture as sampling
from gitsnap.archive import GitArchive
from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import Area, JsonObject, ObjectKey, Sample, SecretsMode, Trigger
from gitsnap.core.ports import Cluster
from gitsnap.format import RollbackRecord, path_of, record_lines
from gitsnap.policy.snapshot import default
from gitsnap.rollback import ReadinessWaiter, RecordedRequest, Report, WaitOptions
from gitsnap.rollback.plan import Options, Plan, Selection
from gitsnap.secrets import age
from gitsnap.secrets.age import Keeper


@dataclass
class Story:
    """A cluster and its archive."""

    folder: Path
    cluster: Cluster
    mode: SecretsMode = SecretsMode.ENCRYPT
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    """The time of the newest sample. All objects of a real server are younger."""
    keys: Path | None = None
    """The folder of the archive's keys, None for the default next to the archive."""
    patience: Callable[[float], WaitOptions] | None = None
    """Seconds -> how a rollback waits for Sveltos. None to rollback without waiting."""

    def __post_init__(self) -> None:
        self.archive: GitArchive = archive.create_archive(self.folder, "hourly")
        keys = self.keys or self.folder / ".keys" / "hourly"
        self.keeper: Keeper | None = age.open_keeper(keys, mode=self.mode, create=True)

    def capture(
        self,
        trigger: Trigger = Trigger.MANUAL,
        record: RollbackRecord | None = None,
        also: Collection[ObjectKey] = (),
    ) -> Sample:
        """Take a sample, a second after the previous sample."""
        self.time += timedelta(seconds=1)
        policy = replace(default("hourly"), secrets_mode=self.mode, secrets_set=True)
        info = sampling.tree_info(policy, branch=self.archive.branch, keeper=self.keeper)
        lines = record_lines(record) if record else ()
        request = sampling.Request(info, self.keeper, self.time, trigger, also=frozenset(also), extra=lines)
        taken = sampling.capture(self.cluster, self.archive, request)
        return taken.recorded.sample

    def configuration(self, sample: Sample) -> dict[str, str]:
        """Path -> content id of each object of a sample."""
        return dict(self.archive.tree(sample).files(Area.CONFIGURATION))

    def holds(self, sample: Sample, key: ObjectKey) -> bool:
        """Whether a sample has an object."""
        return path_of(key) in self.archive.tree(sample).files(Area.CONFIGURATION)

    def plan(self, sample: Sample, selection: Selection | None = None, **options: Any) -> Plan:
        """The plan of a rollback, with a dry run on the server."""
        plan = rollback.prepare(
            self.cluster,
            self.archive.tree(sample),
            sample=sample,
            selection=selection or Selection(),
            options=Options(**options),
            keeper=self.keeper,
        )
        return rollback.try_on_server(self.cluster, plan)

    def plan_undo(self, of: str = "", **options: Any) -> Plan:
        """The plan of an undo of the last rollback, with a dry run on the server."""
        samples = self.archive.samples()
        past = rollback.rollback_to_undo(samples, of)
        target = next((sample for sample in samples if sample.tag == past.record.target), None)
        plan = rollback.prepare_undo(
            self.cluster,
            past,
            self.archive.tree(past.before),
            target=self.archive.tree(target) if target else None,
            options=Options(**options),
            keeper=self.keeper,
        )
        return rollback.try_on_server(self.cluster, plan)

    def apply(self, plan: Plan, *, atomic: bool = False, undoes: str = "") -> Report:
        """Apply a plan, with the samples before and after."""
        request = RecordedRequest(command="rollback --sample x", user="tester", undoes=undoes)
        waiter = ReadinessWaiter(self.cluster, self.patience(plan.options.wait)) if self.patience is not None else None
        return rollback.apply(
            self.cluster,
            plan,
            take_sample=self.capture,
            request=request,
            atomic=atomic,
            unfinished=rollback.unfinished(self.archive.samples()),
            waiter=waiter,
        )

    def roll_back(self, sample: Sample, selection: Selection | None = None, **options: Any) -> Report:
        """Plan, dry-run and carry out a rollback."""
        return self.apply(self.plan(sample, selection, **options))

    def undo(self, **options: Any) -> Report:
        """Undo the last rollback."""
        plan = self.plan_undo(**options)
        return self.apply(plan, undoes=plan.sample)


def put(cluster: Cluster, document: JsonObject) -> JsonObject:
    """Create or replace an object. Metadata that controllers wrote is kept."""
    try:
        live = cluster.get(ObjectKey.of(document))
    except NotFoundError:
        return cluster.create(document)
    kept = {name: live["metadata"][name] for name in ("uid", "resourceVersion")}
    return cluster.update({**document, "metadata": {**document["metadata"], **kept}})


def delete(cluster: Cluster, document: JsonObject) -> None:
    """Delete an object."""
    key = ObjectKey.of(document)
    cluster.delete(key, uid=cluster.get(key)["metadata"]["uid"])
