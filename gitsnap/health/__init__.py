"""Checks of an archive and its surroundings: samples, keys, cluster, controller, remote, disk.

A check changes nothing. If a check cannot look at its subject, the result is NOT_CHECKED and not OK (DESIGN.md §14).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gitsnap.core.model import Sample


class State(enum.StrEnum):
    """The result of a check."""

    OK = "ok"
    WRONG = "wrong"
    """A person has to do something; the hint says what."""
    NOT_CHECKED = "not checked"
    """The check could not look at its subject."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    subject: str
    """``samples``, ``newest``, ``Secrets``, ``rollback``, ``storage``, ``cluster``, ``rights``, ``Snapshot`` or
    ``remote``."""
    state: State
    message: str
    hint: str = ""
    """The next step, ``""`` if no step is needed."""


@dataclass(frozen=True, slots=True)
class Health:
    """All checks of one archive."""

    policy: str
    location: str
    """The folder of the archive, or the URL that it was read from."""
    samples: int
    newest: Sample | None
    checks: Sequence[Check]

    def subjects(self, state: State) -> list[str]:
        """The subjects of the checks with this state."""
        return [check.subject for check in self.checks if check.state is state]
