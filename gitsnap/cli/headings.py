"""The line above a result that names its subject: the archive, the samples with their dates, the cluster.

The line is printed to stderr, so that a file or a pipe gets the result alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitsnap.cli import terminal
from gitsnap.render import one_line

if TYPE_CHECKING:
    from gitsnap.core.ports import ClusterInfo
    from gitsnap.core.states import State


def say_heading(text: str) -> None:
    """Print a heading or a note to stderr."""
    terminal.say(one_line(text))


def describe_sample(state: State) -> str:
    """Return the tag, which has the date in UTC, and the trigger: ``hourly/2023-08-26T05-00-00Z (schedule)``.

    A change: ``change 3f2a1b9c0d1e (2023-08-26 05:12:07 UTC, alice (audit))``.
    """
    from gitsnap.core.states import ChangeState, author_text

    if isinstance(state, ChangeState):
        author = author_text(state.author, late=state.change.late)
        return f"change {state.moment} ({state.date.replace(':', ' ', 1)} UTC, {author})"
    return f"{state.tag} ({state.metadata.trigger})"


def describe_cluster(info: ClusterInfo) -> str:
    """Return ``the cluster https://10.0.0.1:6443 (context admin)``, or ``the folder dump``."""
    return info.description if info.is_folder else f"the cluster {info.description}"
