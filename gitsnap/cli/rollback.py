"""``gitsnap rollback``: plan, try on the server, ask, apply, report.

This module must not decide what is restored; ``gitsnap.plan`` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap import history
from gitsnap.cli import options, output
from gitsnap.cli.show import SampleName
from gitsnap.cli.wiring import ArchiveChoice, ClusterChoice, find_policy
from gitsnap.errors import AbortedError, AccessDeniedError, IncompleteError, RefusedError, RollbackFailedError
from gitsnap.model import Sample, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitsnap.archive import GitArchive
    from gitsnap.plan import Plan
    from gitsnap.ports import Cluster

_Names = list[str] | None


def rollback(
    sample: SampleName,
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    archive: options.ArchivePath = None,
    kubeconfig: options.Kubeconfig = "",
    context: options.Context = "",
    from_dir: options.FromDir = None,
    namespace: options.Namespaces = None,
    clusters: options.Clusters = None,
    clusterprofile: Annotated[_Names, typer.Option("--clusterprofile", metavar="NAME", help="ClusterProfile.")] = None,
    profile: Annotated[_Names, typer.Option("--profile", metavar="[NS/]NAME", help="Profile.")] = None,
    classifier: Annotated[_Names, typer.Option("--classifier", metavar="NAME", help="Classifier.")] = None,
    rolerequest: Annotated[_Names, typer.Option("--rolerequest", metavar="NAME", help="RoleRequest.")] = None,
    resource: Annotated[
        _Names, typer.Option("--resource", metavar="KIND[/NS]/NAME", help="Any object of the sample.")
    ] = None,
    with_references: Annotated[
        bool, typer.Option("--with-references", help="Also what the selected objects refer to.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and try, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    allow_withdraw: Annotated[
        bool, typer.Option("--allow-withdraw", help="Carry out a plan that takes add-ons from clusters.")
    ] = False,
    force_owned: Annotated[
        bool, typer.Option("--force-owned", help="Also write objects that another controller owns.")
    ] = False,
    skip_refused: Annotated[
        bool, typer.Option("--skip-refused", help="Leave out what is refused, and do the rest.")
    ] = False,
    identity: options.Identity = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Put objects back as a sample has them; all of them, or those that are named.

    A plan is shown and tried on the server first. Nothing outside the selection is touched, and nothing is deleted.

    Example: gitsnap rollback --snapshot hourly --sample 2023-08-26:05:00:00 --clusterprofile guestbook --dry-run
    """
    from gitsnap import keys
    from gitsnap import rollback as rolling
    from gitsnap.capture import check_cluster
    from gitsnap.plan import Options, Selection

    choice = ArchiveChoice(storage, snapshot, archive)
    opened = choice.open()
    chosen = history.find_sample(opened.samples(), sample)
    cluster = ClusterChoice(kubeconfig, context, from_dir).open()
    check_cluster(opened, cluster.info())
    selection = Selection(
        namespaces=tuple(namespace or ()),
        clusters=tuple(clusters or ()),
        clusterprofiles=tuple(clusterprofile or ()),
        profiles=tuple(profile or ()),
        classifiers=tuple(classifier or ()),
        rolerequests=tuple(rolerequest or ()),
        resources=tuple(resource or ()),
        with_references=with_references,
    )
    with _role_explained():
        plan = rolling.prepare(
            cluster,
            opened.tree(chosen),
            sample=chosen,
            selection=selection,
            options=Options(allow_withdraw=allow_withdraw, force_owned=force_owned, skip_refused=skip_refused),
            keeper=keys.for_reading(opened, chosen, identities=identity or []),
        )
    plan = rolling.try_on_server(cluster, plan)
    _show(plan, form)
    if plan.blocked:
        raise RefusedError("this plan must not be carried out as it is:\n  " + "\n  ".join(plan.blocked))
    if dry_run:
        return
    if not plan.writes:
        output.say("nothing to do: the cluster already has what was selected")
        return
    _confirm(plan, yes=yes)
    _apply(cluster, opened, plan, identities=identity or [])


@contextmanager
def _role_explained() -> Iterator[None]:
    """The controller's own role reads lists only: who rolls back in its pod needs another one."""
    try:
        yield
    except AccessDeniedError as error:
        hint = f"{error.hint} In the controller's pod, manifests/overlays/rollback gives the role for a rollback."
        raise AccessDeniedError(error.message, hint=hint) from error


def _show(plan: Plan, form: options.Output) -> None:
    from gitsnap.cli.plan_output import plan_document, plan_text

    if form is options.Output.TABLE:
        output.result(plan_text(plan, columns=output.columns()))
    else:
        output.structured(plan_document(plan), form)


def _confirm(plan: Plan, *, yes: bool) -> None:
    """Ask the person at the terminal. Raises RefusedError where there is none, AbortedError for a no."""
    if yes:
        return
    if not output.can_ask():
        raise RefusedError("nothing was changed: there is no terminal to ask at", hint="Give --yes to apply the plan.")
    count = len(plan.writes)
    noun = "object" if count == 1 else "objects"
    if not typer.confirm(f"Write {count} {noun} to {plan.cluster.context} ({plan.cluster.server})?", err=True):
        raise AbortedError("nothing was changed")


def _apply(cluster: Cluster, archive: GitArchive, plan: Plan, *, identities: list[Path]) -> None:
    from gitsnap import rollback as rolling
    from gitsnap.cli.plan_output import report_text

    take = _sampler(cluster, archive, identities, target=plan.sample)
    try:
        report = rolling.apply(cluster, plan, take_sample=take)
    except rolling.StoppedError as error:
        output.result(report_text(error.report))
        raise RollbackFailedError(error.message, hint=error.hint) from error
    output.result(report_text(report))


def _sampler(
    cluster: Cluster, archive: GitArchive, identities: list[Path], *, target: str
) -> Callable[[Trigger], Sample | None]:
    """Takes the samples before and after, under the archive's own policy; the first names the sample ``target``."""

    def take(trigger: Trigger) -> Sample | None:
        from gitsnap import capture as sampling
        from gitsnap import keys

        policy = find_policy(archive.policy, None, cluster)
        policy, keeper = keys.for_capture(archive, policy, identities=identities)
        info = sampling.tree_info(policy, branch=archive.branch, keeper=keeper)
        request = sampling.Request(info, keeper, datetime.now(UTC), trigger)
        if trigger is Trigger.BEFORE_ROLLBACK:
            goal = next((one.tag_id for one in archive.samples() if one.tag == target), None)
            request = replace(request, target=goal)
        taken = sampling.capture(cluster, archive, request)
        sample = taken.recorded.sample
        if sample.metadata.incomplete and trigger is Trigger.BEFORE_ROLLBACK:
            listed = ", ".join(str(one.kind) for one in sample.metadata.incomplete)
            raise IncompleteError(
                f"nothing was changed: the sample before the rollback lacks {listed}",
                hint="Without it the rollback could not be taken back. Mend what keeps these kinds from being read.",
            )
        return sample

    return take
