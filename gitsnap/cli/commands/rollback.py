"""``gitsnap rollback``: plan, try on the server, ask, apply, report.

This module must not decide what is restored; ``gitsnap.rollback.plan`` does.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.execution import ExecutionOptions, execute, role_explained, say_unfinished, try_plan
from gitsnap.cli.plan_files import PlanFileOptions, check_plan_holds, find_planned_sample, load_plan, save_plan
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.cli.restored_sample import find_sample_to_restore
from gitsnap.cli.rollback_options import RollbackOptions, RollbackRequest, SelectionOptions
from gitsnap.cli.rollback_target import CrossClusterOptions, RollbackTarget
from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.states import State, cluster_of
from gitsnap.core.text import verb_form

if TYPE_CHECKING:
    from gitsnap.rollback import RecordedRequest
    from gitsnap.rollback.plan import Options, Plan, Selection


def rollback(
    *,
    words: arguments.SampleToRestore = None,
    sample: options.Sample = "",
    archive: ArchiveOptions,
    cluster: ClusterOptions,
    selected: SelectionOptions,
    execution: ExecutionOptions,
    permitted: RollbackOptions,
    files: PlanFileOptions,
    cross_cluster: CrossClusterOptions,
    signing_key: options.SigningKey = None,
    identity: options.Identity = None,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Restore all objects of a sample, or selected objects.

    First the plan is shown and tried on the API server. Objects outside the selection are not changed, and no object is
    deleted without --prune. `gitsnap undo` reverts the rollback.

    Example: gitsnap rollback latest~1 ClusterProfile/guestbook --dry-run

    Example: gitsnap rollback --snapshot hourly --sample 2023-08-26:05:00:00 --clusterprofile guestbook --dry-run
    """
    named = arguments.parse(words or (), objects=True)
    sample, selection = named.sample("--sample", sample), selected.selection(named.objects)
    request = RollbackRequest(sample, selection, permitted.plan_options())
    file = load_plan(files.plan) if files.plan is not None else None
    if file is not None:
        if not request.is_empty:
            raise UsageError("--plan has the sample, the selection and the permissions: omit the options for them")
        request = RollbackRequest(file.sample, file.selection, file.options)
    request = replace(request, options=execution.with_wait(request.options))
    target = RollbackTarget.open(archive, cluster, identity or [], signing_key=signing_key, cross_cluster=cross_cluster)
    execution = replace(execution, dry_run=execution.dry_run or files.plan_out is not None)
    say_unfinished(target)
    if file is not None:
        chosen = find_planned_sample(file, target)
    else:
        chosen = find_sample_to_restore(
            target.archive,
            request.sample,
            dry_run=execution.dry_run,
            picks=not execution.yes,
            command=target.command,
        )
    _check_clusters(target, chosen, request.options, execution)
    plan = try_plan(target, _plan(target, chosen, request))
    if file is not None:
        check_plan_holds(file, plan)
    else:
        _check_not_empty(plan, request.selection)
    recorded = _recorded_request(target, chosen, request, atomic=execution.atomic)
    execute(target, plan, recorded, execution, form, plan_again=lambda: _plan(target.reconnected(), chosen, request))
    if files.plan_out is not None:
        save_plan(files.plan_out, plan, request.selection, chosen, target)


def _check_clusters(target: RollbackTarget, state: State, permitted: Options, execution: ExecutionOptions) -> None:
    """Raise WrongClusterError or UsageError for a sample of another cluster that must not be restored here."""
    target.check_sample(state)
    if cluster_of(state) != target.uid and permitted.prune:
        raise UsageError(
            f"--prune: {state.tag} is a sample of another cluster; objects that it lacks may belong to this cluster"
        )
    if not execution.dry_run:
        target.check_record()
        target.confirm_record()


def _plan(target: RollbackTarget, sample: State, request: RollbackRequest) -> Plan:
    from gitsnap.rollback import prepare
    from gitsnap.secrets import archive_keys

    with role_explained():
        return prepare(
            target.cluster,
            target.archive.tree(sample),
            sample=sample,
            selection=request.selection,
            options=request.options,
            keeper=archive_keys.for_reading(
                target.archive, sample, identities=target.identities, cluster=target.cluster
            ),
        )


def _check_not_empty(plan: Plan, selection: Selection) -> None:
    """Raise NotFoundError if --selector and --except leave no object: a mistake, like a name that does not exist."""
    if plan.steps or plan.retained:
        return
    narrowing = [f"--selector {selection.labels}"] if selection.labels else []
    narrowing += [f"--except {name}" for name in selection.excepted]
    if narrowing:
        raise NotFoundError(
            f"{', '.join(narrowing)} {verb_form(len(narrowing), 'leaves')} no object of the selection",
            hint=f"Nothing was changed. `gitsnap show --sample {plan.sample} --all` shows objects and their labels.",
        )


def _recorded_request(
    target: RollbackTarget, state: State, request: RollbackRequest, *, atomic: bool
) -> RecordedRequest:
    """Return the request as the samples before and after record it."""
    from gitsnap.rollback import RecordedRequest

    words = _command(state.tag, request.selection, request.options, atomic=atomic)
    if target.cross_cluster.cluster:
        words += ["--into-cluster", target.uid]
    cluster = cluster_of(state)
    origin = cluster if cluster != target.uid else ""
    return RecordedRequest(command=shlex.join(words), origin=origin)


def _command(tag: str, selection: Selection, permitted: Options, *, atomic: bool) -> list[str]:
    """Return the arguments that request the same rollback again, without the options of archive and cluster."""
    named = (
        ("--namespace", selection.namespaces),
        ("--cluster", selection.clusters),
        ("--clusterprofile", selection.clusterprofiles),
        ("--profile", selection.profiles),
        ("--classifier", selection.classifiers),
        ("--rolerequest", selection.rolerequests),
        ("--resource", selection.resources),
        ("--except", selection.excepted),
        ("--selector", (selection.labels,) if selection.labels else ()),
    )
    switches = (
        ("--with-references", selection.with_references),
        ("--atomic", atomic),
        ("--allow-withdraw", permitted.allow_withdraw),
        ("--allow-withdraw-resources", permitted.allow_less),
        ("--force-owned", permitted.force_owned),
        ("--skip-refused", permitted.skip_refused),
        ("--recreate", permitted.recreate),
        ("--create-namespaces", permitted.create_namespaces),
        ("--prune", permitted.prune),
    )
    words = ["rollback", "--sample", tag]
    words += [word for flag, names in named for name in names for word in (flag, name)]
    words += [flag for flag, is_set in switches if is_set]
    if permitted.wait != options.WAIT:
        words += ["--wait", str(permitted.wait)]
    if permitted.prune and permitted.max_delete != options.MAX_DELETE:
        words += ["--max-delete", str(permitted.max_delete)]
    return words
