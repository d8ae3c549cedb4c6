"""Removes samples: the samples that no retention rule of a policy keeps, or single samples that a user names.

Retention runs only after the new sample has been recorded. The rules themselves are in ``gitsnap.policy.retention``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from gitsnap.core.errors import RefusedError
from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import Sample
from gitsnap.core.ports import Archive, ArchiveWriter
from gitsnap.policy.retention import Decision, Rules, decide, refusals


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


def check_forgettable(samples: Sequence[Sample], chosen: Collection[Sample], *, marked: Collection[str]) -> None:
    """Raise RefusedError if a chosen sample is protected. ``samples``: all samples; ``marked``: their marked tags."""
    protected = refusals(samples, marked=marked, chosen=chosen)
    refused = [f"{sample.tag}: {protected[sample.tag]}" for sample in chosen if sample.tag in protected]
    if refused:
        raise RefusedError(
            f"nothing was removed, because of protected samples: {'; '.join(refused)}",
            hint="`gitsnap keep --remove SAMPLE` removes a mark. `gitsnap undo` ends a rollback that was not finished.",
        )


def forget(
    writer: ArchiveWriter, chosen: Sequence[Sample], *, time: datetime, user: str = "", message: str = ""
) -> None:
    """Remove the samples that a user has chosen, all or none, and record the removal.

    ``time``: now. ``user``: the user of the operating system. ``message``: the reason. Raises RefusedError for a
    protected sample, StorageError, ConflictError.
    """
    check_forgettable(writer.samples(), chosen, marked=writer.marked())
    record = [ForgottenSample(sample.tag, sample.tag_id, time, user, message) for sample in chosen]
    writer.remove(chosen, forgotten=record)
