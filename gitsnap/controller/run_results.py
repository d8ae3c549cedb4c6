"""The results of work for a policy: a run that took a sample, a push, the first reading of an archive."""

from __future__ import annotations

from dataclasses import dataclass

from gitsnap.archive.remote import Pushed
from gitsnap.capture import CaptureResult
from gitsnap.core.errors import GitsnapError
from gitsnap.core.model import Sample, SecretsMode
from gitsnap.policy.retention import Decision


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that took a sample."""

    capture: CaptureResult
    lag: int | None
    """Samples that the remote lacks; None where the policy names no remote."""
    removed: tuple[Decision, ...]
    """Older samples that retention removed."""
    retention_error: GitsnapError | None
    """Why retention failed; None if it succeeded."""
    clock_problem: str
    """Why retention removed no sample: the clock may be wrong. ``""`` if the clock is not in doubt."""
    mode: SecretsMode
    mode_requested: bool
    """Whether the policy names the mode. Otherwise it follows from the lack of recipients."""
    recipients: tuple[str, ...]
    """Recipients that the values of Secrets are encrypted to; empty unless the mode is encrypt."""
    samples: int
    """Number of samples in the archive."""
    repository_bytes: int
    seconds: float
    """Duration of the run."""
    lag_changes: int = 0
    """Changes by follow mode that the remote lacks."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """The outcome of a push."""

    pushed: Pushed | None
    """None where the push failed."""
    error: GitsnapError | None
    """Why the push failed; None if it succeeded."""
    lag: int | None
    """Samples that the remote lacks; None where the number is unknown."""
    lag_changes: int = 0
    """Changes by follow mode that the remote lacks."""


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """The content of an archive when a controller begins to serve its Snapshot."""

    newest: Sample
    scheduled: Sample | None
    """The newest scheduled sample."""
    samples: int
    """Number of samples."""
    repository_bytes: int
