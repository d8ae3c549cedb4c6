"""The policy under which a command takes samples: from a file, from the cluster, or from options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import options, terminal
from gitsnap.core.errors import AccessDeniedError, InputError, KindNotInstalledError, NotFoundError
from gitsnap.core.model import JsonObject, ObjectKey, SecretsMode

if TYPE_CHECKING:
    from gitsnap.core.ports import Cluster
    from gitsnap.policy.snapshot import Policy
    from gitsnap.secrets.age import Keeper
    from gitsnap.sveltos.kind_names import KindNames

DEFAULT_POLICY = "manual"
"""The policy of the first capture in a storage, if the user names none."""
_NONE = ["none"]
"""The value of an option that replaces the list of the policy with an empty list."""


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """The options that choose a policy, or replace a part of it."""

    file: options.PolicyFile = None
    secrets_mode: options.SecretsMode = None
    recipient: options.Recipients = None
    resources: options.Kinds = None
    sensitive_fields: options.SensitiveFields = None

    def policy_name(self, name: str) -> str:
        """Return ``name``, or the name of the policy in --file; ``""`` without both. Raises InputError."""
        return policy_from_file(name, self.file).name if self.file is not None else name

    def policy(self, name: str, cluster: Cluster, *, require_complete: bool) -> Policy:
        """Return the policy of that name with the values of the options.

        Raises InputError, UsageError, SecretsError.
        """
        from gitsnap.cluster.lists import list_definitions
        from gitsnap.sveltos.kind_names import KindNames

        policy = find_policy(name, self.file, cluster)
        policy = replace_secrets(policy, self.secrets_mode, self.recipient or [])
        names = KindNames(read_definitions=partial(list_definitions, cluster))
        policy = _replace_resources(policy, self.resources or [], names)
        policy = _replace_sensitive_fields(policy, self.sensitive_fields or [], names)
        return replace(policy, require_complete=policy.require_complete or require_complete)


def find_policy(name: str, file: Path | None, cluster: Cluster) -> Policy:
    """Return the policy in ``file``, else that of the Snapshot ``name`` in the cluster, else a default policy.

    Raises InputError.
    """
    from gitsnap.policy import snapshot

    if file is not None:
        return policy_from_file(name, file)
    name = name or DEFAULT_POLICY
    resource = _snapshot_resource(cluster, name)
    return snapshot.from_resource(resource, source=f"Snapshot {name}") if resource else snapshot.default(name)


def policy_from_file(name: str, file: Path) -> Policy:
    """Return the policy of the only Snapshot in a file, or of the Snapshot ``name``. Raises InputError."""
    from gitsnap.format import iterate_documents, load_documents
    from gitsnap.policy import snapshot

    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    documents = list(iterate_documents(load_documents(content, str(file), unique_keys=True), str(file)))
    matching = [document for document in documents if not name or ObjectKey.of(document).name == name]
    if len(matching) != 1:
        known = ", ".join(ObjectKey.of(document).name for document in documents) or "none"
        raise InputError(
            f"{file}: one Snapshot{f' named {name}' if name else ''} is needed, found {len(matching)}",
            hint=f"Name a Snapshot with --snapshot. Objects in the file: {known}",
        )
    return snapshot.from_resource(matching[0], source=str(file))


def replace_secrets(policy: Policy, mode: SecretsMode | None, recipients: list[str]) -> Policy:
    """Return the policy with the secrets mode and the recipients of the options.

    Raises InputError, and SecretsError for a recipient that is not a key.
    """
    from gitsnap.format.recipients import split_all

    named = split_all(recipients)
    if named:
        from gitsnap.secrets.age import check_recipients

        check_recipients(named)  # before any comparison with the archive
    if mode is not None:
        kept = policy.recipients if mode is SecretsMode.ENCRYPT else ()
        policy = replace(policy, secrets_mode=mode, secrets_set=True, recipients=kept, secrets_source="--secrets-mode")
    if named:
        if policy.secrets_set and policy.secrets_mode is not SecretsMode.ENCRYPT:
            raise InputError(f"--recipient has no meaning in the secrets mode {policy.secrets_mode}")
        policy = replace(
            policy,
            recipients=tuple(sorted(named)),
            secrets_mode=SecretsMode.ENCRYPT,
            secrets_set=True,
            secrets_source="--recipient",
        )
    return policy


def say_new_identity(keeper: Keeper | None) -> None:
    """Tell the user to keep a copy of an identity that was created: only the identity can decrypt the Secrets."""
    if keeper is not None and keeper.created_identity is not None:
        terminal.say(
            f"Secrets are encrypted with the new key {keeper.created_identity.resolve()}: "
            "keep a copy elsewhere, without it their values cannot be restored."
        )


def _replace_resources(policy: Policy, selectors: list[str], names: KindNames) -> Policy:
    from gitsnap.policy import resources

    if not selectors:
        return policy
    parsed = () if selectors == _NONE else tuple(sorted({resources.parse(selector, names) for selector in selectors}))
    return replace(policy, resources=parsed, resources_set=True)


def _replace_sensitive_fields(policy: Policy, fields: list[str], names: KindNames) -> Policy:
    from gitsnap.policy import sensitive_fields

    if not fields:
        return policy
    parsed = () if fields == _NONE else tuple(sorted({sensitive_fields.parse(field, names) for field in fields}))
    sensitive_fields.check(parsed, "--sensitive-field")
    return replace(policy, sensitive_fields=parsed, sensitive_fields_set=True)


def _snapshot_resource(cluster: Cluster, name: str) -> JsonObject | None:
    """Return the Snapshot of that name; None if there is none, or if the user may not read Snapshots."""
    from gitsnap.policy.snapshot import SNAPSHOT

    try:
        return cluster.get(ObjectKey(SNAPSHOT, "", name))
    except (KindNotInstalledError, NotFoundError, AccessDeniedError):
        return None
