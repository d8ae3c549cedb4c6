"""Which keys an archive needs: what its newest sample says about them, and what lies beside it or is given.

Keys lie at ``<storage>/.keys/<policy>/``, never inside an archive. This module must not read or write keys itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitsnap import secrets
from gitsnap.errors import NotFoundError, SecretsError
from gitsnap.model import Area, ObjectKey, ResourceSelector, Sample, SecretsInfo, SecretsMode
from gitsnap.policy import Policy
from gitsnap.ports import Archive, Cluster, SecretsKeeper, Tree
from gitsnap.sveltos.kinds import SECRET

WRAPPED_KEY = "_fingerprint-key.age"


@dataclass(frozen=True, slots=True)
class _Before:
    """What the newest sample of an archive says."""

    info: SecretsInfo
    resources: tuple[ResourceSelector, ...]
    wrapped_key: bytes | None
    """Its own copy of the fingerprint key, encrypted to the recipients."""


def for_reading(archive: Archive, sample: Sample | None, *, identities: Sequence[Path] = ()) -> secrets.Keeper | None:
    """The keys for reading an archive; None where its newest sample needs none, or where there are none at hand."""
    if sample is None:
        return None
    before = _said_by(archive.tree(sample))
    return secrets.open_keeper(
        _folder_of(archive),
        mode=before.info.mode,
        recipients=before.info.recipients,
        identities=identities,
        expected_key=before.info.fingerprint_key,
        wrapped_key=before.wrapped_key,
    )


def for_capture(
    archive: Archive, policy: Policy, *, identities: Sequence[Path] = ()
) -> tuple[Policy, secrets.Keeper | None]:
    """The policy and the keys for the next sample; what is missing is made.

    An archive goes on in its mode, to its recipients and with the kinds that were added, unless the policy asks for
    others. Raises SecretsError.
    """
    before = _newest(archive)
    policy = _going_on(policy, before)
    keeper = secrets.open_keeper(
        _folder_of(archive),
        mode=policy.secrets_mode,
        recipients=policy.recipients,
        identities=identities,
        expected_key=before.info.fingerprint_key if before else "",
        wrapped_key=before.wrapped_key if before else None,
        create=True,
    )
    return policy, keeper


def for_unattended_capture(
    archive: Archive, policy: Policy, *, given: secrets.KeyTexts | None
) -> tuple[Policy, SecretsKeeper | None]:
    """As ``for_capture``, where nobody is there to keep a copy of a new identity: none is ever made.

    Without recipients Secrets are redacted. ``given``: the keys of the policy's own Secret, in place of those beside
    the archive. Raises SecretsError.
    """
    before = _newest(archive)
    policy = _going_on(policy, before)
    if policy.secrets_mode is SecretsMode.ENCRYPT and not policy.recipients:
        policy = replace(policy, secrets_mode=SecretsMode.REDACT, secrets_given=False)
    if given is None:
        expected, wrapped = (before.info.fingerprint_key, before.wrapped_key) if before else ("", None)
        keeper = secrets.open_keeper(
            _folder_of(archive),
            mode=policy.secrets_mode,
            recipients=policy.recipients,
            expected_key=expected,
            wrapped_key=wrapped,
            create=True,
        )
    else:
        keeper = secrets.keeper_of(
            given,
            mode=policy.secrets_mode,
            recipients=policy.recipients,
            expected_key=before.info.fingerprint_key if before else "",
        )
    return policy, keeper


def for_rotation(
    archive: Archive, *, recipients: Sequence[str], identities: Sequence[Path] = ()
) -> tuple[secrets.Keeper, secrets.Keeper]:
    """The keys of the newest sample, and the same with other recipients. Raises SecretsError, NotFoundError."""
    old = _of_newest(archive, identities)
    return old, old.with_recipients(recipients)


@dataclass(frozen=True, slots=True)
class Rekeying:
    """The keys of the newest sample, the same with a new fingerprint key, and where that is kept."""

    old: secrets.Keeper
    new: secrets.Keeper
    folder: Path

    def lay_down(self) -> None:
        """Keep the new key beside the old one: before a sample is made with it, so that no sample is without a key."""
        secrets.lay_down_key(self.folder, self.new)

    def put_in_place(self) -> Path:
        """Make the new key the one in use, once there is a sample of it; returns its file."""
        return secrets.put_key_in_place(self.folder, self.new)


def for_rekeying(archive: Archive, *, identities: Sequence[Path] = ()) -> Rekeying:
    """What a new fingerprint key takes. Raises SecretsError, NotFoundError."""
    old = _of_newest(archive, identities)
    return Rekeying(old, old.with_new_key(), _folder_of(archive))


def _of_newest(archive: Archive, identities: Sequence[Path]) -> secrets.Keeper:
    samples = archive.samples()
    if not samples:
        raise NotFoundError(f"the archive {archive.location} has no sample yet", hint="`gitsnap capture` takes one.")
    keeper = for_reading(archive, samples[-1], identities=identities)
    if keeper is None:
        mode = archive.tree(samples[-1]).info.secrets.mode
        raise SecretsError(
            f"the newest sample of {archive.location} keeps its Secrets in mode {mode}: there is no key to change",
            hint="Only the modes encrypt and redact have one; `gitsnap capture --secrets-mode encrypt` changes to it.",
        )
    return keeper


def _going_on(policy: Policy, before: _Before | None) -> Policy:
    if before is None:
        return policy
    if not policy.secrets_given:
        policy = replace(policy, secrets_mode=before.info.mode)
    if policy.secrets_mode is SecretsMode.ENCRYPT and not policy.recipients:
        policy = replace(policy, recipients=before.info.recipients)
    if not policy.sensitive_given:
        policy = replace(policy, sensitive_fields=before.info.sensitive_fields)
    if not policy.resources_given:
        policy = replace(policy, resources=before.resources)
    return policy


def _newest(archive: Archive) -> _Before | None:
    samples = archive.samples()
    return _said_by(archive.tree(samples[-1])) if samples else None


def _said_by(tree: Tree) -> _Before:
    blob = tree.files(Area.SEALED).get(WRAPPED_KEY)
    return _Before(tree.info.secrets, tree.info.resources, tree.read(blob) if blob is not None else None)


def _folder_of(archive: Archive) -> Path:
    """Where the keys of an archive lie: beside it."""
    return Path(archive.location).resolve().parent / secrets.KEYS_FOLDER / archive.policy


def named_secret(cluster: Cluster, reference: str, *, field: str) -> dict[str, bytes]:
    """The values of the Secret ``<namespace>/<name>`` that a field of the policy names. Raises SecretsError."""
    namespace, _, name = reference.partition("/")
    try:
        secret = cluster.get(ObjectKey(SECRET, namespace, name))
    except NotFoundError:
        raise SecretsError(
            f"{field}: there is no Secret {reference}", hint="Create it, or name another one in the policy."
        ) from None
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, TypeError, ValueError):
        raise SecretsError(f"{field}: the data of the Secret {reference} is not base64") from None
