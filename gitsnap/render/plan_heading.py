"""The heading of a plan: the cluster, and the sample with its date, age and purpose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitsnap.core.model import Trigger
from gitsnap.core.ports import ClusterInfo
from gitsnap.core.states import ChangeState
from gitsnap.core.text import age

if TYPE_CHECKING:
    from gitsnap.rollback import SampleOrigin

_TRIGGERS = {
    Trigger.SCHEDULE: "taken on schedule",
    Trigger.MANUAL: "taken by hand",
    Trigger.BEFORE_ROLLBACK: "taken before a rollback",
    Trigger.AFTER_ROLLBACK: "taken after a rollback",
}


def heading_lines(cluster: ClusterInfo, origin: SampleOrigin, *, now: datetime, user: str, undo: bool) -> list[str]:
    """The lines about the cluster and the sample.

    ``user`` is the user of the operating system. ``undo``: whether the plan is an undo, which needs no advice to undo.
    """
    sample = origin.sample
    time = sample.time.astimezone(UTC)
    if isinstance(sample, ChangeState):
        made = f"{time:%Y-%m-%d %H:%M:%S} UTC, {age(now - time)}, by {sample.author}"
        place = f"after sample {sample.after.tag}" if sample.after else "before the first sample"
        return [cluster_line(cluster), f"change:  {sample.moment}", f"         {made}", f"         {place}"]
    lines = [
        cluster_line(cluster),
        f"sample:  {sample.tag}",
        f"         {time:%Y-%m-%d %H:%M:%S} UTC, {age(now - time)}, {_TRIGGERS[sample.metadata.trigger]}",
    ]
    return [*lines, *(f"         {sentence}" for sentence in origin_sentences(origin, now=now, user=user, undo=undo))]


def cluster_line(cluster: ClusterInfo) -> str:
    """``cluster: https://10.0.0.1:6443 (context production, id 6f1c…)``, or ``(folder, id 6f1c…)``."""
    kind = "folder" if cluster.is_folder else f"context {cluster.context}"
    return f"cluster: {cluster.server} ({kind}, id {cluster.uid})"


def origin_sentences(origin: SampleOrigin, *, now: datetime, user: str, undo: bool = False) -> list[str]:
    """The sentences about the rollback that a sample was taken before or after; none for any other sample."""
    rollback = origin.rollback
    if rollback is None:
        return []
    record = rollback.record
    action = "undo" if record.undoes else "rollback"
    whose = f"your {action}" if user and record.user == user else f"the {action}"
    by = f" by {record.user}" if record.user and record.user != user else ""
    time, today = rollback.before.time.astimezone(UTC), now.astimezone(UTC).date()
    moment = f"{time:%H:%M}" if time.date() == today else f"{time:%Y-%m-%d %H:%M}"
    goal = "" if record.undoes else f" to {record.goal}"
    end = "" if rollback.finished else ", which was not finished"
    state = "before" if origin.before else "after"
    sentences = [f"This sample is the state {state} {whose} of {moment} UTC{by}{goal}{end}."]
    if origin.before and not undo:
        command = "gitsnap undo" if origin.undo_returns else f"gitsnap undo --of {origin.sample.tag}"
        sentences.append(f"`{command}` goes back to it.")
    return sentences
