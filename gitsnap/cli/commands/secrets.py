"""``gitsnap secrets rotate`` and ``gitsnap secrets rekey``: change the recipients or the fingerprint key.

This module must not see a key or a value.
"""

from __future__ import annotations

from datetime import UTC, datetime

from gitsnap.cli import options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.core.errors import UsageError


def rotate(
    recipient: options.RequiredRecipients,
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    identity: options.Identity = None,
    signing_key: options.SigningKey = None,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Encrypt Secrets to other recipients from now on.

    A new sample with the same configuration is recorded. The Secrets of this sample and of later samples are encrypted
    to the new recipients. Older samples stay encrypted to their recipients. The cluster is not read. If a Snapshot
    names recipients, change the Snapshot as well.

    Example: gitsnap secrets rotate --snapshot hourly --recipient age1… --identity old-identity.txt
    """
    from gitsnap.format.recipients import difference, listed
    from gitsnap.git.signing import signer_from_file
    from gitsnap.secrets import archive_keys, rotation

    archive = ArchiveOptions(snapshot, storage).open_to_write()
    old, new = archive_keys.for_rotation(archive, recipients=recipient, identities=identity or [])
    recorded = rotation.rotate(archive, old=old, new=new, time=datetime.now(UTC), signer=signer_from_file(signing_key))
    terminal.note_finished(f"the sample {recorded.sample.tag} was recorded")
    added, dropped = difference(old.recipients, new.recipients)
    for change, names in (("added", added), ("dropped", dropped)):
        for name in names:
            terminal.say(f"recipient {change}: {name}")
    if form is not terminal.Output.TABLE:
        document = {"kind": "SecretsRotation", "sample": sample_document(recorded.sample)}
        recipients = {"recipients": sorted(new.recipients), "added": list(added), "dropped": list(dropped)}
        terminal.print_document({**document, **recipients}, form)
        return
    terminal.print_result(f"{recorded.sample.tag}: Secrets are now encrypted to {listed(new.recipients)}")


def rekey(
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    identity: options.Identity = None,
    signing_key: options.SigningKey = None,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Give the archive a new fingerprint key.

    Use this command if the old key may be known to others. A new sample with the same configuration is recorded, with
    fingerprints of the new key. Older samples stay readable, but their fingerprints cannot be compared with the new
    ones. Whoever has the old key can still guess the values of older samples.

    Example: gitsnap secrets rekey --snapshot hourly
    """
    from gitsnap.git.signing import signer_from_file
    from gitsnap.secrets import archive_keys, rotation

    archive = ArchiveOptions(snapshot, storage).open_to_write()
    rekeying = archive_keys.for_rekeying(archive, identities=identity or [])
    if not rekeying.old.can_unseal:
        raise UsageError("the values must be decrypted: give the --identity of a recipient")
    recorded = rotation.rotate(
        archive,
        old=rekeying.old,
        new=rekeying.new,
        time=datetime.now(UTC),
        signer=signer_from_file(signing_key),
        before_recording=rekeying.stage,
    )
    key_file = rekeying.activate()
    terminal.note_finished(f"the sample {recorded.sample.tag} was recorded, and the new key is {key_file}")
    if form is not terminal.Output.TABLE:
        document = {"kind": "SecretsRekey", "sample": sample_document(recorded.sample), "keyFile": str(key_file)}
        terminal.print_document(document, form)
        return
    terminal.print_result(
        f"{recorded.sample.tag}: fingerprints now have the new key {key_file}: keep a copy of the key elsewhere"
    )
