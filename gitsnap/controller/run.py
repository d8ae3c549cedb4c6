"""One run of a policy: opens archive and keys, captures, records the sample, applies retention; pushes separately."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from gitsnap import capture
from gitsnap.archive import GitArchive, create_archive, open_archive
from gitsnap.archive import remote as remotes
from gitsnap.capture import prune
from gitsnap.capture.follow import Follower, FollowSettings, Runner, StoppedFollower
from gitsnap.controller.audit import AuditReceiver
from gitsnap.controller.permissions import Permissions
from gitsnap.controller.run_results import ArchiveState, PushResult, RunResult
from gitsnap.core.changes import Author, Who
from gitsnap.core.errors import AbortedError, GitsnapError, NotFoundError, SecretsError
from gitsnap.core.model import CommitId, TreeInfo, Trigger
from gitsnap.core.ports import ArchiveWriter, Cluster, ControlPlane
from gitsnap.core.recording import RecordedChange
from gitsnap.git.signing import SshSigner
from gitsnap.policy import retention
from gitsnap.policy.retention import Decision, Rules
from gitsnap.policy.snapshot import Follow, Policy, Push
from gitsnap.secrets import archive_keys
from gitsnap.secrets.key_texts import KeyTexts

Connect = Callable[[], ControlPlane]

_NO_PERMISSIONS = Permissions()
_LEAST_READING_SECONDS = 60.0
"""A run may always read for this long, even if the schedule is due earlier: one request may take as long."""


class Sampler:
    """Takes and pushes samples. Thread-safe as long as each policy is used by one thread at a time."""

    def __init__(
        self,
        *,
        storage: Path,
        connect: Connect,
        now: Callable[[], datetime],
        permissions: Permissions = _NO_PERMISSIONS,
    ) -> None:
        """``storage``: folder of the archives of policies that name no other folder."""
        self._storage = storage
        self._permissions = permissions
        self._connect = connect
        self._now = now
        self.audit: AuditReceiver | None = None
        """Gives names to the changes of follow mode. None: no audit events arrive."""

    def check(self, policy: Policy) -> None:
        """Check a policy against the flags of the controller. Raises NotPermittedError."""
        self._permissions.check(policy, self._storage)

    def read_archive(self, policy: Policy) -> ArchiveState | None:
        """Read the state of a policy's archive; None without a sample.

        Raises ArchiveError, StorageError, NotPermittedError.
        """
        self.check(policy)
        try:
            archive = open_archive(self._folder(policy), policy.name)
        except NotFoundError:
            return None
        samples = archive.samples()
        if not samples:
            return None
        scheduled = next((sample for sample in reversed(samples) if sample.metadata.trigger is Trigger.SCHEDULE), None)
        return ArchiveState(samples[-1], scheduled, len(samples), archive.repository_bytes())

    def take(
        self,
        policy: Policy,
        trigger: Trigger,
        *,
        message: str = "",
        follow: Runner | None = None,
        cancelled: Callable[[], bool],
    ) -> RunResult:
        """Take one sample and apply retention. The sample is not pushed: a remote that hangs must not delay samples.

        ``message``: the reason for the sample. ``follow``: the follow mode of the policy, if it runs. Each run opens a
        new connection, which has renewed credentials and sees newly installed kinds. Raises AbortedError soon after
        ``cancelled`` returns True, before anything is recorded, and any other GitsnapError.
        """
        started = time.monotonic()
        self.check(policy)  # again: somebody may have put a link into the volume since the Snapshot was read
        cluster = self._connect()
        cluster.info()  # fails before anything is created on disk
        archive = self._open_or_create_archive(policy, cluster)
        keys, signer = _keys_of_secret(cluster, policy), _signer(cluster, policy)

        def progress(_kind: str, _count: int) -> None:
            if cancelled():
                raise AbortedError("the controller is asked to stop: the sample was abandoned")

        with archive.writer() as writer:  # no `gitsnap capture` may decide on mode and keys at the same time
            capture.check_cluster(archive, cluster.info())
            effective, keeper = archive_keys.for_unattended_capture(archive, policy, keys=keys)
            request = capture.Request(
                capture.tree_info(effective, branch=archive.branch, keeper=keeper),
                keeper,
                self._now(),
                trigger,
                require_complete=policy.require_complete,
                allow_empty=True,  # nobody can be asked here; the condition Complete reports an empty sample
                signer=signer,
                message=message,
                reading_seconds=reading_seconds(policy, self._now()),
                names_managers=policy.follow is None or policy.follow.who is not Who.NONE,
            )
            recorder = _recorder(archive, policy, writer, request.info, follow)
            result = capture.capture(cluster, archive, request, writer=writer, follow=recorder, progress=progress)
        removed, retention_error = _prune(archive, policy, self._now())
        return RunResult(
            capture=result,
            lag=remotes.count_unpushed(archive.git_folder, archive.branch) if policy.push is not None else None,
            removed=removed,
            retention_error=retention_error,
            clock_problem=retention.clock_problem(archive.samples(), Rules.of(policy), now=self._now()),
            mode=effective.secrets_mode,
            mode_requested=effective.secrets_set,
            recipients=request.info.secrets.recipients,
            samples=len(archive.samples()),
            repository_bytes=archive.repository_bytes(),
            seconds=time.monotonic() - started,
            lag_changes=_count_changes(archive) if policy.push is not None else 0,
        )

    def follow(
        self,
        policy: Policy,
        *,
        on_changes: Callable[[Sequence[RecordedChange]], None],
        on_problem: Callable[[GitsnapError | None], None],
    ) -> Runner | None:
        """Follow mode for a policy with ``spec.follow``, with a new connection. None if a sample must be taken first.

        ``on_changes``, ``on_problem``: see ``Runner``. Raises any GitsnapError.
        """
        self.check(policy)
        timing = policy.follow or Follow()
        cluster = self._connect()
        try:
            archive = open_archive(self._folder(policy), policy.name)
        except NotFoundError:
            return None
        keys = _keys_of_secret(cluster, policy)
        with archive.writer() as writer:
            capture.check_cluster(archive, cluster.info())
            effective, keeper = archive_keys.for_unattended_capture(archive, policy, keys=keys)
            settings = FollowSettings(
                capture.tree_info(effective, branch=archive.branch, keeper=keeper),
                keeper,
                quiet_seconds=timing.quiet_seconds,
                most_seconds=timing.max_seconds,
                who=timing.who,
            )
            names = None
            if self.audit is not None:
                added = (entry.kind for entry in settings.info.resources)
                names = self.audit.names(policy, timing.who, settings.pseudonym_key, added)
            follower = Follower(cluster, archive, settings, now=self._now, names=names)
            if follower.why_sample_is_needed(writer):
                return None
        return Runner(cluster, archive, follower, on_changes=on_changes, on_problem=on_problem)

    def note_authors(self, policy: Policy, authors: Mapping[CommitId, Author]) -> None:
        """Write notes with the authors of changes into the archive of a policy. Raises any GitsnapError."""
        self.check(policy)
        open_archive(self._folder(policy), policy.name).note_authors(authors, time=self._now())

    def push(self, policy: Policy) -> PushResult | None:
        """Push the samples that the remote lacks; None without an archive or without a remote.

        An error of the remote is part of the result. Raises ArchiveError, NotPermittedError.
        """
        self.check(policy)
        try:
            archive = open_archive(self._folder(policy), policy.name)
        except NotFoundError:
            return None
        return _push(archive, policy, self._connect())

    def _open_or_create_archive(self, policy: Policy, cluster: Cluster) -> GitArchive:
        """Open the archive. An archive that is missing is cloned from the remote, if the policy names one.

        A new archive is created only where the remote has no branch for it. Raises RemoteError where the remote cannot
        be read.
        """
        folder = self._folder(policy)
        prefix = policy.push.prefix if policy.push is not None else ""
        if policy.push is not None and folder.is_dir() and not (folder / policy.name).exists():
            remotes.clone(_remote(policy.push, cluster), folder, policy.name, prefix=prefix)
        return create_archive(folder, policy.name, prefix=prefix)

    def _folder(self, policy: Policy) -> Path:
        return Path(policy.storage) if policy.storage else self._storage


def reading_seconds(policy: Policy, now: datetime) -> float:
    """How long a run may read the cluster, in seconds: until the next scheduled time, but from 1 to 10 minutes."""
    if policy.schedule is None:
        return capture.READING_SECONDS
    until_next = (policy.schedule.next_after(now) - now).total_seconds()
    return min(max(until_next, _LEAST_READING_SECONDS), capture.READING_SECONDS)


def _recorder(
    archive: GitArchive, policy: Policy, writer: ArchiveWriter, info: TreeInfo, follow: Runner | None
) -> capture.ChangeRecorder | None:
    """The recorder of the changes up to a sample. None if the sample builds on no change that follow mode recorded.

    ``info``: the settings of the sample. ``follow``: the follow mode of the policy, if it runs.
    """
    if follow is not None and follow.info == info:
        return follow
    return StoppedFollower() if _was_followed(policy, archive, writer, info) else None


def _was_followed(policy: Policy, archive: GitArchive, writer: ArchiveWriter, info: TreeInfo) -> bool:
    """Whether follow mode recorded changes on which a sample builds. ``info``: the settings of the sample."""
    if policy.follow is None or policy.suspend or writer.head is None or writer.head.info != info:
        return False
    samples = archive.samples()
    return writer.ends_in_change or bool(samples and "Followed" in dict(samples[-1].metadata.extra))


def _signer(cluster: Cluster, policy: Policy) -> SshSigner | None:
    """The signing key of the policy's Secret, from ``identity`` as for a push; None where the policy names none."""
    if not policy.signing_secret:
        return None
    values = archive_keys.read_secret(cluster, policy.signing_secret, field="spec.signing.secretRef")
    key = values.get("identity") or values.get("ssh-privatekey")
    if key is None:
        raise SecretsError(
            f"spec.signing.secretRef: the Secret {policy.signing_secret} has no key `identity`",
            hint="It holds the SSH private key that tags are signed with; `ssh-privatekey` works too.",
        )
    return SshSigner(key, source=f"the Secret {policy.signing_secret}")


def _push(archive: GitArchive, policy: Policy, cluster: Cluster) -> PushResult | None:
    if policy.push is None:
        return None
    pushed, failure = None, None
    try:
        remote = _remote(policy.push, cluster)
        pushed = remotes.push(archive.git_folder, archive.branch, remote, prune=policy.push.prune)
    except GitsnapError as error:
        failure = error
    lag = remotes.count_unpushed(archive.git_folder, archive.branch)
    return PushResult(pushed, failure, lag, _count_changes(archive))


def _count_changes(archive: GitArchive) -> int:
    """The number of changes that the remote lacks."""
    return remotes.count_unpushed_changes(archive.git_folder, archive.branch)


def _remote(push: Push, cluster: Cluster) -> remotes.Remote:
    if not push.secret:
        return remotes.Remote(push.url, remotes.Credentials("policy without spec.push.secretRef"))
    values = archive_keys.read_secret(cluster, push.secret, field="spec.push.secretRef")
    return remotes.Remote(push.url, remotes.Credentials(f"Secret {push.secret}", values))


def _prune(archive: GitArchive, policy: Policy, now: datetime) -> tuple[tuple[Decision, ...], GitsnapError | None]:
    """Apply retention. Returns the removed samples, or the error that prevented it; the new sample is safe already."""
    rules = Rules.of(policy)
    if not rules:
        return (), None
    try:
        with archive.writer() as writer:
            return tuple(decision for decision in prune.prune(writer, rules, now=now) if not decision.keep), None
    except GitsnapError as error:  # the next run tries again
        return (), error


def _keys_of_secret(cluster: Cluster, policy: Policy) -> KeyTexts | None:
    """The keys in the Secret that the policy names; None where the policy names none."""
    if not policy.secrets_secret:
        return None
    return archive_keys.keys_of_secret(cluster, policy.secrets_secret)
