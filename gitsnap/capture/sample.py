"""One sample: the right cluster is checked, everything is read, and the archive records it.

This module must not know how an archive or a cluster does its work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gitsnap.capture.collect import Progress, collect
from gitsnap.capture.knowledge import counts_as_unresolved
from gitsnap.errors import IncompleteError, InputError, SecretsError, WrongClusterError
from gitsnap.format.fingerprint import key_id
from gitsnap.model import ClusterInfo, ObjectKey, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.normalize import RULES
from gitsnap.policy import Policy
from gitsnap.ports import Archive, Cluster, RecordedSample, SampleDraft, SecretsKeeper, Tree
from gitsnap.sveltos import kinds
from gitsnap.sveltos.references import Unresolved


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What a capture did."""

    recorded: RecordedSample
    unresolved: tuple[Unresolved, ...]
    """References that could not be followed, those omitted on purpose included."""
    skipped_generated: int
    """Objects left out because a controller generated them."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a sample is taken, and what it must hold and say on that account."""

    trigger: Trigger
    also: frozenset[ObjectKey] = frozenset()
    """Objects to hold even if nothing refers to them or a controller generated them: what a rollback is to write."""
    extra: tuple[tuple[str, str], ...] = ()
    """Further keys of the tag, with their values encoded."""


def tree_info(policy: Policy, *, branch: str, keeper: SecretsKeeper | None) -> TreeInfo:
    """What a capture under this policy asks for, as the tree will say.

    Raises InputError for what this version cannot capture, SecretsError when the mode needs a key and there is none.
    """
    if policy.resources:
        raise InputError(
            "spec.resources: this version of gitsnap captures Sveltos configuration and what it refers to only",
            hint="Take spec.resources out of the policy.",
        )
    mode = policy.secrets_mode
    captured = kinds.CAPTURED_KINDS - ({kinds.SECRET} if mode is SecretsMode.OMIT else frozenset())
    return TreeInfo(
        policy=policy.name,
        branch=branch,
        kinds=tuple(sorted(captured)),
        secrets=_secrets_info(mode, keeper),
        rules=RULES,
    )


def _secrets_info(mode: SecretsMode, keeper: SecretsKeeper | None) -> SecretsInfo:
    if mode in (SecretsMode.OMIT, SecretsMode.PLAINTEXT):
        return SecretsInfo(mode)
    if keeper is None:
        raise SecretsError(f"the secrets mode {mode} needs a fingerprint key, and there is none")
    recipients = keeper.recipients if mode is SecretsMode.ENCRYPT else ()
    if mode is SecretsMode.ENCRYPT and not recipients:
        raise SecretsError(
            "Secrets cannot be encrypted: there is no recipient",
            hint="Name one with --recipient, or choose --secrets-mode redact.",
        )
    return SecretsInfo(mode, key_id(keeper.fingerprint_key), tuple(sorted(recipients)))


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


def capture(
    cluster: Cluster,
    archive: Archive,
    info: TreeInfo,
    *,
    keeper: SecretsKeeper | None,
    time: datetime,
    trigger: Trigger | Occasion,
    require_complete: bool = False,
    adopt: bool = False,
    progress: Progress = lambda _what, _count: None,
) -> CaptureResult:
    """Take one sample.

    ``time`` is the moment of the sample (aware). Raises WrongClusterError unless ``adopt``, IncompleteError with
    ``require_complete``, and whatever keeps the cluster from being read or the archive from being written; then
    nothing is recorded.
    """
    occasion = Occasion(trigger) if isinstance(trigger, Trigger) else trigger
    facts = cluster.info()
    if not adopt:
        check_cluster(archive, facts)
    with archive.writer() as writer:
        previous = _previous(archive)
        _check_key(previous, info)
        collected = collect(
            cluster, info, keeper=keeper, previous=previous, store=writer.store, also=occasion.also, progress=progress
        )
        if collected.incomplete and require_complete:
            kinds_missing = ", ".join(f"{one.kind} ({one.reason})" for one in collected.incomplete)
            raise IncompleteError(
                f"no sample was taken, since these kinds could not be read: {kinds_missing}",
                hint="Mend the cause, or capture without --require-complete: these kinds are then carried forward.",
            )
        recorded = writer.record(
            SampleDraft(
                info=info,
                files=collected.files,
                time=time,
                trigger=occasion.trigger,
                cluster=facts.uid,
                server=facts.version,
                consistency=collected.consistency,
                incomplete=collected.incomplete,
                unresolved=sum(counts_as_unresolved(one) for one in collected.unresolved),
                managers=collected.managers,
                extra=occasion.extra,
            )
        )
    return CaptureResult(recorded, collected.unresolved, collected.skipped)


def _previous(archive: Archive) -> Tree | None:
    samples = archive.samples()
    return archive.tree(samples[-1]) if samples else None


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
