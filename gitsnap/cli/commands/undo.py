"""``gitsnap undo``: restore the objects that the last rollback changed.

This module must not decide what is restored; ``gitsnap.rollback`` and ``gitsnap.rollback.plan`` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import arguments, clock, completion, options, terminal
from gitsnap.cli.execution import ExecutionOptions, execute, role_explained, say_unfinished, try_plan
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.cli.rollback_options import UndoOptions
from gitsnap.cli.rollback_target import RollbackTarget
from gitsnap.cli.sample_choice import change_named, choose_sample, revert_hint
from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.history.samples import search_sample

if TYPE_CHECKING:
    from gitsnap.core.ports import Cluster
    from gitsnap.rollback import PastRollback, RecordedRequest
    from gitsnap.rollback.plan import Plan


_Of = Annotated[
    str,
    typer.Option(
        "--of",
        metavar="SAMPLE",
        help="Undo the rollback before which this sample was taken. Default: the last rollback.",
        autocompletion=completion.complete_sample,
    ),
]


def undo(
    *,
    words: arguments.RollbackToUndo = None,
    archive: ArchiveOptions,
    cluster: ClusterOptions,
    of: _Of = "",
    execution: ExecutionOptions,
    permitted: UndoOptions,
    identity: options.Identity = None,
    signing_key: options.SigningKey = None,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Undo the last rollback.

    Each object that the rollback changed is restored to its former state. No other object is changed.

    An undo is planned, tried and confirmed like a rollback, and can be undone itself. It also reverts a rollback that
    stopped half-way or was killed.

    Example: gitsnap undo --snapshot hourly --dry-run
    """
    from gitsnap import rollback
    from gitsnap.secrets import archive_keys

    of = arguments.parse(words or ()).sample("--of", of)
    target = RollbackTarget.open(archive, cluster, identity or [], signing_key=signing_key)
    past = rollback.rollback_to_undo(target.samples_of_cluster, _tag(target, of))
    say_unfinished(target)
    subject = f"the undo of {past.record.undoes}" if past.record.undoes else f"the rollback to {past.record.goal}"
    terminal.say(f"undoing {subject}, made on {past.before.metadata.time:%Y-%m-%d %H:%M:%S} UTC")
    restored = rollback.sample_with_created(target.archive.samples(), past, target.find_state)

    def make_plan(cluster: Cluster) -> Plan:
        with role_explained():
            return rollback.prepare_undo(
                cluster,
                past,
                target.archive.tree(past.before),
                target=target.archive.tree(restored) if restored is not None else None,
                options=execution.with_wait(permitted.plan_options()),
                keeper=archive_keys.for_reading(
                    target.archive, past.before, identities=target.identities, cluster=cluster
                ),
            )

    plan = try_plan(target, make_plan(target.cluster))
    recorded = _recorded_request(past, permitted, atomic=execution.atomic)
    execute(target, plan, recorded, execution, form, plan_again=lambda: make_plan(target.reconnected().cluster))


def _recorded_request(past: PastRollback, permitted: UndoOptions, *, atomic: bool) -> RecordedRequest:
    """Return the request as the samples before and after record it."""
    from gitsnap.rollback import RecordedRequest

    flags = (
        ("--allow-withdraw", permitted.allow_withdraw),
        ("--allow-withdraw-resources", permitted.allow_less),
        ("--force-owned", permitted.force_owned),
        ("--skip-refused", permitted.skip_refused),
        ("--atomic", atomic),
    )
    words = ["undo", "--of", past.before.tag, *(flag for flag, is_set in flags if is_set)]
    return RecordedRequest(command=" ".join(words), undoes=past.before.tag)


def _tag(target: RollbackTarget, name: str) -> str:
    """Return the tag of the sample that is named ``name``, or the name itself if no sample has it.

    ``@2h`` is the newest sample at that time among the samples before rollbacks. Raises NotFoundError if none is older,
    and UsageError for a change.
    """
    from gitsnap import rollback

    if not name:
        return ""
    try:
        match = search_sample(target.archive.samples(), name, now=clock.now())
        if match.moment is None:
            return match.sample.tag
        before = [past.before for past in rollback.past_rollbacks(target.samples_of_cluster)]
        return choose_sample(before, name, noun="sample before a rollback").tag if before else name
    except NotFoundError:
        if name.startswith("@"):
            raise
        _refuse_change(target, name)
        return name


def _refuse_change(target: RollbackTarget, name: str) -> None:
    """Raise UsageError if a name is that of a change, and name the rollback to this change, if there is one."""
    from gitsnap import rollback

    change = change_named(target.archive, name)
    if change is None:
        return
    past = [past for past in rollback.past_rollbacks(target.samples_of_cluster) if past.record.target == change.commit]
    hint = revert_hint(target.archive, change)
    if past:
        hint = f"`gitsnap undo --of {past[-1].before.moment}` undoes the last rollback to this change. {hint}"
    raise UsageError(f"--of {name} is a change between samples, and not the sample before a rollback", hint=hint)
