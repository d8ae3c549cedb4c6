"""``gitsnap capture``: take one sample now.

This module must not decide what a sample holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import completion, options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.policies import PolicyOptions, say_new_identity
from gitsnap.cli.resolve import ClusterOptions
from gitsnap.core.errors import EXIT_INCOMPLETE, UsageError
from gitsnap.core.model import IncompleteKind, Substitute, Trigger
from gitsnap.render import shortened

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.capture import CaptureResult

_MAX_PROBLEMS = 20
_MAX_REFERENCES = 10
_TAG_ID = re.compile(r"[0-9a-f]{40}")


_Snapshot = Annotated[
    str,
    typer.Option(
        "--snapshot",
        metavar="POLICY",
        help="Snapshot policy; the archive has the same name. Default: the policy in --file, else `manual`.",
        autocompletion=completion.complete_policy,
    ),
]
_RequireComplete = Annotated[
    bool, typer.Option("--require-complete", help="Take no sample if a kind cannot be read (exit status 12).")
]
_Adopt = Annotated[
    bool, typer.Option("--adopt", help="Continue the archive with this cluster, because its cluster was rebuilt.")
]
_Scheduled = Annotated[
    bool,
    typer.Option("--scheduled", help="Record a scheduled sample, as for cron: `gitsnap prune` may remove it later."),
]
_Continues = Annotated[
    str,
    typer.Option(
        "--continues",
        metavar="ID",
        help="For the first sample: id of the newest tag in the archive that this archive replaces.",
    ),
]
_Full = Annotated[
    bool,
    typer.Option("--full", help="Read all objects, including objects that seem unchanged since the last sample."),
]
_IncludeGenerated = Annotated[
    bool,
    typer.Option(
        "--include-generated", help="Also list the objects that were left out because a controller generated them."
    ),
]


def capture(
    *,
    snapshot: _Snapshot = "",
    storage: options.Storage = None,
    cluster: ClusterOptions,
    policy_options: PolicyOptions,
    identity: options.Identity = None,
    accept_secrets_change: options.AcceptSecretsChange = False,
    require_complete: _RequireComplete = False,
    adopt: _Adopt = False,
    continues: _Continues = "",
    message: options.Message = None,
    scheduled: _Scheduled = False,
    signing_key: options.SigningKey = None,
    full: _Full = False,
    include_generated: _IncludeGenerated = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Take one sample: read the configuration and record it.

    Exit status 13: the sample was taken, but a kind could not be read. The sample has the kind as it was in the
    previous sample, or lacks it.

    Example: gitsnap capture --snapshot hourly --storage /var/lib/gitsnap

    Example: gitsnap capture --snapshot hourly --message 'CHG-1042: before the upgrade'

    Example: gitsnap capture --resources 'Deployment.apps in team-*' --resources NetworkPolicy.networking.k8s.io
    """
    from gitsnap import capture as sampling
    from gitsnap.git.signing import signer_from_file
    from gitsnap.secrets import archive_keys

    connected = cluster.open()
    policy = policy_options.policy(snapshot, connected, require_complete=require_complete)
    info = connected.info()  # a cluster that does not answer is reported before anything is created on disk
    archive = _open_archive(storage, policy.name)
    with archive.writer() as writer:  # so that no other capture changes the cluster, the mode or the keys meanwhile
        if not adopt:
            sampling.check_cluster(archive, info)
        policy, keeper = archive_keys.for_capture(
            archive,
            policy,
            identities=identity or [],
            accept_change=accept_secrets_change,
            accept_fields=bool(policy_options.sensitive_fields),
        )
        request = sampling.Request(
            sampling.tree_info(policy, branch=archive.branch, keeper=keeper),
            keeper,
            datetime.now(UTC),
            Trigger.SCHEDULE if scheduled else Trigger.MANUAL,
            require_complete=policy.require_complete,
            adopt=adopt,
            full=full,
            signer=signer_from_file(signing_key),
            message=message or "",
            extra=_continues_line(archive, continues),
        )
        with terminal.ProgressLine() as progress:
            result = sampling.capture(connected, archive, request, writer=writer, progress=progress)
    terminal.note_finished(f"the sample {result.recorded.sample.tag} was taken")
    say_new_identity(keeper)
    _report(result, form, include_generated=include_generated)


def _open_archive(storage: Path | None, name: str) -> GitArchive:
    """Open the archive of a policy, or create it. Prints warnings about the archive."""
    from gitsnap.archive import create_archive

    archive = create_archive(storage or Path(), name)
    _warn_of_outer_repository(archive)
    terminal.warn_missing(archive.policy, archive.missing_parts())
    return archive


def _warn_of_outer_repository(archive: GitArchive) -> None:
    """Warn if a new archive is inside the work tree of another repository, where `git add` would add it."""
    storage = Path(archive.location).resolve().parent
    outer = next((folder for folder in (storage, *storage.parents) if (folder / ".git").exists()), None)
    if outer is not None and not archive.samples():
        ignored = f"{storage.relative_to(outer)}/" if storage != outer else f"/{archive.policy}/"
        terminal.say(
            f"warning: {storage} is inside the git work tree {outer}. An archive is a repository of its own: add "
            f"{ignored} to {outer / '.gitignore'}, or choose another folder with --storage."
        )


def _continues_line(archive: GitArchive, continues: str) -> tuple[tuple[str, str], ...]:
    """Return the line of the first sample that names the archive that this archive replaces (docs/FORMAT.md).

    Raises UsageError.
    """
    if not continues:
        return ()
    if not _TAG_ID.fullmatch(continues):
        raise UsageError(f"--continues {continues}: the id of a tag is needed, 40 hexadecimal digits")
    if archive.samples():
        raise UsageError(
            f"--continues is for the first sample of an archive, and {archive.location} has samples already"
        )
    return (("Continues", continues),)


def _say_generated(result: CaptureResult) -> None:
    """List the objects that were left out because a controller generated them."""
    from gitsnap.sveltos.generated import DESCRIPTIONS

    for key, origin in result.generated.items():
        terminal.say(f"left out: {key}, {DESCRIPTIONS[origin]}")


def _report(result: CaptureResult, form: terminal.Output, *, include_generated: bool) -> None:
    """Print the result of a capture. Raises typer.Exit if the sample is not complete."""
    if include_generated:
        _say_generated(result)
    for message in _messages(result):
        terminal.say(shortened(message))
    if form is terminal.Output.TABLE:
        terminal.print_result(result.summary)
    else:
        terminal.print_document(_document(result), form)
    if result.recorded.sample.metadata.incomplete:
        raise typer.Exit(EXIT_INCOMPLETE)


def _messages(result: CaptureResult) -> Iterator[str]:
    """Yield the warnings and notes about a sample."""
    if result.secrets_changes:
        yield f"from this sample on, Secrets are stored differently: {'; '.join(result.secrets_changes)}"
    for incomplete in result.recorded.sample.metadata.incomplete:
        yield f"warning: {incomplete} could not be read ({incomplete.reason}): {_describe_substitute(incomplete)}"
    for key, problem in islice(result.problems.items(), _MAX_PROBLEMS):
        yield f"warning: {key}: {problem}"
    yield from result.left_out
    for kind in result.not_served:
        yield f"warning: this cluster does not serve the kind {kind} of --resources or spec.resources"
    unresolved = [reference for reference in result.unresolved if reference.reason not in ("omitted", "optional")]
    for reference in unresolved[:_MAX_REFERENCES]:
        described = f"{reference.by} refers to {reference.target}"
        yield f"warning: {described}, which is not in the sample ({reference.reason})"
    if len(unresolved) > _MAX_REFERENCES:
        yield f"warning: and {len(unresolved) - _MAX_REFERENCES} more references that could not be followed"
    if result.recorded.left_alone:
        yield f"not updated in the working tree, since edited by hand: {', '.join(result.recorded.left_alone)}"
    if result.recorded.worktree_error:
        yield f"warning: {result.recorded.worktree_error}"


def _describe_substitute(incomplete: IncompleteKind) -> str:
    """Describe the substitute for a kind or an object that could not be read."""
    if incomplete.substitute is Substitute.MISSING:
        return "the sample does not have it"
    objects = "its objects were" if incomplete.key is None else "it was"
    return f"{objects} carried forward from the previous sample"


def _document(result: CaptureResult) -> dict[str, object]:
    """Return the JSON form of the result (docs/SCRIPTING.md)."""
    return {
        "kind": "Capture",
        "sample": sample_document(result.recorded.sample),
        "newCommit": result.recorded.new_commit,
        "generated": [{"object": str(key), "by": str(origin)} for key, origin in result.generated.items()],
        "notServed": [str(kind) for kind in result.not_served],
        "unresolved": [
            {"by": str(reference.by), "target": str(reference.target), "reason": str(reference.reason)}
            for reference in result.unresolved
        ],
    }
