"""``gitsnap capture``: take one sample now.

This module must not decide what a sample holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.resolve import ArchiveChoice, ClusterChoice, find_policy
from gitsnap.core.errors import EXIT_INCOMPLETE, InputError, UsageError
from gitsnap.core.model import IncompleteKind, SecretsMode, Substitute, Trigger
from gitsnap.render import shortened

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.capture import CaptureResult
    from gitsnap.core.ports import Cluster
    from gitsnap.policy.snapshot import Policy
    from gitsnap.secrets.age import Keeper

_LISTED_PROBLEMS = 20
_LISTED_REFERENCES = 10
_TAG_ID = re.compile(r"[0-9a-f]{40}")


def capture(
    *,
    snapshot: options.CapturedSnapshot = "",
    storage: options.Storage = None,
    cluster: ClusterChoice,
    choice: PolicyChoice,
    identity: options.Identity = None,
    accept_secrets_change: options.AcceptSecretsChange = False,
    require_complete: options.RequireComplete = False,
    adopt: options.Adopt = False,
    continues: options.Continues = "",
    signing_key: options.SigningKey = None,
    full: options.Full = False,
    include_generated: options.IncludeGenerated = False,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Take one sample: read the configuration and record it.

    Exit status 13: a sample was taken, but a kind in it was carried forward or is missing.

    Example: gitsnap capture --snapshot hourly --storage /var/lib/gitsnap

    Example: gitsnap capture --resources 'Deployment.apps in team-*' --resources NetworkPolicy.networking.k8s.io
    """
    from gitsnap import capture as sampling
    from gitsnap.git.signing import signer_from_file
    from gitsnap.secrets import archive_keys

    connected = cluster.open()
    policy = choice.policy(snapshot, connected, require_complete=require_complete)
    facts = connected.info()  # whether the cluster answers is known before anything is made on disk
    archive = _opened(ArchiveChoice(storage=storage), policy.name)
    with archive.writer() as writer:  # another capture may decide on cluster, mode and keys at the same time
        if not adopt:
            sampling.check_cluster(archive, facts)
        policy, keeper = archive_keys.for_capture(
            archive,
            policy,
            identities=identity or [],
            accept_change=accept_secrets_change,
            accept_fields=bool(choice.sensitive_fields),
        )
        request = sampling.Request(
            sampling.tree_info(policy, branch=archive.branch, keeper=keeper),
            keeper,
            datetime.now(UTC),
            Trigger.MANUAL,
            require_complete=policy.require_complete,
            adopt=adopt,
            full=full,
            signer=signer_from_file(signing_key),
            extra=_continuing(archive, continues),
        )
        with terminal.ProgressLine() as progress:
            taken = sampling.capture(connected, archive, request, writer=writer, progress=progress)
    terminal.done(f"the sample {taken.recorded.sample.tag} was taken")
    say_new_identity(keeper)
    if include_generated:
        _say_generated(taken)
    _report(taken, form)


def _opened(choice: ArchiveChoice, name: str) -> GitArchive:
    """The archive of a policy, made where there is none yet; warns of what is odd about it."""
    from gitsnap.archive import create_archive

    archive = create_archive(choice.folder, name)
    _warn_of_outer_repository(archive)
    terminal.say_missing(archive.policy, archive.lacks())
    return archive


def _warn_of_outer_repository(archive: GitArchive) -> None:
    """Warn when a new archive is inside a git work tree of somebody else, where `git add` would take it."""
    storage = Path(archive.location).resolve().parent
    outer = next((folder for folder in (storage, *storage.parents) if (folder / ".git").exists()), None)
    if outer is not None and not archive.samples():
        ignored = f"{storage.relative_to(outer)}/" if storage != outer else f"/{archive.policy}/"
        terminal.say(
            f"warning: {storage} is inside the git work tree {outer}. An archive is a repository of its own: add "
            f"{ignored} to {outer / '.gitignore'}, or choose another folder with --storage."
        )


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """What the command line says of the policy."""

    file: options.PolicyFile = None
    secrets_mode: options.Mode = None
    recipient: options.Recipients = None
    resources: options.AddedKinds = None
    sensitive_fields: options.SensitiveFields = None

    def policy(self, name: str, cluster: Cluster, *, require_complete: bool) -> Policy:
        """The policy of that name, with what was said on top. Raises InputError, UsageError."""
        found = find_policy(name, self.file, cluster)
        policy = overridden(found, self.secrets_mode, self.recipient or [], require_complete)
        return _with_sensitive_fields(_with_resources(policy, self.resources or []), self.sensitive_fields or [])


def _continuing(archive: GitArchive, continues: str) -> tuple[tuple[str, str], ...]:
    """What the first sample says of the archive that this one replaces (docs/FORMAT.md)."""
    if not continues:
        return ()
    if not _TAG_ID.fullmatch(continues):
        raise UsageError(f"--continues {continues}: the id of a tag is needed, 40 hexadecimal digits")
    if archive.samples():
        raise UsageError(
            f"--continues is for the first sample of an archive, and {archive.location} has samples already"
        )
    return (("Continues", continues),)


def say_new_identity(keeper: Keeper | None) -> None:
    """Tell of an identity that was made, since everything hangs on a copy of it."""
    if keeper is not None and keeper.created_identity is not None:
        terminal.say(
            f"Secrets are encrypted with the new key {keeper.created_identity.resolve()}: "
            "keep a copy elsewhere, without it their values cannot be restored."
        )


def overridden(
    policy: Policy, mode: SecretsMode | None, recipients: list[str], require_complete: bool = False
) -> Policy:
    """The policy with what the command line says on top."""
    from dataclasses import replace

    from gitsnap.format.recipients import split_all

    if mode is not None:
        kept = policy.recipients if mode is SecretsMode.ENCRYPT else ()
        policy = replace(
            policy, secrets_mode=mode, secrets_given=True, recipients=kept, secrets_source="--secrets-mode"
        )
    if recipients:
        if policy.secrets_given and policy.secrets_mode is not SecretsMode.ENCRYPT:
            raise InputError(f"--recipient has no meaning in the secrets mode {policy.secrets_mode}")
        policy = replace(
            policy,
            recipients=tuple(sorted(split_all(recipients))),
            secrets_mode=SecretsMode.ENCRYPT,
            secrets_given=True,
            secrets_source="--recipient",
        )
    return replace(policy, require_complete=policy.require_complete or require_complete)


def _with_resources(policy: Policy, words: list[str]) -> Policy:
    """The policy with the kinds of the command line in place of its own."""
    from dataclasses import replace

    from gitsnap.policy import resources as scope

    if not words:
        return policy
    selectors = () if words == ["none"] else tuple(sorted({scope.parse(one) for one in words}))
    return replace(policy, resources=selectors, resources_given=True)


def _with_sensitive_fields(policy: Policy, words: list[str]) -> Policy:
    """The policy with the sensitive fields of the command line in place of its own."""
    from dataclasses import replace

    from gitsnap.policy import sensitive_fields as sensitive

    if not words:
        return policy
    fields = () if words == ["none"] else tuple(sorted({sensitive.parse(one) for one in words}))
    sensitive.check(fields, "--sensitive-field")
    return replace(policy, sensitive_fields=fields, sensitive_given=True)


def _say_generated(taken: CaptureResult) -> None:
    """Name the objects that were left out because a controller generated them."""
    from gitsnap.sveltos.generated import DESCRIPTIONS

    for key, origin in taken.generated.items():
        terminal.say(f"left out: {key}, {DESCRIPTIONS[origin]}")


def _report(taken: CaptureResult, form: options.Output) -> None:
    """Print what a capture did. Raises typer.Exit where the sample is not complete."""
    for remark in _remarks(taken):
        terminal.say(shortened(remark))
    if form is options.Output.TABLE:
        terminal.result(taken.summary)
    else:
        terminal.structured(sample_document(taken), form)
    if taken.recorded.sample.metadata.incomplete:
        raise typer.Exit(EXIT_INCOMPLETE)


def _remarks(taken: CaptureResult) -> Iterator[str]:
    """What a person should know about a sample besides its counts."""
    if taken.secrets_changes:
        yield f"from this sample on, Secrets are kept differently: {'; '.join(taken.secrets_changes)}"
    for lacking in taken.recorded.sample.metadata.incomplete:
        yield f"warning: {lacking} could not be read ({lacking.reason}): {_substitute(lacking)}"
    for key, problem in islice(taken.problems.items(), _LISTED_PROBLEMS):
        yield f"warning: {key}: {problem}"
    yield from taken.left_out
    for kind in taken.not_served:
        yield f"warning: this cluster does not serve the kind {kind} of --resources or spec.resources"
    unresolved = [reference for reference in taken.unresolved if reference.reason not in ("omitted", "optional")]
    for reference in unresolved[:_LISTED_REFERENCES]:
        where = f"{reference.by} refers to {reference.target}"
        yield f"warning: {where}, which is not in the sample ({reference.reason})"
    if len(unresolved) > _LISTED_REFERENCES:
        yield f"warning: and {len(unresolved) - _LISTED_REFERENCES} more references that could not be followed"
    if taken.recorded.left_alone:
        yield f"left alone in the working tree, since changed by hand: {', '.join(taken.recorded.left_alone)}"
    if taken.recorded.worktree_problem:
        yield f"warning: {taken.recorded.worktree_problem}"


def _substitute(lacking: IncompleteKind) -> str:
    """What stands in the sample for what could not be read."""
    if lacking.substitute is Substitute.MISSING:
        return "the sample does not have it"
    objects = "its objects were" if lacking.key is None else "it was"
    return f"{objects} carried forward from the previous sample"


def sample_document(taken: CaptureResult) -> dict[str, object]:
    """The result of a capture in JSON (docs/SCRIPTING.md)."""
    from gitsnap.cli.commands.list import describe

    return {
        "kind": "Capture",
        "sample": describe(taken.recorded.sample),
        "newCommit": taken.recorded.new_commit,
        "generated": [{"object": str(key), "by": str(origin)} for key, origin in taken.generated.items()],
        "notServed": [str(kind) for kind in taken.not_served],
        "unresolved": [
            {"by": str(one.by), "target": str(one.target), "reason": str(one.reason)} for one in taken.unresolved
        ],
    }
