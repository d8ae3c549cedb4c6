"""One sample: the right cluster is checked, everything is read, and the archive records it.

This module must not know how an archive or a cluster does its work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime

from gitsnap.capture.collector import READING_SECONDS, Collected, Progress, collect
from gitsnap.capture.context import counts_as_unresolved
from gitsnap.capture.unchanged import Unchanged
from gitsnap.core.errors import IncompleteError, InputError, SecretsError, WrongClusterError
from gitsnap.core.model import (
    FIELD_MANAGER,
    ClusterInfo,
    Kind,
    ObjectKey,
    SecretsInfo,
    SecretsMode,
    TagId,
    TreeInfo,
    Trigger,
)
from gitsnap.core.ports import Archive, ArchiveWriter, Cluster, RecordedSample, SampleDraft, SecretsKeeper, Tree
from gitsnap.format import path_of
from gitsnap.format.fingerprint import key_id
from gitsnap.policy.snapshot import Policy
from gitsnap.secrets.mode_change import changes
from gitsnap.sveltos import kinds
from gitsnap.sveltos.generated import DESCRIPTIONS, INCLUDABLE, Origin
from gitsnap.sveltos.normalize import RULES
from gitsnap.sveltos.references import Unresolved, UnresolvedReason

_NAMED = 3
"""How many objects that were left out a remark names."""


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What a capture did."""

    recorded: RecordedSample
    unresolved: tuple[Unresolved, ...]
    """References that could not be followed, those omitted on purpose included."""
    generated: Mapping[ObjectKey, Origin]
    """Objects left out because a controller generated them, and which, sorted."""
    not_served: tuple[Kind, ...] = ()
    """Kinds that the policy adds and the server does not know."""
    secrets_changes: tuple[str, ...] = ()
    """How Secrets are kept in another way than in the sample before, one phrase each."""
    problems: Mapping[ObjectKey, str] = field(default_factory=dict)
    """Why single objects could not be taken, in words, sorted."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """One remark for each kind of which objects were left out that are configuration for Sveltos."""
        referred = {reference.target for reference in self.unresolved if reference.reason is UnresolvedReason.OMITTED}
        found: dict[tuple[Kind, Origin], list[ObjectKey]] = {}
        for key, origin in self.generated.items():
            if origin in INCLUDABLE and (key.kind in kinds.USER_KINDS or key in referred):
                found.setdefault((key.kind, origin), []).append(key)
        return tuple(_left_out(kind, origin, keys) for (kind, origin), keys in found.items())

    @property
    def summary(self) -> str:
        """``hourly/2023-08-26T05-20-00Z: 132 objects, 1 modified, commit 3f2a91c04b7e``, or ``unchanged``."""
        sample, changes = self.recorded.sample, self.recorded.changes
        counts = ((changes.added, "added"), (changes.modified, "modified"), (changes.deleted, "deleted"))
        listed = [f"{count} {what}" for count, what in counts if count]
        if not self.recorded.new_commit:
            listed = ["unchanged"]
        elif not listed:
            listed = [f"{mark} changed" for mark in self.recorded.marks] or ["inventory changed"]
        objects = f"{sample.metadata.objects} object{'' if sample.metadata.objects == 1 else 's'}"
        return f"{sample.tag}: {objects}, {', '.join(listed)}, commit {sample.commit[:12]}"


def _left_out(kind: Kind, origin: Origin, keys: Sequence[ObjectKey]) -> str:
    counted = f"1 object of the kind {kind}" if len(keys) == 1 else f"{len(keys)} objects of the kind {kind}"
    named = ", ".join(f"{key.namespace}/{key.name}" if key.namespace else key.name for key in keys[:_NAMED])
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    left_out = f"left out: {counted}, {DESCRIPTIONS[origin]}: {named}{more}"
    if kind not in kinds.USER_KINDS:
        return f"{left_out}. Other objects refer to it; a rollback leaves it to its owner"
    return (
        f"{left_out}. What a left-out object refers to is in the sample. `--resources {kind}`, or an entry in "
        "spec.resources, includes such objects"
    )


def tree_info(policy: Policy, *, branch: str, keeper: SecretsKeeper | None) -> TreeInfo:
    """What a capture under this policy asks for, as the tree will say.

    Raises InputError for what this version cannot capture, SecretsError when the mode needs a key and there is none.
    """
    mode = policy.secrets_mode
    if mode is SecretsMode.OMIT and any(selector.kind == kinds.SECRET for selector in policy.resources):
        raise InputError(
            "the policy adds Secrets (resources), and leaves all Secrets out (secrets mode omit)",
            hint="Take one of the two out of the policy.",
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
                f"in the secrets mode {mode} no field can be hidden, and these are to be: {listed}",
                hint="Choose the mode redact or encrypt, or say that no field is hidden (--sensitive-field none).",
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
    """Raises WrongClusterError when the archive's newest sample is of another cluster than the one that answers."""
    samples = archive.samples()
    if samples and samples[-1].metadata.cluster != info.uid:
        raise WrongClusterError(
            f"the archive {archive.location} belongs to the cluster {samples[-1].metadata.cluster}, "
            f"but {info.server} (context {info.context}) is the cluster {info.uid}",
            hint="Choose the right --context, or another --storage. For a cluster that was rebuilt, and is to go on "
            "in this archive, capture once with --adopt.",
        )


@dataclass(frozen=True, slots=True)
class Request:
    """Which sample is to be taken: of what, when and why."""

    info: TreeInfo
    keeper: SecretsKeeper | None
    time: datetime
    """The moment of the sample (aware)."""
    trigger: Trigger
    target: TagId | None = None
    """Before a rollback: the tag of the sample that it goes back to."""
    beside: bool = False
    """Whether the archive is a copy of one that somebody else writes: the branch stays, and the tag alone is new."""
    imported: str = ""
    """The folder of the old feature that stands in for the cluster, ``""`` for a cluster."""
    require_complete: bool = False
    adopt: bool = False
    """Whether the archive goes on with another cluster than before."""
    full: bool = False
    """Whether objects are looked at that seem unchanged."""
    signer: Callable[[bytes], bytes] | None = None
    """What signs the tag; None for a tag without a signature."""
    reading_seconds: float = READING_SECONDS
    """For how long the cluster is read; what is not read by then is carried forward, or missing."""
    also: frozenset[ObjectKey] = frozenset()
    """Objects to hold even if nothing refers to them or a controller generated them: what a rollback is to write."""
    extra: tuple[tuple[str, str], ...] = ()
    """Further keys of the tag, with their values encoded."""


def capture(
    cluster: Cluster,
    archive: Archive,
    request: Request,
    *,
    writer: ArchiveWriter | None = None,
    progress: Progress = lambda _what, _count: None,
) -> CaptureResult:
    """Take one sample.

    ``writer``: the writer of the archive, where the caller holds its lock. Whoever takes mode, recipients or keys from
    the archive does so under the lock: another capture may make the archive's first sample meanwhile.
    Raises WrongClusterError unless the cluster is to be adopted, IncompleteError where a complete sample is required,
    and whatever keeps the cluster from being read or the archive from being written; then nothing is recorded.
    """
    facts = cluster.info()
    with archive.writer() if writer is None else nullcontext(writer) as locked:
        if not request.adopt:
            check_cluster(archive, facts)
        info, previous = request.info, _previous(archive)
        _check_key(previous, info)
        seen = locked.seen if facts.keeps_versions and not request.full else None
        unchanged = Unchanged(info, seen=seen, previous=previous, now=int(request.time.timestamp()))
        with cluster.reading_within(request.reading_seconds):
            collected = collect(
                cluster,
                info,
                keeper=request.keeper,
                previous=previous,
                store=locked.store,
                unchanged=unchanged,
                also=request.also,
                progress=progress,
            )
        _check_complete(collected, request)
        recorded = locked.record(_draft(request, facts, collected, unchanged))
    return CaptureResult(
        recorded,
        collected.unresolved,
        collected.generated,
        collected.not_served,
        changes(previous.info.secrets, info.secrets) if previous is not None else (),
        collected.problems,
    )


def _draft(request: Request, facts: ClusterInfo, collected: Collected, unchanged: Unchanged) -> SampleDraft:
    """The sample as the archive takes it: what was asked for, and what was found."""
    return SampleDraft(
        info=request.info,
        files=collected.files,
        time=request.time,
        trigger=request.trigger,
        target=request.target,
        beside=request.beside,
        imported=request.imported,
        cluster=facts.uid,
        server=facts.version,
        consistency=collected.consistency,
        incomplete=collected.incomplete,
        unresolved=sum(counts_as_unresolved(reference) for reference in collected.unresolved),
        managers={**collected.managers, **_own_writes(request)},
        seen=unchanged.result() if facts.keeps_versions and not request.also else None,
        signer=request.signer,
        extra=request.extra,
    )


def _check_complete(collected: Collected, request: Request) -> None:
    """Raises IncompleteError where a complete sample is required.

    The sample before a rollback must hold what the rollback writes; other objects that could not be taken are no reason
    not to go back.
    """
    lacking = [
        one
        for one in collected.incomplete
        if one.key is None or one.key in request.also or request.trigger is not Trigger.BEFORE_ROLLBACK
    ]
    if request.require_complete and lacking:
        listed = ", ".join(f"{one} ({one.reason})" for one in lacking)
        raise IncompleteError(
            f"no sample was taken, since these could not be read: {listed}",
            hint="Remove the cause, or capture without --require-complete: the kinds are then carried forward.",
        )


def _previous(archive: Archive) -> Tree | None:
    samples = archive.samples()
    return archive.tree(samples[-1]) if samples else None


def _own_writes(request: Request) -> dict[str, str]:
    """Who wrote what a rollback wrote: no field manager is left to tell where it took fields away."""
    written = request.also if request.trigger is Trigger.AFTER_ROLLBACK else ()
    return {path_of(key): FIELD_MANAGER for key in written}


def _check_key(previous: Tree | None, info: TreeInfo) -> None:
    """A second fingerprint key would show every Secret as changed, and an archive must not hold two by accident."""
    if previous is None or not previous.info.secrets.fingerprint_key or not info.secrets.fingerprint_key:
        return
    if previous.info.secrets.fingerprint_key != info.secrets.fingerprint_key:
        raise SecretsError(
            f"the archive's Secrets are fingerprinted with the key {previous.info.secrets.fingerprint_key}, "
            f"but the key at hand is {info.secrets.fingerprint_key}",
            hint="Put the archive's own fingerprint.key back, or give an --identity that can recover it.",
        )
