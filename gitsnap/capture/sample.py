"""Takes one sample: checks the cluster, reads it, and records the sample in the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from gitsnap.capture.collector import READING_SECONDS, Collected, Progress, collect
from gitsnap.capture.context import counts_as_unresolved
from gitsnap.capture.empty_sample import check_not_empty
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.commits import ChangedFile
from gitsnap.core.errors import IncompleteError, InputError, SecretsError, WrongClusterError
from gitsnap.core.model import (
    FIELD_MANAGER,
    Area,
    BlobId,
    CommitId,
    Kind,
    ObjectKey,
    ResourceSelector,
    SecretsInfo,
    SecretsMode,
    TagId,
    TreeInfo,
    Trigger,
)
from gitsnap.core.ports import Archive, ArchiveWriter, Cluster, ClusterInfo, SecretsKeeper, Tree
from gitsnap.core.recording import RecordedSample, SampleDraft
from gitsnap.core.text import join_names, plural
from gitsnap.format import path_of, shown_key
from gitsnap.format.fingerprint import key_id
from gitsnap.policy.snapshot import Policy
from gitsnap.secrets.mode_change import changes
from gitsnap.sveltos import kinds
from gitsnap.sveltos.generated import DESCRIPTIONS, INCLUDABLE, Origin
from gitsnap.sveltos.normalize import RULES
from gitsnap.sveltos.references import Unresolved, UnresolvedReason

Files = Mapping[Area, Mapping[str, BlobId]]
"""Path below each area -> id of the content."""

_MOST_NAMED = 3
"""The largest number of left-out objects that a remark names."""


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """The result of a capture."""

    recorded: RecordedSample
    unresolved: tuple[Unresolved, ...]
    """References that could not be resolved, including those to objects that are omitted on purpose."""
    generated: Mapping[ObjectKey, Origin]
    """Objects that are left out because a controller generated them, sorted."""
    not_served: tuple[Kind, ...] = ()
    """Kinds that the policy adds and the server does not serve."""
    not_matched: tuple[ResourceSelector, ...] = ()
    """Entries of the policy's resources that match no object."""
    secrets_changes: tuple[str, ...] = ()
    """Differences in how Secrets are kept since the previous sample, one phrase each."""
    problems: Mapping[ObjectKey, str] = field(default_factory=dict)
    """Messages about single objects that could not be archived, sorted."""
    missed: int | None = None
    """The number of objects that follow mode missed since the last sample; None if this process does not follow."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """One remark for each kind and origin of left-out objects that Sveltos uses as configuration."""
        referred = {reference.target for reference in self.unresolved if reference.reason is UnresolvedReason.OMITTED}
        by_origin: dict[tuple[Kind, Origin], list[ObjectKey]] = {}
        for key, origin in self.generated.items():
            if origin in INCLUDABLE and (key.kind in kinds.USER_KINDS or key in referred):
                by_origin.setdefault((key.kind, origin), []).append(key)
        return tuple(_left_out(kind, origin, keys) for (kind, origin), keys in by_origin.items())

    @property
    def changed(self) -> list[tuple[ChangedFile, ObjectKey]]:
        """The changes since the previous commit, each with its object, sorted by path.

        Files that gitsnap did not write, and that the sample removed, are left out.
        """
        prefix = f"{Area.CONFIGURATION}/"
        keyed = ((entry, shown_key(entry.path.removeprefix(prefix))) for entry in self.recorded.changed)
        return [(entry, key) for entry, key in keyed if key is not None]

    @property
    def summary(self) -> str:
        """``hourly/2023-08-26T05-20-00Z: 132 objects, 1 modified, commit 3f2a91c04b7e``, or ``unchanged``."""
        sample, changes = self.recorded.sample, self.recorded.changes
        counts = ((changes.added, "added"), (changes.modified, "modified"), (changes.deleted, "deleted"))
        phrases = [f"{count} {action}" for count, action in counts if count]
        if not self.recorded.new_commit:
            phrases = ["unchanged"]
        elif not phrases:
            phrases = [f"{mark} changed" for mark in self.recorded.marks] or ["inventory changed"]
        objects = plural(sample.metadata.objects, "object")
        return f"{sample.tag}: {objects}, {', '.join(phrases)}, commit {sample.commit[:12]}"


def _left_out(kind: Kind, origin: Origin, keys: Sequence[ObjectKey]) -> str:
    names = join_names([key.namespaced_name for key in keys], most=_MOST_NAMED)
    left_out = f"left out: {plural(len(keys), 'object')} of the kind {kind}, {DESCRIPTIONS[origin]}: {names}"
    if kind not in kinds.USER_KINDS:
        return f"{left_out}. Objects in the sample refer to them; a rollback leaves them to their owner"
    return (
        f"{left_out}. The sample has the objects that they refer to. To include them, use `--resources {kind}` or an "
        "entry in spec.resources"
    )


def tree_info(policy: Policy, *, branch: str, keeper: SecretsKeeper | None) -> TreeInfo:
    """The settings of a capture under this policy, as the tree records them.

    Raises InputError for a policy that contradicts itself, SecretsError if the secrets mode needs a key or recipients
    and there are none.
    """
    mode = policy.secrets_mode
    if mode is SecretsMode.OMIT and any(selector.kind == kinds.SECRET for selector in policy.resources):
        raise InputError(
            "the policy adds Secrets (spec.resources) and omits all Secrets (secrets mode omit)",
            hint="Remove one of the two from the policy.",
        )
    captured = kinds.CAPTURED_KINDS - ({kinds.SECRET} if mode is SecretsMode.OMIT else frozenset())
    return TreeInfo(
        policy=policy.name,
        branch=branch,
        kinds=tuple(sorted(captured)),
        secrets=_secrets_info(policy, keeper),
        resources=policy.resources,
        rules=RULES,
    )


def _secrets_info(policy: Policy, keeper: SecretsKeeper | None) -> SecretsInfo:
    mode = policy.secrets_mode
    if mode in (SecretsMode.OMIT, SecretsMode.PLAINTEXT):
        if policy.sensitive_fields:
            listed = ", ".join(map(str, policy.sensitive_fields))
            raise InputError(
                f"the secrets mode {mode} cannot hide sensitive fields, and the policy has some: {listed}",
                hint="Choose the mode redact or encrypt, or hide no field (--sensitive-field none).",
            )
        return SecretsInfo(mode)
    if keeper is None:
        raise SecretsError(
            f"the secrets mode {mode} needs a fingerprint key, and there is none",
            hint="Choose --secrets-mode omit to leave Secrets out.",
        )
    recipients = keeper.recipients if mode is SecretsMode.ENCRYPT else ()
    if mode is SecretsMode.ENCRYPT and not recipients:
        raise SecretsError(
            "Secrets cannot be encrypted: there is no recipient",
            hint="Name one with --recipient, or choose --secrets-mode redact.",
        )
    return SecretsInfo(mode, key_id(keeper.fingerprint_key), tuple(sorted(recipients)), policy.sensitive_fields)


def check_cluster(archive: Archive, info: ClusterInfo) -> None:
    """Raise WrongClusterError if the newest sample of the archive is of another cluster."""
    samples = archive.samples()
    if samples and samples[-1].metadata.cluster != info.uid:
        raise WrongClusterError(
            f"the archive {archive.location} belongs to the cluster {samples[-1].metadata.cluster}, "
            f"but {info.description} is the cluster {info.uid}",
            hint="Choose the right --context or another --storage. To continue this archive with a rebuilt cluster, "
            "capture once with --adopt.",
        )


@dataclass(frozen=True, slots=True)
class Request:
    """The parameters of one capture."""

    info: TreeInfo
    keeper: SecretsKeeper | None
    time: datetime
    """The time of the sample, with a time zone."""
    trigger: Trigger
    target: TagId | None = None
    """Before a rollback: the tag of the sample that is restored."""
    detached: bool = False
    """Whether the sample is detached: its tag is added, and the branch is not moved. For a copy of a remote archive."""
    imported: str = ""
    """The folder of the old Sveltos feature that is captured, ``""`` for a cluster."""
    require_complete: bool = False
    allow_empty: bool = False
    """Whether a sample without objects may be recorded, for any cluster."""
    adopt: bool = False
    """Whether the archive may continue with another cluster."""
    full: bool = False
    """Whether objects that seem unchanged are read completely too."""
    signer: Callable[[bytes], bytes] | None = None
    """Returns the signature of the tag's content; None for a tag without a signature."""
    reading_seconds: float = READING_SECONDS
    """Time limit for reading the cluster; kinds that are not read by then are carried forward, or missing."""
    also: frozenset[ObjectKey] = frozenset()
    """Objects to include even without a reference, or if a controller generated them: the objects of a rollback."""
    message: str = ""
    """The reason for the sample (``gitsnap.format.check_message``)."""
    extra: tuple[tuple[str, str], ...] = ()
    """Further keys of the tag, with encoded values."""
    names_managers: bool = True
    """Whether the commit names the field manager that wrote each object last."""


class ChangeRecorder(Protocol):
    """Follow mode of this process. A sample counts what its changes missed."""

    def settle(self, writer: ArchiveWriter, files: Files, revision: int) -> int:
        """Record all changes up to the resource version of a sample, before the sample is recorded.

        ``files``: the files of the sample. Returns the number of objects whose configuration differs from the changes.
        """

    def continue_from(self, commit: CommitId, files: Files) -> None:
        """Continue after the sample was recorded. ``commit``: the commit of the sample."""


def capture(
    cluster: Cluster,
    archive: Archive,
    request: Request,
    *,
    writer: ArchiveWriter | None = None,
    follow: ChangeRecorder | None = None,
    progress: Progress = lambda _kind, _count: None,
) -> CaptureResult:
    """Take one sample.

    ``writer``: the writer of the archive, if the caller holds its lock. A caller that reads the secrets mode,
    recipients or keys from the archive must hold the lock: another capture may record the first sample in between.
    ``follow``: follow mode of this process, if it follows the cluster for this archive.
    Raises WrongClusterError unless ``request.adopt``, IncompleteError if a complete sample is required and cannot be
    taken, EmptyError if there is no object to record (``check_not_empty``), SecretsError if Secrets cannot be kept,
    ClusterError if the cluster cannot be read, and StorageError or ConflictError if the archive cannot be written. No
    sample is recorded then.
    """
    cluster_info = cluster.info()
    missed: int | None = None
    with archive.writer() if writer is None else nullcontext(writer) as locked:
        if not request.adopt:
            check_cluster(archive, cluster_info)
        info, previous = request.info, _previous(archive, locked)
        _check_key(previous, info)
        cache = locked.cache if cluster_info.keeps_versions and not request.full else None
        unchanged = Unchanged(info, cache=cache, previous=previous, now=int(request.time.timestamp()))
        with cluster.reading_within(request.reading_seconds):
            collected = collect(
                cluster,
                info,
                keeper=request.keeper,
                previous=locked.head if locked.ends_in_change else previous,
                store=locked.store,
                unchanged=unchanged,
                also=request.also,
                progress=progress,
            )
        _check_complete(collected, request)
        if not request.allow_empty and not collected.files.get(Area.CONFIGURATION):
            if locked.head is not None:
                locked.head.files(Area.CONFIGURATION)  # a damaged archive is reported as damaged
            check_not_empty(collected, cluster_info, archive.samples())
        if follow is not None:
            missed = follow.settle(locked, collected.files, unchanged.result().revision)
            request = replace(request, extra=(*request.extra, _followed(missed)))
        recorded = locked.record(_draft(request, cluster_info, collected, unchanged))
        if follow is not None:
            follow.continue_from(recorded.sample.commit, collected.files)
    return CaptureResult(
        recorded,
        collected.unresolved,
        collected.generated,
        collected.not_served,
        collected.not_matched,
        changes(previous.info.secrets, info.secrets) if previous is not None else (),
        collected.problems,
        missed,
    )


def _followed(missed: int) -> tuple[str, str]:
    """The line of the tag with the number of objects that follow mode missed (docs/FORMAT.md, "Changes")."""
    return "Followed", f"missed {missed}" if missed else "complete"


def _draft(request: Request, cluster: ClusterInfo, collected: Collected, unchanged: Unchanged) -> SampleDraft:
    return SampleDraft(
        info=request.info,
        files=collected.files,
        time=request.time,
        trigger=request.trigger,
        target=request.target,
        detached=request.detached,
        imported=request.imported,
        message=request.message,
        cluster=cluster.uid,
        server=cluster.version,
        consistency=collected.consistency,
        incomplete=collected.incomplete,
        unresolved=sum(counts_as_unresolved(reference) for reference in collected.unresolved),
        managers={**(collected.managers if request.names_managers else {}), **_own_writes(request)},
        cache=unchanged.result() if cluster.keeps_versions and not request.also else None,
        signer=request.signer,
        extra=request.extra,
    )


def _check_complete(collected: Collected, request: Request) -> None:
    """Raise IncompleteError if a complete sample is required and an object is missing or carried.

    The sample before a rollback must have the objects that the rollback writes. Other objects that could not be
    archived do not prevent the rollback.
    """
    lacking = [
        entry
        for entry in collected.incomplete
        if entry.key is None or entry.key in request.also or request.trigger is not Trigger.BEFORE_ROLLBACK
    ]
    if request.require_complete and lacking:
        listed = ", ".join(f"{entry} ({entry.reason})" for entry in lacking)
        raise IncompleteError(
            f"no sample was taken because these kinds or objects could not be read: {listed}",
            hint="Remove the cause, or capture without --require-complete to carry them forward.",
        )


def _previous(archive: Archive, writer: ArchiveWriter) -> Tree | None:
    """The tree of the newest sample. The writer's own tree if it is the same: its files are listed once."""
    samples = archive.samples()
    if not samples:
        return None
    is_head = writer.head_commit == samples[-1].commit and not writer.ends_in_change
    return writer.head if is_head else archive.tree(samples[-1])


def _own_writes(request: Request) -> dict[str, str]:
    """The field manager of the objects that a rollback wrote. ``managedFields`` do not record a removal of fields."""
    written = request.also if request.trigger is Trigger.AFTER_ROLLBACK else ()
    return {path_of(key): FIELD_MANAGER for key in written}


def _check_key(previous: Tree | None, info: TreeInfo) -> None:
    """Raise SecretsError for a second fingerprint key: with it every Secret would seem changed."""
    if previous is None or not previous.info.secrets.fingerprint_key or not info.secrets.fingerprint_key:
        return
    if previous.info.secrets.fingerprint_key != info.secrets.fingerprint_key:
        raise SecretsError(
            f"the archive's Secrets are fingerprinted with the key {previous.info.secrets.fingerprint_key}, "
            f"but the key at hand is {info.secrets.fingerprint_key}",
            hint="Restore the fingerprint.key of the archive, or name an --identity that can decrypt it.",
        )
