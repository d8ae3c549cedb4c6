"""One run of a policy, from its archive and its keys to the recorded sample.

This module must not know when runs are due, nor what is reported about them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gitsnap import capture
from gitsnap.archive import GitArchive, create_archive, open_archive
from gitsnap.archive import remote as remotes
from gitsnap.archive.remote import Pushed
from gitsnap.capture import prune
from gitsnap.controller.permissions import Permissions
from gitsnap.core.errors import AbortedError, GitsnapError, NotFoundError, SecretsError
from gitsnap.core.model import Sample, SecretsMode, Trigger
from gitsnap.core.ports import Cluster, ControlPlane
from gitsnap.git.signing import SshSigner
from gitsnap.policy import retention
from gitsnap.policy.retention import Decision, Rules
from gitsnap.policy.snapshot import Policy, Push
from gitsnap.secrets import archive_keys
from gitsnap.secrets.age import IDENTITY_FILE, KEY_FILE, KeyTexts

Connect = Callable[[], ControlPlane]

_NOTHING_MORE = Permissions()
_LEAST_READING_SECONDS = 60.0
"""However short the schedule's interval is: one request may take as long."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run did."""

    result: capture.CaptureResult
    lag: int | None
    """Samples that the remote lacks now; None where the policy names no remote."""
    removed: tuple[Decision, ...]
    """What retention took of the older samples."""
    retention_error: GitsnapError | None
    """Why it took nothing, where it could not."""
    retention_doubt: str
    """Why it took nothing, where the clock is in doubt; ``""`` where it is not."""
    mode: SecretsMode
    mode_asked_for: bool
    """Whether the policy names the mode, rather than it following from the lack of recipients."""
    recipients: tuple[str, ...]
    """Whom the values of Secrets are encrypted to; empty unless the mode is encrypt."""
    samples: int
    """How many the archive has now."""
    repository_bytes: int
    seconds: float
    """How long it took."""


@dataclass(frozen=True, slots=True)
class PushReport:
    """How a push went."""

    pushed: Pushed | None
    """None where it failed."""
    error: GitsnapError | None
    lag: int | None
    """Samples that the remote lacks; None where that could not be told."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an archive holds when a controller comes to it."""

    newest: Sample
    scheduled: Sample | None
    """The newest one that the schedule asked for."""
    samples: int
    repository_bytes: int


class Sampler:
    """Takes samples below one storage folder. Safe to be used by several threads, one for each policy at a time."""

    def __init__(
        self,
        *,
        storage: Path,
        connect: Connect,
        now: Callable[[], datetime],
        permissions: Permissions = _NOTHING_MORE,
    ) -> None:
        self._storage = storage
        self._permissions = permissions
        self._connect = connect
        self._now = now

    def check(self, policy: Policy) -> None:
        """Raises NotPermittedError where a policy asks for more than the flags of the controller permit."""
        self._permissions.check(policy, self._storage)

    def find(self, policy: Policy) -> Found | None:
        """What is there already; None without any sample. Raises ArchiveError, StorageError, NotPermittedError."""
        self.check(policy)
        try:
            archive = open_archive(self._folder(policy), policy.name)
        except NotFoundError:
            return None
        samples = archive.samples()
        if not samples:
            return None
        scheduled = next((one for one in reversed(samples) if one.metadata.trigger is Trigger.SCHEDULE), None)
        return Found(samples[-1], scheduled, len(samples), archive.repository_bytes())

    def take(self, policy: Policy, trigger: Trigger, *, cancelled: Callable[[], bool]) -> Taken:
        """Take one sample, without pushing it: a remote that hangs must not hold up the next one.

        Raises AbortedError soon after ``cancelled`` says so; then nothing is recorded.

        A connection of its own sees kinds that were installed since, and credentials that were renewed.
        """
        started = time.monotonic()
        self.check(policy)  # again: a link may have been put into the volume since the Snapshot was read
        cluster = self._connect()
        cluster.info()  # whether the cluster answers is known before anything is made on disk
        archive = self._archive(policy, cluster)
        given, signer = _given_keys(cluster, policy), _signer(cluster, policy)

        def progress(_what: str, _count: int) -> None:
            if cancelled():
                raise AbortedError("the controller is asked to stop: the sample was abandoned")

        with archive.writer() as writer:  # a capture by hand may decide on cluster, mode and keys at the same time
            capture.check_cluster(archive, cluster.info())
            effective, keeper = archive_keys.for_unattended_capture(archive, policy, given=given)
            request = capture.Request(
                capture.tree_info(effective, branch=archive.branch, keeper=keeper),
                keeper,
                self._now(),
                trigger,
                require_complete=policy.require_complete,
                signer=signer,
                reading_seconds=reading_seconds(policy, self._now()),
            )
            result = capture.capture(cluster, archive, request, writer=writer, progress=progress)
        removed, retention_error = _prune(archive, policy, self._now())
        return Taken(
            result=result,
            lag=remotes.unpushed(archive.git_folder, archive.branch) if policy.push is not None else None,
            removed=removed,
            retention_error=retention_error,
            retention_doubt=retention.doubt(archive.samples(), Rules.of(policy), now=self._now()),
            mode=effective.secrets_mode,
            mode_asked_for=effective.secrets_given,
            recipients=request.info.secrets.recipients,
            samples=len(archive.samples()),
            repository_bytes=archive.repository_bytes(),
            seconds=time.monotonic() - started,
        )

    def push(self, policy: Policy) -> PushReport | None:
        """Bring the remote up to the archive; None where there is nothing to push.

        Raises ArchiveError, NotPermittedError.
        """
        self.check(policy)
        try:
            archive = open_archive(self._folder(policy), policy.name)
        except NotFoundError:
            return None
        return _pushed(archive, policy, self._connect())

    def _archive(self, policy: Policy, cluster: Cluster) -> GitArchive:
        """The archive; one whose volume was lost is brought back from the remote first.

        It begins anew only where the remote has no such branch. Raises RemoteError where that cannot be told.
        """
        folder = self._folder(policy)
        prefix = policy.push.prefix if policy.push is not None else ""
        if policy.push is not None and folder.is_dir() and not (folder / policy.name).exists():
            remotes.clone(_remote(policy.push, cluster), folder, policy.name, prefix=prefix)
        return create_archive(folder, policy.name, prefix=prefix)

    def _folder(self, policy: Policy) -> Path:
        return Path(policy.storage) if policy.storage else self._storage


def reading_seconds(policy: Policy, now: datetime) -> float:
    """For how long a cluster may be read: until the next sample is due, but a minute at least, ten at the most."""
    if policy.schedule is None:
        return capture.READING_SECONDS
    until_next = (policy.schedule.next_after(now) - now).total_seconds()
    return min(max(until_next, _LEAST_READING_SECONDS), capture.READING_SECONDS)


def _signer(cluster: Cluster, policy: Policy) -> SshSigner | None:
    """The key in the Secret that the policy names, under ``identity`` as for a push; None where it names none."""
    if not policy.signing_secret:
        return None
    values = archive_keys.named_secret(cluster, policy.signing_secret, field="spec.signing.secretRef")
    key = values.get("identity") or values.get("ssh-privatekey")
    if key is None:
        raise SecretsError(
            f"spec.signing.secretRef: the Secret {policy.signing_secret} has no key `identity`",
            hint="It holds the SSH private key that tags are signed with; `ssh-privatekey` is taken too.",
        )
    return SshSigner(key, source=f"the Secret {policy.signing_secret}")


def _pushed(archive: GitArchive, policy: Policy, cluster: Cluster) -> PushReport | None:
    """Push, where the policy names a remote; what keeps it from succeeding is part of the report."""
    if policy.push is None:
        return None
    pushed, problem = None, None
    try:
        remote = _remote(policy.push, cluster)
        pushed = remotes.push(archive.git_folder, archive.branch, remote, prune=policy.push.prune)
    except GitsnapError as error:
        problem = error
    return PushReport(pushed, problem, remotes.unpushed(archive.git_folder, archive.branch))


def _remote(push: Push, cluster: Cluster) -> remotes.Remote:
    if not push.secret:
        return remotes.Remote(push.url, remotes.Credentials("policy without spec.push.secretRef"))
    values = archive_keys.named_secret(cluster, push.secret, field="spec.push.secretRef")
    return remotes.Remote(push.url, remotes.Credentials(f"Secret {push.secret}", values))


def _prune(archive: GitArchive, policy: Policy, now: datetime) -> tuple[tuple[Decision, ...], GitsnapError | None]:
    """What retention took, now that the new sample is safe; and why it could not, where that is so."""
    rules = Rules.of(policy)
    if not rules:
        return (), None
    try:
        with archive.writer() as writer:
            return tuple(one for one in prune.prune(writer, rules, now=now) if not one.keep), None
    except GitsnapError as error:  # the sample is safe; what is too much goes after the next one
        return (), error


def _given_keys(cluster: Cluster, policy: Policy) -> KeyTexts | None:
    """The keys in the Secret that the policy names, None where it names none."""
    if not policy.secrets_secret:
        return None
    data = archive_keys.named_secret(cluster, policy.secrets_secret, field="spec.secrets.secretRef")
    texts = {name: data.get(name, b"").decode("ascii", "replace") for name in (KEY_FILE, IDENTITY_FILE)}
    return KeyTexts(f"the Secret {policy.secrets_secret}", texts[KEY_FILE], texts[IDENTITY_FILE])
