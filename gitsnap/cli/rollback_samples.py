"""The samples around a rollback: the one before it is the way back, and nothing is written without it.

Through a copy of a remote's archive they are sent there at once, beside the branch that the controller writes.
This module must not decide whether a rollback may go on without a sample: it raises.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitsnap.cli import terminal
from gitsnap.cli.commands.capture import say_new_identity
from gitsnap.cli.resolve import find_policy
from gitsnap.cli.rollback_target import Place
from gitsnap.core.errors import GitsnapError, IncompleteError, RefusedError, RemoteError
from gitsnap.core.model import ObjectKey, Sample, SecretsInfo, SecretsMode, TagId, Trigger
from gitsnap.core.objects import same_json
from gitsnap.format import recipients

if TYPE_CHECKING:
    from gitsnap.format import RollbackRecord
    from gitsnap.rollback.plan import Plan
    from gitsnap.secrets.age import Keeper


@dataclass(frozen=True, slots=True)
class Sampler:
    """Takes the samples before and after, under the archive's own policy (rollback.TakeSample)."""

    place: Place
    plan: Plan
    without_undo: bool = False
    """Whether values may go that the sample before cannot bring back."""
    accept_record: bool = False
    """Whether a remote's record may decide who can read the samples."""

    def __call__(self, trigger: Trigger, record: RollbackRecord, also: Collection[ObjectKey]) -> Sample:
        """Take one, and send it where the archive is a copy."""
        before = trigger is Trigger.BEFORE_ROLLBACK
        try:
            sample = self._taken(trigger, record, also)
        except IncompleteError as error:
            raise IncompleteError(
                f"nothing was changed: {error.message}",
                hint="Without these kinds the rollback could not be taken back. Mend what keeps them from being read.",
            ) from error
        if self.place.remote is not None:
            self._send(sample, before=before)
        return sample

    def _taken(self, trigger: Trigger, record: RollbackRecord, also: Collection[ObjectKey]) -> Sample:
        from gitsnap import capture as sampling
        from gitsnap.format import record_lines
        from gitsnap.git.signing import signer_from_file
        from gitsnap.secrets import archive_keys

        place, before = self.place, trigger is Trigger.BEFORE_ROLLBACK
        archive = place.made_record()
        identities = place.identities if place.elsewhere.record is None else ()
        asked = find_policy(archive.policy, None, place.cluster)
        signer = signer_from_file(place.signing_key)
        with archive.writer() as writer:  # another capture may decide on cluster, mode and keys at the same time
            if place.remote is None:
                policy, keeper = archive_keys.for_capture_as_before(archive, asked, identities=identities)
            else:
                policy, keeper = archive_keys.for_capture_through_remote(
                    archive, asked, identities=identities, accept_record=self.accept_record
                )
            info = sampling.tree_info(policy, branch=archive.branch, keeper=keeper)
            if before:
                self._check(info.secrets, keeper)
            if before and policy.signing_secret and place.signing_key is None:
                terminal.say(
                    "warning: samples of this policy are signed, and those around a rollback only with --signing-key"
                )
            say_new_identity(keeper)
            request = sampling.Request(
                info,
                keeper,
                datetime.now(UTC),
                trigger,
                target=self._target(record) if before else None,
                beside=place.remote is not None,
                require_complete=before,
                also=frozenset(also),
                signer=signer,
                extra=record_lines(record),
            )
            sample = sampling.capture(place.cluster, archive, request, writer=writer).recorded.sample
        terminal.done(f"the sample {sample.tag} was taken")
        return sample

    def _check(self, info: SecretsInfo, keeper: Keeper | None) -> None:
        """Raises RefusedError when the sample before could not bring back a value that is about to go."""
        at_risk = values_at_risk(self.plan, info)
        if not at_risk:
            return
        listed = ", ".join(str(key) for key in at_risk)
        if info.mode in (SecretsMode.REDACT, SecretsMode.OMIT):
            why = f"samples are taken in the secrets mode {info.mode}"
            mend = "Capture once with --secrets-mode encrypt --accept-secrets-change"
        elif info.mode is SecretsMode.ENCRYPT and not (keeper is not None and keeper.reads_back):
            why = (
                f"samples are encrypted to {recipients.listed(info.recipients)}, and no given identity can decrypt them"
            )
            mend = "Give the --identity of a recipient"
        else:
            return
        if self.without_undo:
            terminal.say(f"warning: {why}: the present values of {listed} cannot be brought back (--without-undo)")
            return
        raise RefusedError(
            f"nothing was changed: {why}, so that the present values of {listed} could not be brought back",
            hint=f"{mend}, leave these objects out with --except, or go on with --without-undo.",
        )

    def _target(self, record: RollbackRecord) -> TagId | None:
        """The tag of the sample that is rolled back to, where the archive has it: retention keeps it until the end."""
        if self.place.elsewhere.record is not None:
            return None
        samples = self.place.archive.samples()
        return next((one.tag_id for one in samples if one.tag == record.target), None)

    def _send(self, sample: Sample, *, before: bool) -> None:
        """Bring a sample to the remote. One before that cannot be sent is forgotten, one after is sent next time."""
        from gitsnap.archive.remote import forget_unsent, send_samples

        archive, remote = self.place.archive, self.place.remote
        if remote is None:
            raise AssertionError("nothing is sent without a remote")
        try:
            send_samples(archive.git_folder, archive.branch, remote)
        except GitsnapError as error:
            if before:
                forget_unsent(archive.git_folder, sample)
                hint = "The sample before a rollback must be where others find it, before anything is written."
                raise RemoteError(f"nothing was changed: {error.message}", hint=hint) from error
            hint = "It is kept in the copy, and sent before the next rollback or undo through this URL."
            raise RemoteError(f"{sample.tag} could not be sent: {error.message}", hint=hint) from error


def values_at_risk(plan: Plan, info: SecretsInfo) -> tuple[ObjectKey, ...]:
    """The objects whose present values are hidden in samples and go with this plan: an undo needs them."""
    from gitsnap.format import masking
    from gitsnap.rollback.plan import Action

    gone = (Action.UPDATE, Action.RECREATE, Action.DELETE)
    # A value counts as hidden in the other modes as well: a sample without Secrets cannot bring it back either.
    hidden = replace(info, mode=SecretsMode.REDACT)
    return tuple(
        step.key
        for step in plan.writes
        if step.action in gone
        and step.live is not None
        and masking.masks(step.key.kind, hidden)
        and masking.hides(step.live, hidden)
        and (
            step.action is not Action.UPDATE
            or step.archived is None
            or not same_json(masking.sealed_part(step.live, hidden), masking.sealed_part(step.archived, hidden))
        )
    )
