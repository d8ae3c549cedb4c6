"""Makes the commits of changes: trees and commit objects. This module must not move refs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pygit2

from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.messages import change_object, changed_objects
from gitsnap.archive.object_writer import COMMIT
from gitsnap.archive.trees import Folders, TreeUpdates
from gitsnap.core.commits import ChangedFile
from gitsnap.core.model import Area, CommitId, IncompleteKind
from gitsnap.core.recording import ChangeDraft, RecordedChange

_REPORTED = (Area.CONFIGURATION, Area.INVENTORY)


@dataclass(frozen=True, slots=True)
class ChangeCommits:
    """New commits on top of the head of the branch."""

    changes: tuple[RecordedChange, ...]
    tree: str
    """Id of the tree of the last commit."""


def write_change_commits(
    repository: pygit2.Repository,
    head: str,
    drafts: Sequence[ChangeDraft],
    *,
    policy: str,
    cluster: str,
    time: datetime,
    incomplete: Sequence[IncompleteKind],
    folders: Folders,
    add: Callable[[bytes, bytes], str],
) -> ChangeCommits:
    """Make one commit for each draft that changes a file, the first on top of ``head``.

    ``add``: stores an object of a kind and returns its id. Raises ArchiveError if a folder of the head is damaged.
    """
    updates = TreeUpdates(folders, add)
    tree, parent = read_commit(repository, head).tree, head
    recorded = []
    for draft in drafts:
        files = {f"{area}/{path}": blob for area, entries in draft.files.items() for path, blob in entries.items()}
        before = {path: updates.blob(tree, path) for path in files}
        updated = updates.update(tree, files)
        if updated == tree:
            continue
        changes = _changed_files(draft, before)
        content = change_object(
            updated, parent, policy, draft, changes, cluster=cluster, time=time, incomplete=incomplete
        )
        tree, parent = updated, add(COMMIT, content)
        subject = content.partition(b"\n\n")[2].partition(b"\n")[0].decode()
        commit = CommitId(parent)
        recorded.append(RecordedChange(commit, draft.author, draft.time, draft.late, subject, changed_objects(changes)))
    return ChangeCommits(tuple(recorded), tree)


def _changed_files(draft: ChangeDraft, before: Mapping[str, str | None]) -> list[ChangedFile]:
    """The files of ``configuration/`` and ``inventory/`` that the draft changes, by area and path."""
    changes = []
    for area in _REPORTED:
        managers = (draft.managers or {}) if area is Area.CONFIGURATION else {}
        for path, blob in sorted(draft.files.get(area, {}).items()):
            old = before[f"{area}/{path}"]
            if old != blob:
                action = "added" if old is None else "deleted" if blob is None else "modified"
                changes.append(ChangedFile(action, f"{area}/{path}", managers.get(path, "")))
    return changes
