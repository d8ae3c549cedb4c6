"""``gitsnap rollback``: plan, try on the server, ask, apply, report.

This module must not decide what is restored; ``gitsnap.rollback.plan`` does.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from gitsnap.cli import options
from gitsnap.cli.execution import Manner, carry_out, role_explained, say_unfinished
from gitsnap.cli.plan_files import PlanFiles, agreed, load_plan, planned_sample, save_plan
from gitsnap.cli.resolve import ArchiveChoice, ClusterChoice
from gitsnap.cli.rollback_options import AllowedToRollBack, Requested, Selected
from gitsnap.cli.rollback_target import Elsewhere, Place
from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import Sample
from gitsnap.history import samples

if TYPE_CHECKING:
    from gitsnap.rollback import Asked
    from gitsnap.rollback.plan import Options, Plan, Selection


def rollback(
    *,
    sample: options.Sample = "",
    archive: ArchiveChoice,
    cluster: ClusterChoice,
    selected: Selected,
    manner: Manner,
    allowed: AllowedToRollBack,
    files: PlanFiles,
    elsewhere: Elsewhere,
    signing_key: options.SigningKey = None,
    identity: options.Identity = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Put objects back as a sample has them: all, or those named.

    A plan is shown and tried on the server first. Nothing outside the selection is touched, and nothing is deleted
    without --prune. `gitsnap undo` reverts the rollback.

    Example: gitsnap rollback --snapshot hourly --sample 2023-08-26:05:00:00 --clusterprofile guestbook --dry-run
    """
    requested = Requested(sample, selected.selection(), allowed.options())
    file = load_plan(files.given) if files.given is not None else None
    if file is not None:
        if not requested.nothing:
            raise UsageError("--plan says which sample, which objects and what is allowed: leave these options out")
        requested = Requested(file.sample, file.selection, file.options)
    requested = replace(requested, allowed=manner.limited(requested.allowed))
    place = Place.open(archive, cluster, identity or [], signing_key=signing_key, elsewhere=elsewhere)
    manner = replace(manner, dry_run=manner.dry_run or files.out is not None)
    chosen = planned_sample(file, place) if file is not None else _sample(place, requested.sample)
    _check_clusters(place, chosen, requested.allowed, manner)
    plan = _planned(place, chosen, requested)
    if file is not None:
        agreed(file, plan)
    else:
        _check_not_empty(plan, requested.selection)
    carry_out(place, plan, _asked(place, chosen, requested, atomic=manner.atomic), manner, form)
    if files.out is not None:
        save_plan(files.out, plan, requested.selection, chosen, place)


def _check_clusters(place: Place, sample: Sample, allowed: Options, manner: Manner) -> None:
    """Raises WrongClusterError or UsageError for a sample of another cluster, where that is not what was asked for."""
    place.check_sample(sample)
    if sample.metadata.cluster != place.uid and allowed.prune:
        raise UsageError(
            f"--prune: {sample.tag} is a sample of another cluster, and what it lacks may well belong to this one"
        )
    if not manner.dry_run:
        place.check_record()


def _planned(place: Place, sample: Sample, requested: Requested) -> Plan:
    """The plan, tried on the server."""
    from gitsnap import rollback as rolling
    from gitsnap.secrets import archive_keys

    say_unfinished(place)
    with role_explained():
        plan = rolling.prepare(
            place.cluster,
            place.archive.tree(sample),
            sample=sample,
            selection=requested.selection,
            options=requested.allowed,
            keeper=archive_keys.for_reading(place.archive, sample, identities=place.identities),
        )
    return rolling.try_on_server(place.cluster, plan)


def _check_not_empty(plan: Plan, selection: Selection) -> None:
    """Raises NotFoundError where labels or exceptions leave nothing: a mistake, like a name that fits nothing."""
    if plan.steps or plan.stays:
        return
    narrowing = [f"--selector {selection.labels}"] if selection.labels else []
    narrowing += [f"--except {name}" for name in selection.excepted]
    if narrowing:
        leave = "leaves" if len(narrowing) == 1 else "leave"
        raise NotFoundError(
            f"{', '.join(narrowing)} {leave} nothing of what was selected",
            hint=f"Nothing was changed. `gitsnap show --sample {plan.sample} --all` has the objects and their labels.",
        )


def _asked(place: Place, sample: Sample, requested: Requested, *, atomic: bool) -> Asked:
    """What the samples before and after say of the request."""
    from gitsnap.rollback import Asked

    words = _command(sample.tag, requested.selection, requested.allowed, atomic=atomic)
    if place.elsewhere.cluster:
        words += ["--into-cluster", place.uid]
    origin = sample.metadata.cluster if sample.metadata.cluster != place.uid else ""
    return Asked(command=shlex.join(words), origin=origin)


def _sample(place: Place, name: str) -> Sample:
    if not name:
        raise UsageError("--sample is needed: which sample to roll back to", hint="`gitsnap list` shows them.")
    return samples.find_sample(place.archive.samples(), name)


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
        ("--allow-withdraw-resources", allowed.allow_less),
        ("--force-owned", allowed.force_owned),
        ("--skip-refused", allowed.skip_refused),
        ("--recreate", allowed.recreate),
        ("--create-namespaces", allowed.create_namespaces),
        ("--prune", allowed.prune),
    )
    words = ["rollback", "--sample", tag]
    words += [word for flag, names in named for name in names for word in (flag, name)]
    words += [flag for flag, given in switches if given]
    if allowed.wait != options.WAIT:
        words += ["--wait", str(allowed.wait)]
    if allowed.prune and allowed.max_delete != options.MAX_DELETE:
        words += ["--max-delete", str(allowed.max_delete)]
    return words
