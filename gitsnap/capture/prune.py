"""Removes the samples that the retention rules of a policy do not keep.

Retention runs only after the new sample has been recorded. The rules themselves are in ``gitsnap.policy.retention``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from gitsnap.core.ports import Archive, ArchiveWriter
from gitsnap.policy.retention import Decision, Rules, decide


def plan(archive: Archive, rules: Rules, *, now: datetime | None = None) -> tuple[Decision, ...]:
    """The decisions that ``prune`` would make now, oldest sample first. Takes no lock and changes nothing."""
    return decide(archive.samples(), rules, marked=archive.marked(), now=now)


def prune(
    writer: ArchiveWriter, rules: Rules, *, only: Collection[str] | None = None, now: datetime | None = None
) -> tuple[Decision, ...]:
    """Remove the samples that no rule keeps, all of them or none; returns the decisions, oldest sample first.

    ``only``: tags that may be removed, because the user has confirmed them; None for all.
    ``now``: see ``gitsnap.policy.retention.decide``.
    Raises StorageError, ConflictError.
    """
    decisions = tuple(
        decision
        if decision.keep or only is None or decision.sample.tag in only
        else Decision(decision.sample, keep=True, reasons=("not confirmed",))
        for decision in decide(writer.samples(), rules, marked=writer.marked(), now=now)
    )
    writer.remove([decision.sample for decision in decisions if not decision.keep])
    return decisions
