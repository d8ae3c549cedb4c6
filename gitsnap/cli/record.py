"""The samples around a rollback: the one before it is the way back, and nothing is written without it.

Through a copy of a remote's archive they are sent there at once, beside the branch that the controller writes.
This module must not decide whether a rollback may go on without a sample: it raises.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitsnap.cli import output
from gitsnap.cli.capture import say_new_identity
from gitsnap.cli.place import Place
from gitsnap.cli.wiring import find_policy
from gitsnap.errors import GitsnapError, IncompleteError, RefusedError, RemoteError
from gitsnap.model import ObjectKey, Sample, SecretsMode, TagId, Trigger
from gitsnap.sveltos.kinds import SECRET

if TYPE_CHECKING:
    from gitsnap.format import RollbackRecord
    from gitsnap.plan import Plan


@dataclass(frozen=True, slots=True)
class Sampler:
    """Takes the samples before and after, under the archive's own policy (rollback.TakeSample)."""

    place: Place
    at_risk: tuple[ObjectKey, ...]
    """Secrets whose values the sample before must hold."""

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
        from gitsnap import keys
        from gitsnap.format import record_lines
        from gitsnap.signing import signer_from_file

        place, before = self.place, trigger is Trigger.BEFORE_ROLLBACK
        archive = place.made_record()
        identities = place.identities if place.elsewhere.record is None else ()
        asked = find_policy(archive.policy, None, place.cluster)
        signer = signer_from_file(place.signing_key)
        with archive.writer() as writer:  # another capture may decide on cluster, mode and keys at the same time
            policy, keeper = keys.for_capture(archive, asked, identities=identities)
            self._check(policy.secrets_mode)
            if before and policy.signing_secret and place.signing_key is None:
                output.say(
                    "warning: samples of this policy are signed, and those around a rollback only with --signing-key"
                )
            say_new_identity(keeper)
            request = sampling.Request(
                sampling.tree_info(policy, branch=archive.branch, keeper=keeper),
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
            return sampling.capture(place.cluster, archive, request, writer=writer).recorded.sample

    def _check(self, mode: SecretsMode) -> None:
        """Raises RefusedError when the sample before would not hold the values of a Secret that is about to go."""
        if self.at_risk and mode not in (SecretsMode.ENCRYPT, SecretsMode.PLAINTEXT):
            listed = ", ".join(str(key) for key in self.at_risk)
            raise RefusedError(
                f"nothing was changed: samples are taken in the secrets mode {mode}, so that the present values of "
                f"{listed} could not be brought back",
                hint="Capture once with --secrets-mode encrypt, or leave these Secrets out with --except.",
            )

    def _target(self, record: RollbackRecord) -> TagId | None:
        """The tag of the sample that is rolled back to, where the archive has it: retention keeps it until the end."""
        if self.place.elsewhere.record is not None:
            return None
        samples = self.place.archive.samples()
        return next((one.tag_id for one in samples if one.tag == record.target), None)

    def _send(self, sample: Sample, *, before: bool) -> None:
        """Bring a sample to the remote. One before that cannot be sent is forgotten, one after is sent next time."""
        from gitsnap.remote import forget_unsent, send_samples

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


def values_at_risk(plan: Plan) -> tuple[ObjectKey, ...]:
    """The Secrets whose present values go: an undo needs them."""
    from gitsnap.plan import Action

    secrets = [step for step in plan.writes if step.key.kind == SECRET and step.action is not Action.CREATE]
    return tuple(
        step.key
        for step in secrets
        if step.action is not Action.UPDATE or any(field.startswith("data") for field in step.changed)
    )
