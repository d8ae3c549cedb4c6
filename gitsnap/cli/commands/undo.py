"""``gitsnap undo``: take the last rollback back, for the objects that it changed.

This module must not decide what is restored; ``gitsnap.rollback`` and ``gitsnap.rollback.plan`` do.
"""

from __future__ import annotations

from gitsnap.cli import options, terminal
from gitsnap.cli.execution import Manner, carry_out, role_explained, say_unfinished
from gitsnap.cli.resolve import ArchiveChoice, ClusterChoice
from gitsnap.cli.rollback_options import Allowed
from gitsnap.cli.rollback_target import Place
from gitsnap.core.errors import NotFoundError
from gitsnap.history import samples


def undo(
    *,
    archive: ArchiveChoice,
    cluster: ClusterChoice,
    of: options.SampleBefore = "",
    manner: Manner,
    allowed: Allowed,
    identity: options.Identity = None,
    signing_key: options.SigningKey = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Undo the last rollback.

    Each object that the rollback changed becomes what it was before. No other object is touched.

    An undo is planned, tried and confirmed like a rollback, and can be undone itself. It also reverts a rollback that
    stopped half-way or was killed.

    Example: gitsnap undo --snapshot hourly --dry-run
    """
    from gitsnap import rollback as rolling
    from gitsnap.secrets import archive_keys

    place = Place.open(archive, cluster, identity or [], signing_key=signing_key)
    past = rolling.rollback_to_undo(place.rollbacks, _tag(place, of))
    say_unfinished(place)
    what = f"the undo of {past.record.undoes}" if past.record.undoes else f"the rollback to {past.record.target}"
    terminal.say(f"undoing {what}, made on {past.before.metadata.time:%Y-%m-%d %H:%M:%S} UTC")
    made = rolling.sample_made(place.archive.samples(), past)
    with role_explained():
        plan = rolling.prepare_undo(
            place.cluster,
            past,
            place.archive.tree(past.before),
            target=place.archive.tree(made) if made is not None else None,
            options=manner.limited(allowed.options()),
            keeper=archive_keys.for_reading(place.archive, past.before, identities=place.identities),
        )
    plan = rolling.try_on_server(place.cluster, plan)
    flags = (
        ("--allow-withdraw", allowed.allow_withdraw),
        ("--allow-withdraw-resources", allowed.allow_less),
        ("--force-owned", allowed.force_owned),
        ("--skip-refused", allowed.skip_refused),
        ("--atomic", manner.atomic),
    )
    words = ["undo", "--of", past.before.tag, *(flag for flag, given in flags if given)]
    asked = rolling.Asked(command=" ".join(words), undoes=past.before.tag)
    carry_out(place, plan, asked, manner, form)


def _tag(place: Place, name: str) -> str:
    """The tag of a sample that was named in any of the ways; a name that fits none stays, for the error to name."""
    try:
        return samples.find_sample(place.archive.samples(), name).tag if name else ""
    except NotFoundError:
        return name
