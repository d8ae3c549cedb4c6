"""Encrypts the newest sample of an archive to new recipients, or with a new fingerprint key.

The result is one marked commit without a row in any diff. No cluster is needed: values are decrypted from the archive
and encrypted again. Older samples are unchanged and need the former keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from gitsnap import format as archive_format
from gitsnap.core.errors import NotFoundError, SecretsError
from gitsnap.core.model import Area, BlobId, ObjectKey, SecretsMode, Trigger
from gitsnap.core.ports import Archive, SecretsKeeper, Tree
from gitsnap.core.recording import RecordedSample, SampleDraft
from gitsnap.format import WRAPPED_KEY_FILE, fingerprint, masking


def rotate(
    archive: Archive,
    *,
    old: SecretsKeeper,
    new: SecretsKeeper,
    time: datetime,
    signer: Callable[[bytes], bytes] | None = None,
    before_recording: Callable[[], None] = lambda: None,
) -> RecordedSample:
    """Record a copy of the newest sample with its Secrets encrypted by ``new`` instead of ``old``.

    ``signer`` signs the tag. ``before_recording`` is called after everything is read and before anything is recorded.
    Each value is compared with its fingerprint, so that a replaced ciphertext is noticed. Raises SecretsError if the
    archive has no ciphertexts or a ciphertext cannot be read, and NotFoundError if the archive has no sample. After
    these errors, nothing is recorded.
    """
    with archive.writer() as writer:
        samples = archive.samples()
        if not samples:
            raise NotFoundError(
                f"the archive {archive.location} has no sample yet", hint="`gitsnap capture` takes one."
            )
        newest = samples[-1].metadata
        tree = archive.tree(samples[-1])
        mode = tree.info.secrets.mode
        if mode is not SecretsMode.ENCRYPT:
            raise SecretsError(
                f"the archive's newest sample keeps its Secrets in mode {mode}: there is nothing to encrypt again",
                hint="Only the mode encrypt has recipients; `gitsnap capture --secrets-mode encrypt "
                "--accept-secrets-change` changes to it.",
            )
        files: dict[Area, dict[str, BlobId]] = {area: dict(tree.files(area)) for area in Area}
        for path in tree.files(Area.SEALED):
            if path == WRAPPED_KEY_FILE:
                continue
            masked, values = _seal_again(tree, path, old, new)
            files[Area.CONFIGURATION][path] = writer.store(masked)
            files[Area.SEALED][path] = writer.store(values)
        files[Area.SEALED][WRAPPED_KEY_FILE] = writer.store(new.seal(new.fingerprint_key))
        key = fingerprint.key_id(new.fingerprint_key)
        before_recording()
        return writer.record(
            SampleDraft(
                info=replace(
                    tree.info,
                    secrets=replace(tree.info.secrets, fingerprint_key=key, recipients=tuple(sorted(new.recipients))),
                ),
                files=files,
                time=time,
                trigger=Trigger.MANUAL,
                cluster=newest.cluster,
                server=newest.server,
                consistency=newest.consistency,
                incomplete=newest.incomplete,
                unresolved=newest.unresolved,
                signer=signer,
            )
        )


def _seal_again(tree: Tree, path: str, old: SecretsKeeper, new: SecretsKeeper) -> tuple[bytes, bytes]:
    """The new contents of the two files of an object, below ``configuration/`` and ``sealed/``. Raises SecretsError."""
    info, configuration = tree.info.secrets, tree.files(Area.CONFIGURATION)
    if path not in configuration:
        raise SecretsError(f"sealed/{path} belongs to no object of the sample", hint="Run `gitsnap verify`.")
    masked = archive_format.decode(tree.read(configuration[path]), f"{Area.CONFIGURATION}/{path}")
    try:
        values = archive_format.decode(old.unseal(tree.read(tree.files(Area.SEALED)[path])))
    except SecretsError as error:
        raise SecretsError(f"{ObjectKey.of(masked)}: {error.message}", hint=error.hint) from None
    document = masking.restore(masked, values, info, old.fingerprint_key)
    sealed = new.seal(archive_format.encode(masking.values_document(document, info) or {}))
    return archive_format.encode(masking.mask(document, info, new.fingerprint_key)), sealed
