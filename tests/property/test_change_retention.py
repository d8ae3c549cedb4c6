"""Retention and changes: whatever samples are removed, each change stays, with its content and its author."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.capture import prune
from gitsnap.core.changes import Author, AuthorSource
from gitsnap.core.model import Area, CommitId
from gitsnap.core.states import ChangeState
from gitsnap.history.change_finder import Changes
from gitsnap.policy.retention import Rules
from gitsnap.policy.snapshot import Retention
from tests.support.followed_archives import Followed

_STEPS = st.lists(st.sampled_from(["sample", "change", "late"]), min_size=1, max_size=8)


def _contents(followed: Followed) -> dict[CommitId, tuple[str, str, dict[str, bytes]]]:
    """The author, the moment and the configuration of each change that the archive lists, by commit."""
    archive = followed.archive
    changes = Changes(archive)
    found = {}
    for state in changes.newest_first(archive.samples()):
        if isinstance(state, ChangeState):
            tree = archive.tree(state)
            files = {path: tree.read(blob) for path, blob in tree.files(Area.CONFIGURATION).items()}
            found[state.commit] = (str(state.author), state.date, files)
    assert changes.unreadable == []
    return found


@settings(max_examples=12, deadline=None)
@given(steps=_STEPS, keep=st.integers(1, 2), forgotten=st.sets(st.integers(0, 8)))
def test_no_removal_of_samples_loses_a_change(steps: list[str], keep: int, forgotten: set[int]) -> None:
    """The changes before and after a kept sample stay, also after git's garbage collection."""
    with tempfile.TemporaryDirectory() as folder:
        followed = Followed(Path(folder) / "story")
        followed.sample(0, guestbook=0)
        made = set()
        for number, step in enumerate(steps, start=1):
            if step == "sample":
                followed.sample(number)
            else:
                author = Author(f"user-{number}", AuthorSource.AUDIT)
                made.add(followed.change(number, "guestbook", number, author=author, late=step == "late"))
        before = _contents(followed)
        assert before.keys() == made

        archive, now = followed.archive, datetime(2026, 2, 1, tzinfo=UTC)
        older = archive.samples()[:-1]
        with archive.writer() as writer:
            chosen = [older[number] for number in sorted(forgotten) if number < len(older)]
            if chosen:
                prune.forget(writer, chosen, time=now)
            prune.prune(writer, Rules(Retention(keep_last=keep), "UTC"), now=now)
        git = ["git", "-C", str(followed.git_folder)]
        subprocess.run([*git, "reflog", "expire", "--expire=now", "--all"], check=True)
        subprocess.run([*git, "gc", "--quiet", "--prune=now"], check=True)

        assert len(followed.archive.samples()) <= keep
        assert _contents(followed) == before
        assert [finding for finding in followed.archive.check() if finding.wrong] == []
