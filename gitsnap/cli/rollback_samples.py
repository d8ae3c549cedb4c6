"""The samples before and after a rollback. An undo restores the sample before, so nothing is written without it.

If the archive is a local copy of a remote, a sample is sent to the remote at once. It is not added to the branch, which
belongs to the controller. Without a sample this module raises an error: it must not let a rollback continue.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitsnap.cli import terminal
from gitsnap.cli.policies import find_policy, say_new_identity
from gitsnap.cli.rollback_target import RollbackTarget
from gitsnap.core.errors import GitsnapError, IncompleteError, RefusedError, RemoteError
from gitsnap.core.model import ObjectKey, Sample, SecretsInfo, SecretsMode, TagId, Trigger
from gitsnap.format import recipients

if TYPE_CHECKING:
    from gitsnap.format import RollbackRecord
    from gitsnap.rollback.plan import Plan
    from gitsnap.secrets.age import Keeper


@dataclass(frozen=True, slots=True)
class RollbackSampler:
    """Takes the samples before and after a rollback under the policy of the archive (``rollback.TakeSample``)."""

    target: RollbackTarget
    plan: Plan
    without_undo: bool = False
    """Whether values may be replaced that an undo cannot restore."""
    accept_record: bool = False
    """Whether the samples of a remote may decide who can decrypt new samples."""
    message: str = ""
    """The reason for the rollback, which both samples record."""

    def __call__(self, trigger: Trigger, record: RollbackRecord, also: Collection[ObjectKey]) -> Sample:
        """Take a sample, and send it to the remote if there is one.

        ``also``: objects to capture besides those of the policy. Raises IncompleteError, RefusedError, RemoteError.
        """
        before = trigger is Trigger.BEFORE_ROLLBACK
        try:
            sample = self._take(trigger, record, also)
        except IncompleteError as error:
            raise IncompleteError(
                f"nothing was changed: {error.message}",
                hint="Without these kinds the rollback could not be undone. Make them readable, and try again.",
            ) from error
        if self.target.remote is not None:
            self._send(sample, before=before)
        return sample

    def _take(self, trigger: Trigger, record: RollbackRecord, also: Collection[ObjectKey]) -> Sample:
        from gitsnap import capture as sampling
        from gitsnap.format import record_lines
        from gitsnap.git.signing import signer_from_file
        from gitsnap.secrets import archive_keys

        target, before = self.target, trigger is Trigger.BEFORE_ROLLBACK
        archive = target.create_record()
        identities = target.identities if target.cross_cluster.record is None else ()
        wanted = find_policy(archive.policy, None, target.cluster)
        signer = signer_from_file(target.signing_key)
        with archive.writer() as writer:  # so that no other capture changes the cluster, the mode or the keys meanwhile
            if target.remote is None:
                policy, keeper = archive_keys.for_capture_as_before(
                    archive, wanted, identities=identities, cluster=target.cluster
                )
            else:
                policy, keeper = archive_keys.for_capture_through_remote(
                    archive, wanted, identities=identities, cluster=target.cluster, accept_record=self.accept_record
                )
            info = sampling.tree_info(policy, branch=archive.branch, keeper=keeper)
            if before:
                self._check_values_at_risk(info.secrets, keeper)
            if before and policy.signing_secret and target.signing_key is None:
                terminal.say(
                    "warning: samples of this policy are signed, but the samples of a rollback only with --signing-key"
                )
            say_new_identity(keeper)
            request = sampling.Request(
                info,
                keeper,
                datetime.now(UTC),
                trigger,
                target=self._tag_of_target(record) if before else None,
                detached=target.remote is not None,
                require_complete=before,
                allow_empty=True,  # a rollback may restore a cluster that lost all its objects
                also=frozenset(also),
                signer=signer,
                message=self.message,
                extra=record_lines(record),
            )
            sample = sampling.capture(target.cluster, archive, request, writer=writer).recorded.sample
        terminal.note_finished(f"the sample {sample.tag} was taken")
        return sample

    def _check_values_at_risk(self, info: SecretsInfo, keeper: Keeper | None) -> None:
        """Raise RefusedError if the plan replaces a value that the sample before does not keep."""
        at_risk = values_at_risk(self.plan, info)
        if not at_risk:
            return
        listed = ", ".join(str(key) for key in at_risk)
        if info.mode in (SecretsMode.REDACT, SecretsMode.OMIT):
            reason = f"samples are taken in the secrets mode {info.mode}"
            remedy = "Capture once with --secrets-mode encrypt --accept-secrets-change"
        elif info.mode is SecretsMode.ENCRYPT and not (keeper is not None and keeper.reads_back):
            reason = (
                f"samples are encrypted to {recipients.listed(info.recipients)}, and no identity here can decrypt them"
            )
            remedy = "Give the --identity of a recipient"
        else:
            return
        if self.without_undo:
            terminal.say(f"warning: {reason}: an undo cannot restore the present values of {listed} (--without-undo)")
            return
        raise RefusedError(
            f"nothing was changed: {reason}, so that an undo could not restore the present values of {listed}",
            hint=f"{remedy}, leave these objects out with --except, or continue with --without-undo.",
        )

    def _tag_of_target(self, record: RollbackRecord) -> TagId | None:
        """Return the tag of the sample that is restored; retention keeps this sample until the rollback has ended.

        Returns None if another archive has the sample.
        """
        if self.target.cross_cluster.record is not None:
            return None
        samples = self.target.archive.samples()
        return next((sample.tag_id for sample in samples if sample.tag == record.target), None)

    def _send(self, sample: Sample, *, before: bool) -> None:
        """Send a sample to the remote. Raises RemoteError.

        If the push fails, a sample before the rollback is removed, and a sample after it is sent with the next push.
        """
        from gitsnap.archive.remote import forget_pending, push_pending

        archive, remote = self.target.archive, self.target.remote
        if remote is None:
            raise AssertionError("a sample is sent only if there is a remote")
        try:
            push_pending(archive.git_folder, archive.branch, remote)
        except GitsnapError as error:
            if before:
                forget_pending(archive.git_folder, sample)
                hint = "The sample before a rollback must be in the remote before the cluster is written."
                raise RemoteError(f"nothing was changed: {error.message}", hint=hint) from error
            hint = "The local copy keeps it, and sends it before the next rollback or undo through this URL."
            raise RemoteError(f"{sample.tag} could not be sent: {error.message}", hint=hint) from error


def values_at_risk(plan: Plan, info: SecretsInfo) -> tuple[ObjectKey, ...]:
    """Return the objects with values that the plan replaces or deletes, and that samples store encrypted or masked.

    An undo of the plan needs these values. ``info``: how the samples of the archive store Secrets.
    """
    from gitsnap.format import masking
    from gitsnap.rollback.plan import Action

    replacing = (Action.UPDATE, Action.RECREATE, Action.DELETE)
    # In every mode the same values are at risk: a sample that omits Secrets cannot restore them either.
    hidden = replace(info, mode=SecretsMode.REDACT)
    return tuple(
        step.key
        for step in plan.writes
        if step.action in replacing
        and step.live is not None
        and masking.hides(step.live, hidden)
        and (
            step.action is not Action.UPDATE
            or step.archived is None
            or not masking.same_values(step.live, step.archived, hidden)
        )
    )
