"""Takes the place of follow mode that does not run. A sample counts the changes that were not recorded."""

from __future__ import annotations

from gitsnap.capture.follow.differences import count_missed
from gitsnap.capture.sample import Files
from gitsnap.core.model import CommitId
from gitsnap.core.ports import ArchiveWriter


class StoppedFollower:
    """Follow mode that should run but does not (capture.sample.ChangeRecorder)."""

    def settle(self, writer: ArchiveWriter, files: Files, revision: int) -> int:  # noqa: ARG002 - ChangeRecorder
        """The number of objects whose configuration differs between the newest commit and the sample."""
        return count_missed(writer, files)

    def continue_from(self, commit: CommitId, files: Files) -> None:
        """Do nothing. The next follower begins at the newest commit."""
