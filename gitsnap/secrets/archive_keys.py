"""Chooses the keys of an archive, from the record of its newest sample, the policy, and the available keys.

The functions return the effective policy: how the next sample keeps Secrets. ``age`` reads and writes the keys.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gitsnap.core.errors import AccessDeniedError, KindNotInstalledError, NotFoundError, SecretsError
from gitsnap.core.model import Area, Kind, ObjectKey, ResourceSelector, SecretsInfo, SecretsMode
from gitsnap.core.ports import Archive, Cluster, SecretsKeeper, Tree
from gitsnap.core.states import State
from gitsnap.format import WRAPPED_KEY_FILE
from gitsnap.format.recipients import same_keys, split_all
from gitsnap.policy.snapshot import SNAPSHOT, Policy
from gitsnap.secrets import age
from gitsnap.secrets.key_texts import KeySource, KeyTexts
from gitsnap.secrets.mode_change import changes, describe

_SECRET = Kind("", "Secret")


@dataclass(frozen=True, slots=True)
class _Record:
    """How the newest sample of an archive keeps Secrets, and the kinds that it adds."""

    info: SecretsInfo
    resources: tuple[ResourceSelector, ...]
    wrapped_key: bytes | None
    """The archive's copy of the fingerprint key, encrypted to the recipients."""


def for_reading(
    archive: Archive, sample: State | None, *, identities: Sequence[Path] = (), cluster: Cluster | None = None
) -> age.Keeper | None:
    """The keys to read an archive; None for an archive without a sample or in a mode without keys.

    ``cluster``: the cluster whose Snapshot of the archive may name a Secret with the fingerprint key. The Secret is
    read only if the key is neither beside the archive nor in reach of an identity. Raises SecretsError, StorageError,
    and the errors of the cluster.
    """
    if sample is None:
        return None
    before = _record_of(archive.tree(sample))
    return age.open_keeper(
        _keys_folder(archive),
        mode=before.info.mode,
        recipients=before.info.recipients,
        identities=identities,
        expected_key=before.info.fingerprint_key,
        wrapped_key=before.wrapped_key,
        other_source=_source_in_cluster(archive, cluster),
    )


def for_capture(
    archive: Archive,
    policy: Policy,
    *,
    identities: Sequence[Path] = (),
    cluster: Cluster | None = None,
    accept_change: bool = False,
    accept_fields: bool = False,
) -> tuple[Policy, age.Keeper | None]:
    """The effective policy and the keys for a sample that a user takes; missing keys are created.

    ``cluster``: as for ``for_reading``. A new archive also takes the key from that Secret, as the controller does.

    The record of the archive decides how Secrets are kept: the mode, the recipients and the hidden fields of its newest
    sample. A policy that differs is refused without ``accept_change``, or without ``accept_fields`` if only hidden
    fields differ. Other kinds need no consent. Raises SecretsError, StorageError.
    """
    age.check_recipients(policy.recipients)
    before = _newest_record(archive)
    if before is not None:
        if not accept_change:
            record = before.info
            if accept_fields:
                record = replace(record, sensitive_fields=policy.sensitive_fields)
            _check_record(archive, policy, record)
        policy = _completed(policy, before)
    keeper = age.open_keeper(
        _keys_folder(archive),
        mode=policy.secrets_mode,
        recipients=policy.recipients,
        identities=identities,
        expected_key=before.info.fingerprint_key if before else "",
        wrapped_key=before.wrapped_key if before else None,
        other_source=_source_in_cluster(archive, cluster),
        create=True,
    )
    return policy, keeper


def for_capture_as_before(
    archive: Archive, policy: Policy, *, identities: Sequence[Path] = (), cluster: Cluster | None = None
) -> tuple[Policy, age.Keeper | None]:
    """As ``for_capture``, but an archive with a sample overrides the settings of the policy for Secrets.

    For samples around a rollback, which must be readable with the keys of the archive. Raises SecretsError.
    """
    if _newest_record(archive) is not None:
        policy = replace(policy, secrets_set=False, recipients=(), sensitive_fields_set=False)
    return for_capture(archive, policy, identities=identities, cluster=cluster)


def for_capture_through_remote(
    archive: Archive,
    policy: Policy,
    *,
    identities: Sequence[Path] = (),
    cluster: Cluster | None = None,
    accept_record: bool = False,
) -> tuple[Policy, age.Keeper | None]:
    """As ``for_capture_as_before``, for a copy of a remote that others can write.

    The policy decides how Secrets are kept. A policy without such settings follows the record of the remote, but only
    if the record discloses nothing (``redact``, ``omit``), or encrypts only to the available identities, or with
    ``accept_record``.
    Raises SecretsError.
    """
    before = _newest_record(archive)
    decided = policy.secrets_set and (policy.secrets_mode is not SecretsMode.ENCRYPT or bool(policy.recipients))
    if decided and not accept_record:
        return for_capture(archive, policy, identities=identities, cluster=cluster, accept_change=True)
    policy, keeper = for_capture_as_before(archive, policy, identities=identities, cluster=cluster)
    if before is not None and not accept_record and not _is_private(before.info, keeper):
        raise SecretsError(
            f"the remote's newest sample has {describe(before.info)}. Anybody who can write to the remote may have "
            "chosen that, and could read the Secrets",
            hint="Give the --identity of every recipient, name the recipients in the Snapshot of the cluster, or "
            "accept the setting of the remote with --accept-secrets-change.",
        )
    return policy, keeper


def _is_private(record: SecretsInfo, keeper: age.Keeper | None) -> bool:
    """Whether only the owners of the available identities can read Secrets that are kept like this."""
    if record.mode is SecretsMode.ENCRYPT:
        return keeper is not None and same_keys({*record.recipients, *keeper.own_recipients}, keeper.own_recipients)
    return record.mode is not SecretsMode.PLAINTEXT


def for_unattended_capture(
    archive: Archive, policy: Policy, *, keys: KeyTexts | None
) -> tuple[Policy, SecretsKeeper | None]:
    """The effective policy and the keys for a sample of the controller.

    Only the policy decides mode and recipients, because the archive may come from a remote that others can write.
    Without recipients Secrets are redacted, because nobody would keep a copy of a new identity. Fields that the archive
    hides stay hidden unless the policy names other fields. ``keys``: the keys in the policy's Secret, in place of the
    key files. Raises SecretsError, StorageError.
    """
    before = _newest_record(archive)
    if before is not None and not policy.sensitive_fields_set:
        policy = replace(policy, sensitive_fields=before.info.sensitive_fields)
    if not policy.secrets_set or (policy.secrets_mode is SecretsMode.ENCRYPT and not policy.recipients):
        policy = replace(policy, secrets_mode=SecretsMode.REDACT, secrets_set=False)
    if keys is None:
        expected, wrapped = (before.info.fingerprint_key, before.wrapped_key) if before else ("", None)
        keeper = age.open_keeper(
            _keys_folder(archive),
            mode=policy.secrets_mode,
            recipients=policy.recipients,
            expected_key=expected,
            wrapped_key=wrapped,
            create=True,
        )
    else:
        keeper = age.keeper_from_texts(
            keys,
            mode=policy.secrets_mode,
            recipients=policy.recipients,
            expected_key=before.info.fingerprint_key if before else "",
        )
    return policy, keeper


def for_rotation(
    archive: Archive, *, recipients: Sequence[str], identities: Sequence[Path] = ()
) -> tuple[age.Keeper, age.Keeper]:
    """The keys of the newest sample, and the same keys with other recipients. Raises SecretsError, NotFoundError."""
    named = split_all(recipients)
    age.check_recipients(named)  # before any error about identities, which would hide a wrong recipient
    old = _keeper_of_newest(archive, identities)
    return old, old.with_recipients(named)


@dataclass(frozen=True, slots=True)
class Rekeying:
    """The keys of the newest sample, the same keys with a new fingerprint key, and their folder."""

    old: age.Keeper
    new: age.Keeper
    folder: Path

    def stage(self) -> None:
        """Write the new key beside the current one. Must precede the sample, so that no sample lacks its key."""
        age.stage_key(self.folder, self.new)

    def activate(self) -> Path:
        """Make the new key the current one, after a sample uses it; returns its file."""
        return age.activate_key(self.folder, self.new)


def for_rekeying(archive: Archive, *, identities: Sequence[Path] = ()) -> Rekeying:
    """Create a new fingerprint key. Nothing is written yet. Raises SecretsError, NotFoundError."""
    old = _keeper_of_newest(archive, identities)
    return Rekeying(old, old.with_new_key(), _keys_folder(archive))


def _keeper_of_newest(archive: Archive, identities: Sequence[Path]) -> age.Keeper:
    samples = archive.samples()
    if not samples:
        raise NotFoundError(f"the archive {archive.location} has no sample yet", hint="`gitsnap capture` takes one.")
    keeper = for_reading(archive, samples[-1], identities=identities)
    if keeper is None:
        mode = archive.tree(samples[-1]).info.secrets.mode
        raise SecretsError(
            f"the newest sample of {archive.location} keeps its Secrets in mode {mode}: there is no key to change",
            hint="Only the modes encrypt and redact have a key; `gitsnap capture --secrets-mode encrypt "
            "--accept-secrets-change` changes to it.",
        )
    return keeper


def _check_record(archive: Archive, policy: Policy, record: SecretsInfo) -> None:
    """Compare the policy with the record. Raises SecretsError if they differ in more than additional hidden fields."""
    wanted = replace(
        record,
        mode=policy.secrets_mode if policy.secrets_set else record.mode,
        sensitive_fields=policy.sensitive_fields if policy.sensitive_fields_set else record.sensitive_fields,
    )
    if wanted.mode is not SecretsMode.ENCRYPT:
        wanted = replace(wanted, recipients=())
    elif policy.recipients:
        wanted = replace(wanted, recipients=policy.recipients)
    elif record.mode is not SecretsMode.ENCRYPT:
        wanted = replace(wanted, recipients=())
    differences = changes(record, wanted)
    if all(change.startswith("field hidden") for change in differences):  # more hidden fields disclose nothing
        return
    raise SecretsError(
        f"{policy.secrets_source or 'the policy'} does not agree with how the archive {archive.location} "
        "keeps Secrets:\n"
        f"  the archive: {describe(record)}\n"
        f"  {policy.secrets_source or 'the policy'}: {describe(wanted)}\n"
        f"  difference: {'; '.join(differences)}",
        hint="To keep the setting of the archive, omit --secrets-mode and --recipient. Under a Snapshot, correct the "
        "Snapshot, or give both options as in the archive. To change the archive, give --accept-secrets-change.",
    )


def _completed(policy: Policy, before: _Record) -> Policy:
    """The policy, with unset fields taken from the record of the archive."""
    if not policy.secrets_set:
        policy = replace(policy, secrets_mode=before.info.mode)
    same = same_keys(policy.recipients, before.info.recipients)
    if policy.secrets_mode is SecretsMode.ENCRYPT and (same or not policy.recipients):
        policy = replace(policy, recipients=before.info.recipients)
    if not policy.sensitive_fields_set:
        policy = replace(policy, sensitive_fields=before.info.sensitive_fields)
    if not policy.resources_set:
        policy = replace(policy, resources=before.resources)
    return policy


def _newest_record(archive: Archive) -> _Record | None:
    samples = archive.samples()
    return _record_of(archive.tree(samples[-1])) if samples else None


def _record_of(tree: Tree) -> _Record:
    blob = tree.files(Area.SEALED).get(WRAPPED_KEY_FILE)
    return _Record(tree.info.secrets, tree.info.resources, tree.read(blob) if blob is not None else None)


def _keys_folder(archive: Archive) -> Path:
    """The folder of an archive's keys, beside the archive."""
    return Path(archive.location).resolve().parent / age.KEYS_FOLDER / archive.policy


def _source_in_cluster(archive: Archive, cluster: Cluster | None) -> KeySource | None:
    return None if cluster is None else partial(_keys_of_snapshot, cluster, archive.policy)


def _keys_of_snapshot(cluster: Cluster, policy: str) -> KeyTexts | None:
    """The keys in the Secret that the Snapshot of a policy names.

    None without a Secret, or if there is no Snapshot that this user may read.
    """
    try:
        spec = cluster.get(ObjectKey(SNAPSHOT, "", policy)).get("spec") or {}
    except (AccessDeniedError, KindNotInstalledError, NotFoundError):
        return None
    reference = (spec.get("secrets") or {}).get("secretRef") or {}
    name = f"{reference.get('namespace', '')}/{reference.get('name', '')}"
    return keys_of_secret(cluster, name) if reference else None


def keys_of_secret(cluster: Cluster, reference: str) -> KeyTexts:
    """The keys in the Secret ``<namespace>/<name>`` that ``spec.secrets.secretRef`` names. Raises SecretsError."""
    data = read_secret(cluster, reference, field="spec.secrets.secretRef")
    texts = {name: data.get(name, b"").decode("ascii", "replace") for name in (age.KEY_FILE, age.IDENTITY_FILE)}
    return KeyTexts(f"the Secret {reference}", texts[age.KEY_FILE], texts[age.IDENTITY_FILE])


def read_secret(cluster: Cluster, reference: str, *, field: str) -> dict[str, bytes]:
    """Read the values of the Secret ``<namespace>/<name>``, which ``field`` of a policy names. Raises SecretsError."""
    namespace, _, name = reference.partition("/")
    try:
        secret = cluster.get(ObjectKey(_SECRET, namespace, name))
    except NotFoundError:
        raise SecretsError(
            f"{field}: there is no Secret {reference}", hint="Create it, or name another Secret in the policy."
        ) from None
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, TypeError, ValueError):
        raise SecretsError(f"{field}: the data of the Secret {reference} is not base64") from None
