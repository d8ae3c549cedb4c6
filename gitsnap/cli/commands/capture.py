"""``gitsnap capture``: take one sample now.

This module must not decide what a sample holds.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.archive_creation import ArchiveFolder, choose_archive
from gitsnap.cli.documents import sample_document
from gitsnap.cli.policies import DEFAULT_POLICY, PolicyOptions, say_new_identity
from gitsnap.cli.resolve import ClusterOptions
from gitsnap.core.errors import EXIT_INCOMPLETE, UsageError
from gitsnap.core.model import IncompleteKind, Substitute, Trigger
from gitsnap.render import shortened

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.capture import CaptureResult, Request
    from gitsnap.git.signing import SshSigner
    from gitsnap.policy.snapshot import Policy
    from gitsnap.secrets.age import Keeper

_MAX_PROBLEMS = 20
_MAX_REFERENCES = 10
_TAG_ID = re.compile(r"[0-9a-f]{40}")
_AllowEmpty = Annotated[
    bool,
    typer.Option(
        "--allow-empty", help="Take the sample even if there is no object to record. --adopt implies this option."
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
    typer.Option("--scheduled", help="Record a scheduled sample, for cron: `gitsnap prune` may remove such a sample."),
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


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """The options of one sample."""

    require_complete: _RequireComplete = False
    allow_empty: _AllowEmpty = False
    adopt: _Adopt = False
    continues: _Continues = ""
    message: options.Message = None
    scheduled: _Scheduled = False
    full: _Full = False

    @property
    def accepts_empty(self) -> bool:
        """Whether a sample without objects is taken. A rebuilt cluster is empty until it is restored."""
        return self.allow_empty or self.adopt

    @property
    def trigger(self) -> Trigger:
        """The trigger to record."""
        return Trigger.SCHEDULE if self.scheduled else Trigger.MANUAL


def capture(
    *,
    snapshot: options.RecordedSnapshot = "",
    storage: options.Storage = None,
    create: options.Create = False,
    cluster: ClusterOptions,
    policy_options: PolicyOptions,
    identity: options.Identity = None,
    accept_secrets_change: options.AcceptSecretsChange = False,
    sample: SampleOptions,
    signing_key: options.SigningKey = None,
    include_generated: _IncludeGenerated = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Take one sample: read the configuration and record it.

    Exit status 13: the sample was taken, but a kind could not be read or is not served, or no object is left. A kind
    that could not be read is as it was in the previous sample, or missing. Exit status 22: no sample was taken, because
    there is no object to record.

    Example: gitsnap capture --snapshot hourly --storage /var/lib/gitsnap

    Example: gitsnap capture --snapshot hourly --message 'CHG-1042: before the upgrade'

    Example: gitsnap capture --resources 'Deployment.apps in team-*' --resources NetworkPolicy.networking.k8s.io
    """
    from gitsnap import capture as sampling
    from gitsnap.git.signing import signer_from_file
    from gitsnap.secrets import archive_keys

    connected = cluster.open()
    policy_name = policy_options.policy_name(snapshot)
    inputs = (cluster.from_dir, policy_options.file)
    create = create or bool(sample.continues)
    chosen = choose_archive(storage, policy_name, create=create, default=DEFAULT_POLICY, inputs=inputs)
    policy = policy_options.policy(chosen.policy, connected, require_complete=sample.require_complete)
    signer = signer_from_file(signing_key)
    info = connected.info()  # a cluster that does not answer is reported before anything is created on disk
    if not sample.accepts_empty:
        sampling.check_folder(info)
    archive = _open_archive(chosen)
    with archive.writer() as writer:  # so that no other capture changes the cluster, the mode or the keys meanwhile
        if not sample.adopt:
            sampling.check_cluster(archive, info)
        policy, keeper = archive_keys.for_capture(
            archive,
            policy,
            identities=identity or [],
            cluster=connected,
            accept_change=accept_secrets_change,
            accept_fields=bool(policy_options.sensitive_fields),
        )
        request = _request(archive, policy, keeper, sample, signer)
        with terminal.ProgressLine() as progress:
            result = sampling.capture(connected, archive, request, writer=writer, progress=progress)
    terminal.note_finished(f"the sample {result.recorded.sample.tag} was taken")
    say_new_identity(keeper)
    if include_generated:
        _say_generated(result)
    _report(result, _text(result, _diff_command(policy_name, storage)), form, allow_empty=sample.accepts_empty)


def _request(
    archive: GitArchive, policy: Policy, keeper: Keeper | None, sample: SampleOptions, signer: SshSigner | None
) -> Request:
    """Return the request for a sample that is taken now. Raises UsageError for a wrong --continues."""
    from gitsnap.capture import Request, tree_info

    return Request(
        tree_info(policy, branch=archive.branch, keeper=keeper),
        keeper,
        datetime.now(UTC),
        sample.trigger,
        require_complete=policy.require_complete,
        allow_empty=sample.accepts_empty,
        adopt=sample.adopt,
        full=sample.full,
        signer=signer,
        message=sample.message or "",
        extra=_continues_line(archive, sample.continues),
    )


def _open_archive(chosen: ArchiveFolder) -> GitArchive:
    """Open the archive, or create it. Prints warnings about the archive."""
    archive = chosen.open()
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


def _report(result: CaptureResult, text: str, form: terminal.Output, *, allow_empty: bool) -> None:
    """Print the result of a capture. Raises typer.Exit if the sample may lack objects."""
    for message in _messages(result, allow_empty=allow_empty):
        terminal.say(shortened(message))
    if form is terminal.Output.TABLE:
        terminal.print_result(text)
    else:
        terminal.print_document(_document(result), form)
    if _may_lack_objects(result, allow_empty=allow_empty):
        raise typer.Exit(EXIT_INCOMPLETE)


def _may_lack_objects(result: CaptureResult, *, allow_empty: bool) -> bool:
    """Return whether the sample may lack objects that the user expects."""
    metadata = result.recorded.sample.metadata
    return bool(metadata.incomplete or result.not_served or (not metadata.objects and not allow_empty))


def _text(result: CaptureResult, diff: str) -> str:
    """Return the summary and the names of changed objects. ``diff``: the command that shows all changes."""
    from gitsnap.render.change_lines import changed_lines, kind_lines

    changed = [(entry.action, key) for entry, key in result.changed]
    if result.recorded.sample.metadata.previous is None:
        lines = kind_lines(key for _, key in changed)
    else:
        lines = changed_lines(changed, more=diff)
    return "\n".join([result.summary, *lines])


def _diff_command(snapshot: str, storage: Path | None) -> str:
    """Return the command that shows the changes of the newest sample, with the archive and storage that the user named.

    ``snapshot``: the policy in --snapshot or --file; ``""`` for the only archive.
    """
    words = ["gitsnap", "diff", *(["--snapshot", snapshot] if snapshot else [])]
    if storage is not None and os.environ.get("GITSNAP_STORAGE") != str(storage):
        words += ["--storage", str(storage)]
    return shlex.join(words)


def _messages(result: CaptureResult, *, allow_empty: bool) -> Iterator[str]:
    """Yield the warnings and notes about a sample."""
    if result.secrets_changes:
        yield f"from this sample on, Secrets are stored differently: {'; '.join(result.secrets_changes)}"
    for incomplete in result.recorded.sample.metadata.incomplete:
        yield f"warning: {incomplete} could not be read ({incomplete.reason}): {_describe_substitute(incomplete)}"
    for key, problem in islice(result.problems.items(), _MAX_PROBLEMS):
        yield f"warning: {key}: {problem}"
    yield from result.left_out
    yield from _describe_absent(result, allow_empty=allow_empty)
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


def _describe_absent(result: CaptureResult, *, allow_empty: bool) -> Iterator[str]:
    """Yield a warning for each part of the policy without an object, and for a sample without objects."""
    for kind in result.not_served:
        yield f"warning: this cluster does not serve the kind {kind} of --resources or spec.resources"
    for entry in result.not_matched:
        yield f"warning: no object matches the entry '{entry}' of --resources or spec.resources"
    if not result.recorded.sample.metadata.objects and not allow_empty:
        yield "warning: the sample is empty: the cluster has no object that is captured (--allow-empty accepts this)"


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
        "notMatched": [str(entry) for entry in result.not_matched],
        "changed": [
            {"action": entry.action, "kind": str(key.kind), "namespace": key.namespace, "name": key.name}
            for entry, key in result.changed
        ],
        "unresolved": [
            {"by": str(reference.by), "target": str(reference.target), "reason": str(reference.reason)}
            for reference in result.unresolved
        ],
    }
