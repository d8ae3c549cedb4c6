"""``gitsnap rollback``: plan, try on the server, ask, apply, report.

This module must not decide what is restored; ``gitsnap.plan`` does.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap import history
from gitsnap.cli import completing, options
from gitsnap.cli.place import Elsewhere, Place
from gitsnap.cli.plan_files import agreed, load_plan, save_plan
from gitsnap.cli.rolling import Manner, carry_out, role_explained, say_unfinished
from gitsnap.cli.show import SAMPLE_HELP
from gitsnap.cli.wiring import ArchiveChoice, ClusterChoice
from gitsnap.errors import UsageError
from gitsnap.model import Sample

if TYPE_CHECKING:
    from gitsnap.plan import Options, Plan, PlanFile, Selection


def rollback(
    sample: Annotated[
        str, typer.Option("--sample", metavar="SAMPLE", help=SAMPLE_HELP, autocompletion=completing.samples)
    ] = "",
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    archive: options.ArchivePath = "",
    kubeconfig: options.Kubeconfig = "",
    context: options.Context = "",
    from_dir: options.FromDir = None,
    namespace: options.Namespaces = None,
    clusters: options.Clusters = None,
    clusterprofile: options.ClusterProfiles = None,
    profile: options.Profiles = None,
    classifier: options.Classifiers = None,
    rolerequest: options.RoleRequests = None,
    resource: options.Resources = None,
    excepted: options.Excepted = None,
    selector: options.Selector = "",
    with_references: options.WithReferences = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    atomic: options.Atomic = False,
    allow_withdraw: options.AllowWithdraw = False,
    force_owned: options.ForceOwned = False,
    skip_refused: options.SkipRefused = False,
    recreate: options.Recreate = False,
    create_namespaces: options.CreateNamespaces = False,
    prune: options.Prune = False,
    max_delete: options.MaxDelete = options.MAX_DELETE,
    plan_out: options.PlanOut = None,
    plan_from: options.PlanFrom = None,
    into_cluster: options.IntoCluster = "",
    record: options.Record = None,
    signing_key: options.SigningKey = None,
    identity: options.Identity = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Put objects back as a sample has them: all, or those named.

    A plan is shown and tried on the server first. Nothing outside the selection is touched, and nothing is deleted
    without --prune. `gitsnap undo` takes it back.

    Example: gitsnap rollback --snapshot hourly --sample 2023-08-26:05:00:00 --clusterprofile guestbook --dry-run
    """
    from gitsnap.plan import Options, Selection

    selection = Selection(
        namespaces=tuple(namespace or ()),
        clusters=tuple(clusters or ()),
        clusterprofiles=tuple(clusterprofile or ()),
        profiles=tuple(profile or ()),
        classifiers=tuple(classifier or ()),
        rolerequests=tuple(rolerequest or ()),
        resources=tuple(resource or ()),
        excepted=tuple(excepted or ()),
        labels=selector,
        with_references=with_references,
    )
    allowed = Options(
        allow_withdraw=allow_withdraw,
        force_owned=force_owned,
        skip_refused=skip_refused,
        recreate=recreate,
        create_namespaces=create_namespaces,
        prune=prune,
        max_delete=max_delete,
    )
    file = load_plan(plan_from) if plan_from is not None else None
    if file is not None:
        if sample or selection != Selection() or allowed != Options():
            raise UsageError("--plan says which sample, which objects and what is allowed: leave these options out")
        sample, selection, allowed = file.sample, file.selection, file.options
    place = Place.open(
        ArchiveChoice(storage, snapshot, archive),
        ClusterChoice(kubeconfig, context, from_dir),
        identity or [],
        signing_key=signing_key,
        elsewhere=Elsewhere(into_cluster, record),
    )
    chosen = _sample(place, sample)
    manner = Manner(dry_run=dry_run or plan_out is not None, yes=yes, atomic=atomic, form=form)
    _check_clusters(place, chosen, allowed, manner)
    plan = _carry_out(place, chosen, selection, allowed, manner, file)
    if plan_out is not None:
        save_plan(plan_out, plan, selection, chosen)


def _check_clusters(place: Place, sample: Sample, allowed: Options, manner: Manner) -> None:
    """Raises WrongClusterError or UsageError for a sample of another cluster, where that is not what was asked for."""
    place.check_sample(sample)
    if sample.metadata.cluster != place.uid and allowed.prune:
        raise UsageError(
            f"--prune: {sample.tag} is a sample of another cluster, and what it lacks may well belong to this one"
        )
    if not manner.dry_run:
        place.check_record()


def _carry_out(
    place: Place, sample: Sample, selection: Selection, allowed: Options, manner: Manner, file: PlanFile | None
) -> Plan:
    """Plan, try, and do what ``manner`` says; with a plan file only if the plan is still the one of the file."""
    from gitsnap import keys
    from gitsnap import rollback as rolling

    say_unfinished(place)
    with role_explained():
        plan = rolling.prepare(
            place.cluster,
            place.archive.tree(sample),
            sample=sample,
            selection=selection,
            options=allowed,
            keeper=keys.for_reading(place.archive, sample, identities=place.identities),
        )
    plan = rolling.try_on_server(place.cluster, plan)
    if file is not None:
        agreed(file, plan, sample)
    words = _command(sample.tag, selection, allowed, atomic=manner.atomic)
    origin = sample.metadata.cluster if sample.metadata.cluster != place.uid else ""
    if place.elsewhere.cluster:
        words += ["--into-cluster", place.uid]
    asked = rolling.Asked(command=shlex.join(words), origin=origin)
    carry_out(place, plan, asked, manner)
    return plan


def _sample(place: Place, name: str) -> Sample:
    if not name:
        raise UsageError("--sample is needed: which sample to roll back to", hint="`gitsnap list` shows them.")
    return history.find_sample(place.archive.samples(), name)


def _command(tag: str, selection: Selection, allowed: Options, *, atomic: bool) -> list[str]:
    """The arguments that ask for the same again, wherever the archive and the cluster are."""
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
        ("--allow-withdraw", allowed.allow_withdraw),
        ("--force-owned", allowed.force_owned),
        ("--skip-refused", allowed.skip_refused),
        ("--recreate", allowed.recreate),
        ("--create-namespaces", allowed.create_namespaces),
        ("--prune", allowed.prune),
    )
    words = ["rollback", "--sample", tag]
    words += [word for flag, names in named for name in names for word in (flag, name)]
    words += [flag for flag, given in switches if given]
    if allowed.prune and allowed.max_delete != options.MAX_DELETE:
        words += ["--max-delete", str(allowed.max_delete)]
    return words
