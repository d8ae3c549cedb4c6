"""One run of a policy, from its archive and its keys to the recorded sample.

This module must not know when runs are due, nor what is reported about them.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gitsnap import capture, keys, pruning
from gitsnap.archive import GitArchive, create_archive, open_archive
from gitsnap.errors import AbortedError, NotFoundError, SecretsError
from gitsnap.model import ObjectKey, Sample, SecretsMode, Trigger
from gitsnap.policy import Policy
from gitsnap.ports import Cluster, ControlPlane
from gitsnap.retention import Decision, Rules
from gitsnap.secrets import IDENTITY_FILE, KEY_FILE, KeyTexts
from gitsnap.sveltos.kinds import SECRET

Connect = Callable[[], ControlPlane]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run did."""

    result: capture.CaptureResult
    removed: tuple[Decision, ...]
    """What retention took of the older samples."""
    mode: SecretsMode
    mode_asked_for: bool
    """Whether the policy names the mode, rather than it following from the lack of recipients."""
    samples: int
    """How many the archive has now."""
    repository_bytes: int
    seconds: float
    """How long it took."""


class Sampler:
    """Takes samples below one storage folder. Safe to be used by several threads, one for each policy at a time."""

    def __init__(self, *, storage: Path, connect: Connect, now: Callable[[], datetime]) -> None:
        self._storage = storage
        self._connect = connect
        self._now = now

    def newest_scheduled(self, policy: Policy) -> Sample | None:
        """The newest sample that the schedule asked for; None without one. Raises ArchiveError, StorageError."""
        try:
            archive = open_archive(self._folder(policy), policy.name)
        except NotFoundError:
            return None
        samples = archive.samples()
        return next((one for one in reversed(samples) if one.metadata.trigger is Trigger.SCHEDULE), None)

    def take(self, policy: Policy, trigger: Trigger, *, cancelled: Callable[[], bool]) -> Taken:
        """Take one sample. Raises AbortedError soon after ``cancelled`` says so; then nothing is recorded.

        A connection of its own sees kinds that were installed since, and credentials that were renewed.
        """
        started = time.monotonic()
        cluster = self._connect()
        cluster.info()  # whether the cluster answers is known before anything is made on disk
        archive = self._archive(policy)
        given = _given_keys(cluster, policy)
        effective, keeper = keys.for_unattended_capture(archive, policy, given=given)

        def progress(_what: str, _count: int) -> None:
            if cancelled():
                raise AbortedError("the controller is asked to stop: the sample was abandoned")

        info = capture.tree_info(effective, branch=archive.branch, keeper=keeper)
        request = capture.Request(info, keeper, self._now(), trigger, require_complete=policy.require_complete)
        result = capture.capture(cluster, archive, request, progress=progress)
        removed = _prune(archive, policy)
        return Taken(
            result=result,
            removed=removed,
            mode=effective.secrets_mode,
            mode_asked_for=effective.secrets_given,
            samples=len(archive.samples()),
            repository_bytes=archive.repository_bytes(),
            seconds=time.monotonic() - started,
        )

    def _archive(self, policy: Policy) -> GitArchive:
        prefix = policy.push.prefix if policy.push is not None else ""
        return create_archive(self._folder(policy), policy.name, prefix=prefix)

    def _folder(self, policy: Policy) -> Path:
        return Path(policy.storage) if policy.storage else self._storage


def _prune(archive: GitArchive, policy: Policy) -> tuple[Decision, ...]:
    """What retention took, now that the new sample is safe."""
    rules = Rules.of(policy)
    if not rules:
        return ()
    with archive.writer() as writer:
        return tuple(one for one in pruning.prune(writer, rules) if not one.keep)


def _given_keys(cluster: Cluster, policy: Policy) -> KeyTexts | None:
    """The keys in the Secret that the policy names, None where it names none."""
    if not policy.secrets_secret:
        return None
    data = secret_data(cluster, policy.secrets_secret, field="spec.secrets.secretRef")
    texts = {name: data.get(name, b"").decode("ascii", "replace") for name in (KEY_FILE, IDENTITY_FILE)}
    return KeyTexts(f"the Secret {policy.secrets_secret}", texts[KEY_FILE], texts[IDENTITY_FILE])


def secret_data(cluster: Cluster, reference: str, *, field: str) -> dict[str, bytes]:
    """The values of the Secret ``<namespace>/<name>`` that a field of the policy names. Raises SecretsError."""
    namespace, _, name = reference.partition("/")
    try:
        secret = cluster.get(ObjectKey(SECRET, namespace, name))
    except NotFoundError:
        raise SecretsError(f"{field}: there is no Secret {reference}") from None
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, TypeError, ValueError):
        raise SecretsError(f"{field}: the Secret {reference} cannot be decoded") from None
