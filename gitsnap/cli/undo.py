"""``gitsnap undo``: take the last rollback back, for the objects that it changed.

This module must not decide what is restored; ``gitsnap.rollback`` and ``gitsnap.plan`` do.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gitsnap.cli import completing, options, output
from gitsnap.cli.place import Place
from gitsnap.cli.rolling import Manner, carry_out, role_explained, say_unfinished
from gitsnap.cli.wiring import ArchiveChoice, ClusterChoice


def undo(
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    archive: options.ArchivePath = "",
    kubeconfig: options.Kubeconfig = "",
    context: options.Context = "",
    from_dir: options.FromDir = None,
    of: Annotated[
        str,
        typer.Option(
            "--of",
            metavar="SAMPLE",
            help="Undo the rollback that this sample was taken before.",
            autocompletion=completing.samples,
        ),
    ] = "",
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    atomic: options.Atomic = False,
    allow_withdraw: options.AllowWithdraw = False,
    force_owned: options.ForceOwned = False,
    skip_refused: options.SkipRefused = False,
    identity: options.Identity = None,
    signing_key: options.SigningKey = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Take the last rollback back.

    Each object that it changed becomes what it was before, no other is touched.

    It is planned, tried and asked for like a rollback, and can be undone itself. After a rollback that stopped half-way
    or was killed it takes back what had been written.

    Example: gitsnap undo --snapshot hourly --dry-run
    """
    from gitsnap import keys
    from gitsnap import rollback as rolling
    from gitsnap.plan import Options

    place = Place.open(
        ArchiveChoice(storage, snapshot, archive),
        ClusterChoice(kubeconfig, context, from_dir),
        identity or [],
        signing_key=signing_key,
    )
    past = rolling.rollback_to_undo(place.rollbacks, of)
    say_unfinished(place)
    what = f"the undo of {past.record.undoes}" if past.record.undoes else f"the rollback to {past.record.target}"
    output.say(f"undoing {what} of {past.before.metadata.time:%Y-%m-%d %H:%M:%S} UTC")
    made = rolling.sample_made(place.archive.samples(), past)
    with role_explained():
        plan = rolling.prepare_undo(
            place.cluster,
            past,
            place.archive.tree(past.before),
            target=place.archive.tree(made) if made is not None else None,
            options=Options(allow_withdraw=allow_withdraw, force_owned=force_owned, skip_refused=skip_refused),
            keeper=keys.for_reading(place.archive, past.before, identities=place.identities),
        )
    plan = rolling.try_on_server(place.cluster, plan)
    flags = (
        ("--allow-withdraw", allow_withdraw),
        ("--force-owned", force_owned),
        ("--skip-refused", skip_refused),
        ("--atomic", atomic),
    )
    words = ["undo", "--of", past.before.tag, *(flag for flag, given in flags if given)]
    asked = rolling.Asked(command=" ".join(words), undoes=past.before.tag)
    carry_out(place, plan, asked, Manner(dry_run=dry_run, yes=yes, atomic=atomic, form=form))
