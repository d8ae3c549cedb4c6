"""Which keys an archive needs: what its newest sample says about them, and what lies beside it or is given.

Keys lie at ``<storage>/.keys/<policy>/``, never inside an archive. This module must not read or write keys itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitsnap.core.errors import NotFoundError, SecretsError
from gitsnap.core.model import Area, ObjectKey, ResourceSelector, Sample, SecretsInfo, SecretsMode
from gitsnap.core.ports import Archive, Cluster, SecretsKeeper, Tree
from gitsnap.format import WRAPPED_KEY_FILE
from gitsnap.format.recipients import same_keys, split_all
from gitsnap.policy.snapshot import Policy
from gitsnap.secrets import age
from gitsnap.secrets.mode_change import changes, in_words
from gitsnap.sveltos.kinds import SECRET


@dataclass(frozen=True, slots=True)
class _Before:
    """What the newest sample of an archive says."""

    info: SecretsInfo
    resources: tuple[ResourceSelector, ...]
    wrapped_key: bytes | None
    """Its own copy of the fingerprint key, encrypted to the recipients."""


def for_reading(archive: Archive, sample: Sample | None, *, identities: Sequence[Path] = ()) -> age.Keeper | None:
    """The keys for reading an archive; None where its newest sample needs none, or where there are none at hand."""
    if sample is None:
        return None
    before = _said_by(archive.tree(sample))
    return age.open_keeper(
        _folder_of(archive),
        mode=before.info.mode,
        recipients=before.info.recipients,
        identities=identities,
        expected_key=before.info.fingerprint_key,
        wrapped_key=before.wrapped_key,
    )


def for_capture(
    archive: Archive,
    policy: Policy,
    *,
    identities: Sequence[Path] = (),
    accept_change: bool = False,
    accept_fields: bool = False,
) -> tuple[Policy, age.Keeper | None]:
    """The policy and the keys for the next sample of a person; missing keys are made.

    The archive's own record decides how Secrets are kept: its newest sample has mode, recipients and hidden fields. A
    policy that says otherwise is refused unless ``accept_change``, or ``accept_fields`` for hidden fields alone. Other
    kinds may be added without asking. Raises SecretsError.
    """
    before = _newest(archive)
    if before is not None:
        if not accept_change:
            record = before.info
            if accept_fields:
                record = replace(record, sensitive_fields=policy.sensitive_fields)
            _check_record(archive, policy, record)
        policy = _going_on(policy, before)
    keeper = age.open_keeper(
        _folder_of(archive),
        mode=policy.secrets_mode,
        recipients=policy.recipients,
        identities=identities,
        expected_key=before.info.fingerprint_key if before else "",
        wrapped_key=before.wrapped_key if before else None,
        create=True,
    )
    return policy, keeper


def for_capture_as_before(
    archive: Archive, policy: Policy, *, identities: Sequence[Path] = ()
) -> tuple[Policy, age.Keeper | None]:
    """As ``for_capture``, but what the policy says of Secrets counts only in an archive without a sample.

    For samples around a rollback: these must be readable with the keys of the archive. Raises SecretsError.
    """
    if _newest(archive) is not None:
        policy = replace(policy, secrets_given=False, recipients=(), sensitive_given=False)
    return for_capture(archive, policy, identities=identities)


def for_capture_through_remote(
    archive: Archive, policy: Policy, *, identities: Sequence[Path] = (), accept_record: bool = False
) -> tuple[Policy, age.Keeper | None]:
    """As ``for_capture_as_before``, for a copy of a remote that others can write.

    What the policy says of Secrets counts. Where it says nothing, the record of the remote counts only if it gives
    nothing away (``redact``, ``omit``) or encrypts to nobody but the identities at hand, unless ``accept_record``.
    Raises SecretsError.
    """
    before = _newest(archive)
    decided = policy.secrets_given and (policy.secrets_mode is not SecretsMode.ENCRYPT or bool(policy.recipients))
    if decided and not accept_record:
        return for_capture(archive, policy, identities=identities, accept_change=True)
    policy, keeper = for_capture_as_before(archive, policy, identities=identities)
    if before is not None and not accept_record and not _keeps_to_itself(before.info, keeper):
        raise SecretsError(
            f"the remote's newest sample has {in_words(before.info)}, and whoever can write there may have decided so: "
            "Secrets would be readable for others",
            hint="Give the --identity of every recipient, name the recipients in the Snapshot of the cluster, or "
            "accept what the remote says with --accept-secrets-change.",
        )
    return policy, keeper


def _keeps_to_itself(record: SecretsInfo, keeper: age.Keeper | None) -> bool:
    """Whether samples like this one are readable for nobody but the owners of the identities at hand."""
    if record.mode is SecretsMode.ENCRYPT:
        return keeper is not None and same_keys({*record.recipients, *keeper.own_recipients}, keeper.own_recipients)
    return record.mode is not SecretsMode.PLAINTEXT


def for_unattended_capture(
    archive: Archive, policy: Policy, *, given: age.KeyTexts | None
) -> tuple[Policy, SecretsKeeper | None]:
    """The policy and the keys for the next sample of the controller.

    The policy alone decides mode and recipients, because the archive may come from a remote that others can write.
    Without recipients Secrets are redacted: nobody is there to keep a copy of a new identity. Hidden fields that the
    policy does not name stay hidden. ``given``: the keys of the policy's own Secret, in place of those beside the
    archive. Raises SecretsError.
    """
    before = _newest(archive)
    if before is not None and not policy.sensitive_given:
        policy = replace(policy, sensitive_fields=before.info.sensitive_fields)
    if not policy.secrets_given or (policy.secrets_mode is SecretsMode.ENCRYPT and not policy.recipients):
        policy = replace(policy, secrets_mode=SecretsMode.REDACT, secrets_given=False)
    if given is None:
        expected, wrapped = (before.info.fingerprint_key, before.wrapped_key) if before else ("", None)
        keeper = age.open_keeper(
            _folder_of(archive),
            mode=policy.secrets_mode,
            recipients=policy.recipients,
            expected_key=expected,
            wrapped_key=wrapped,
            create=True,
        )
    else:
        keeper = age.keeper_of(
            given,
            mode=policy.secrets_mode,
            recipients=policy.recipients,
            expected_key=before.info.fingerprint_key if before else "",
        )
    return policy, keeper


def for_rotation(
    archive: Archive, *, recipients: Sequence[str], identities: Sequence[Path] = ()
) -> tuple[age.Keeper, age.Keeper]:
    """The keys of the newest sample, and the same with other recipients. Raises SecretsError, NotFoundError."""
    old = _of_newest(archive, identities)
    return old, old.with_recipients(split_all(recipients))


@dataclass(frozen=True, slots=True)
class Rekeying:
    """The keys of the newest sample, the same with a new fingerprint key, and where that is kept."""

    old: age.Keeper
    new: age.Keeper
    folder: Path

    def lay_down(self) -> None:
        """Keep the new key beside the old one: before a sample is made with it, so that no sample is without a key."""
        age.lay_down_key(self.folder, self.new)

    def put_in_place(self) -> Path:
        """Make the new key the one in use, once there is a sample of it; returns its file."""
        return age.put_key_in_place(self.folder, self.new)


def for_rekeying(archive: Archive, *, identities: Sequence[Path] = ()) -> Rekeying:
    """What a new fingerprint key takes. Raises SecretsError, NotFoundError."""
    old = _of_newest(archive, identities)
    return Rekeying(old, old.with_new_key(), _folder_of(archive))


def _of_newest(archive: Archive, identities: Sequence[Path]) -> age.Keeper:
    samples = archive.samples()
    if not samples:
        raise NotFoundError(f"the archive {archive.location} has no sample yet", hint="`gitsnap capture` takes one.")
    keeper = for_reading(archive, samples[-1], identities=identities)
    if keeper is None:
        mode = archive.tree(samples[-1]).info.secrets.mode
        raise SecretsError(
            f"the newest sample of {archive.location} keeps its Secrets in mode {mode}: there is no key to change",
            hint="Only the modes encrypt and redact have one; `gitsnap capture --secrets-mode encrypt "
            "--accept-secrets-change` changes to it.",
        )
    return keeper


def _check_record(archive: Archive, policy: Policy, record: SecretsInfo) -> None:
    """Raises SecretsError where a policy keeps Secrets in another way than the archive's newest sample."""
    wanted = replace(
        record,
        mode=policy.secrets_mode if policy.secrets_given else record.mode,
        sensitive_fields=policy.sensitive_fields if policy.sensitive_given else record.sensitive_fields,
    )
    if wanted.mode is not SecretsMode.ENCRYPT:
        wanted = replace(wanted, recipients=())
    elif policy.recipients:
        wanted = replace(wanted, recipients=policy.recipients)
    elif record.mode is not SecretsMode.ENCRYPT:
        wanted = replace(wanted, recipients=())
    found = changes(record, wanted)
    if all(change.startswith("field hidden") for change in found):  # hiding more lays nothing open
        return
    raise SecretsError(
        f"{policy.secrets_source or 'the policy'} does not agree with how the archive {archive.location} "
        "keeps Secrets:\n"
        f"  the archive: {in_words(record)}\n"
        f"  {policy.secrets_source or 'the policy'}: {in_words(wanted)}\n"
        f"  difference: {'; '.join(found)}",
        hint="To go on as before, leave out --secrets-mode and --recipient. Under a Snapshot, correct it, or give both "
        "options as the archive has them. To change the archive, give --accept-secrets-change.",
    )


def _going_on(policy: Policy, before: _Before) -> Policy:
    """The policy with what it does not say as the archive has it."""
    if not policy.secrets_given:
        policy = replace(policy, secrets_mode=before.info.mode)
    same = same_keys(policy.recipients, before.info.recipients)
    if policy.secrets_mode is SecretsMode.ENCRYPT and (same or not policy.recipients):
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
    blob = tree.files(Area.SEALED).get(WRAPPED_KEY_FILE)
    return _Before(tree.info.secrets, tree.info.resources, tree.read(blob) if blob is not None else None)


def _folder_of(archive: Archive) -> Path:
    """Where the keys of an archive lie: beside it."""
    return Path(archive.location).resolve().parent / age.KEYS_FOLDER / archive.policy


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
