"""The line above a result that names its subject: the archive, the samples with their dates, the cluster.

The line is printed to stderr, so that a file or a pipe gets the result alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitsnap.cli import terminal
from gitsnap.render import wrapped

if TYPE_CHECKING:
    from gitsnap.core.model import ClusterInfo, Sample


def say_heading(text: str) -> None:
    """Print a heading to stderr, wrapped to the width of the terminal."""
    lines = wrapped(text, terminal.width())
    terminal.say(lines.replace("\n  ", "\n"))  # say() has the same indentation


def describe_sample(sample: Sample) -> str:
    """Return the tag, which has the date in UTC, and the trigger: ``hourly/2023-08-26T05-00-00Z (schedule)``."""
    return f"{sample.tag} ({sample.metadata.trigger})"


def describe_cluster(info: ClusterInfo) -> str:
    """Return ``the cluster https://10.0.0.1:6443 (context admin)``, or ``the folder dump``."""
    return info.description if info.is_folder else f"the cluster {info.description}"
