"""Describes the purpose of a sample that a rollback took: the rollback, its user and its result."""

from __future__ import annotations

from gitsnap.core.model import Sample, Trigger
from gitsnap.format import parse_record


def purpose(sample: Sample) -> str:
    """``before the rollback to hourly/2023-08-26T05-00-00Z by alice``; ``""`` for any other sample."""
    record = parse_record(sample.metadata.extra)
    if record is None or sample.metadata.trigger not in (Trigger.BEFORE_ROLLBACK, Trigger.AFTER_ROLLBACK):
        return ""
    when = "before" if sample.metadata.trigger is Trigger.BEFORE_ROLLBACK else "after"
    action = f"the undo of {record.undoes}" if record.undoes else f"the rollback to {record.goal}"
    users = " as ".join(filter(None, (record.user, record.cluster_user)))
    by = f" by {users}" if users else ""
    result = f": {record.result}" if record.result and record.result != "done" else ""
    return f"{when} {action}{by}{result}"
