"""``gitsnap secrets rotate`` and ``gitsnap secrets rekey``: other recipients, another fingerprint key.

This module must not see a key or a value.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.resolve import ArchiveChoice
from gitsnap.core.errors import UsageError


def rotate(
    recipient: Annotated[
        list[str],
        typer.Option("--recipient", metavar="KEY", help="age or SSH public key to encrypt to from now on; repeatable."),
    ],
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    identity: options.Identity = None,
    signing_key: options.SigningKey = None,
) -> None:
    """Encrypt Secrets to other recipients from now on.

    Those of the newest sample, and of all samples to come. Older samples stay encrypted to the recipients that they
    had. No cluster is asked. A Snapshot that names recipients must be changed too.

    Example: gitsnap secrets rotate --snapshot hourly --recipient age1… --identity old-identity.txt
    """
    from gitsnap.format.recipients import difference, listed
    from gitsnap.git.signing import signer_from_file
    from gitsnap.secrets import archive_keys, rotation

    archive = ArchiveChoice(snapshot, storage).open_to_write()
    old, new = archive_keys.for_rotation(archive, recipients=recipient, identities=identity or [])
    recorded = rotation.rotate(archive, old=old, new=new, time=datetime.now(UTC), signer=signer_from_file(signing_key))
    terminal.done(f"the sample {recorded.sample.tag} was recorded")
    added, dropped = difference(old.recipients, new.recipients)
    for what, names in (("added", added), ("dropped", dropped)):
        for name in names:
            terminal.say(f"recipient {what}: {name}")
    terminal.result(f"{recorded.sample.tag}: Secrets are encrypted to {listed(new.recipients)} now")


def rekey(
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    identity: options.Identity = None,
    signing_key: options.SigningKey = None,
) -> None:
    """Give the archive a new fingerprint key.

    Because somebody may have learnt the old one. The newest sample's fingerprints are made anew; those of older samples
    cannot be compared with them, and stay readable. Who has the old key can go on guessing at the values of older
    samples.

    Example: gitsnap secrets rekey --snapshot hourly
    """
    from gitsnap.git.signing import signer_from_file
    from gitsnap.secrets import archive_keys, rotation

    archive = ArchiveChoice(snapshot, storage).open_to_write()
    rekeying = archive_keys.for_rekeying(archive, identities=identity or [])
    if not rekeying.old.can_unseal:
        raise UsageError("the values must be decrypted: give an --identity that can")
    recorded = rotation.rotate(
        archive,
        old=rekeying.old,
        new=rekeying.new,
        time=datetime.now(UTC),
        signer=signer_from_file(signing_key),
        before_recording=rekeying.lay_down,
    )
    place = rekeying.put_in_place()
    terminal.done(f"the sample {recorded.sample.tag} was recorded, and the new key is {place}")
    terminal.result(f"{recorded.sample.tag}: fingerprints are of a new key now, {place}: keep a copy elsewhere")
