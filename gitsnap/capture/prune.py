"""Retention carried out: the rules decide over an archive's samples, and the archive removes what they give up.

To be called once the new sample is safe, never before. This module must not know what the rules are.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from gitsnap.core.ports import Archive, ArchiveWriter
from gitsnap.policy.retention import Decision, Rules, decide


def plan(archive: Archive, rules: Rules, *, now: datetime | None = None) -> tuple[Decision, ...]:
    """What ``prune`` would do now, sample by sample, oldest first. Takes no lock and changes nothing."""
    return decide(archive.samples(), rules, marked=archive.marked(), now=now)


def prune(
    writer: ArchiveWriter, rules: Rules, *, only: Collection[str] | None = None, now: datetime | None = None
) -> tuple[Decision, ...]:
    """Remove what no rule keeps, all of it or nothing; the decisions that were carried out, oldest first.

    ``only``: tags that may be removed, because somebody has seen and confirmed them; None for all.
    ``now``: see ``gitsnap.policy.retention.decide``.
    Raises StorageError, ConflictError.
    """
    decisions = tuple(
        one
        if one.keep or only is None or one.sample.tag in only
        else Decision(one.sample, keep=True, reasons=("not confirmed",))
        for one in decide(writer.samples(), rules, marked=writer.marked(), now=now)
    )
    writer.remove([one.sample for one in decisions if not one.keep])
    return decisions
