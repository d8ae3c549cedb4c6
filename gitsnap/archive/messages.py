"""The changes of a new sample against the head, and the content of its commit and tag objects.

This module must not write objects or move refs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from gitsnap.archive.commit_objects import GITSNAP
from gitsnap.archive.reader import GitTree
from gitsnap.core.commits import ChangedFile
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import (
    FIELD_MANAGER,
    Area,
    BlobId,
    ChangeCounts,
    IncompleteKind,
    SampleMetadata,
    TreeInfo,
    Trigger,
)
from gitsnap.core.recording import ChangeDraft, SampleDraft
from gitsnap.format import commit_message, parse_record, tag_message
from gitsnap.format.change_message import author_identity, change_message, person_identity

AUTHOR = GITSNAP

_COMPARED = (Area.CONFIGURATION, Area.INVENTORY)


def changes_since(head: GitTree | None, draft: SampleDraft) -> list[ChangedFile]:
    """The files of ``configuration/`` and ``inventory/`` that differ from the head, by area and path."""
    changes = []
    for area in _COMPARED:
        managers = (draft.managers or {}) if area is Area.CONFIGURATION else {}
        # A plain dictionary is faster: each path is looked up.
        before: Mapping[str, BlobId] = dict(head.files(area).items()) if head else {}
        after = draft.files.get(area, {})
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) == after.get(path):
                continue
            action = "added" if path not in before else "deleted" if path not in after else "modified"
            changes.append(ChangedFile(action, f"{area}/{path}", managers.get(path, "")))
    return changes


def changed_objects(changes: Sequence[ChangedFile]) -> tuple[ChangedFile, ...]:
    """The changes of files below ``configuration/``, where each file is an object."""
    return tuple(change for change in changes if change.path.startswith(f"{Area.CONFIGURATION}/"))


def count_changes(changes: Sequence[ChangedFile]) -> ChangeCounts:
    """The number of objects that were added, modified and deleted."""
    actions = [change.action for change in changes]
    return ChangeCounts(actions.count("added"), actions.count("modified"), actions.count("deleted"))


def marks_since(head: GitTree | None, info: TreeInfo) -> tuple[str, ...]:
    """The settings of the capture that differ from those of the head: ``scope``, ``rules``, ``secrets``."""
    if head is None:
        return ()
    try:
        before = head.info
    except ArchiveError:  # somebody removed gitsnap.yaml in a commit by hand
        return ()
    marks = []
    if (before.kinds, before.resources) != (info.kinds, info.resources):
        marks.append("scope")
    if before.rules != info.rules:
        marks.append("rules")
    if before.secrets != info.secrets:
        marks.append("secrets")
    return tuple(marks)


def differ_only_in_ciphertexts(before: Mapping[str, BlobId], after: Mapping[str, BlobId]) -> bool:
    """Whether two trees are equal apart from ``sealed/``: each encryption of a value gives another ciphertext.

    ``before``, ``after``: path -> blob id.
    """
    sealed = f"{Area.SEALED}/"
    return all(after.get(path) == blob for path, blob in before.items() if not path.startswith(sealed)) and all(
        path in before for path in after if not path.startswith(sealed)
    )


def commit_object(
    tree: str, parent: str | None, draft: SampleDraft, changes: Sequence[ChangedFile], marks: Sequence[str]
) -> bytes:
    """The content of the commit object of a sample. ``tree``, ``parent``: object ids."""
    message = commit_message(
        draft.info.policy,
        changes,
        incomplete=draft.incomplete,
        marks=marks,
        first=parent is None,
        reason=draft.message,
    )
    stamp = f"{_git_time(draft.time)} +0000"
    parents = f"parent {parent}\n" if parent else ""
    people = f"author {_author(draft, changes)} {stamp}\ncommitter {AUTHOR} {stamp}\n"
    return f"tree {tree}\n{parents}{people}\n{message}".encode()


def _author(draft: SampleDraft, changes: Sequence[ChangedFile]) -> str:
    """The author of the commit: the user of a rollback that wrote all changed objects, otherwise gitsnap."""
    record = parse_record(draft.extra) if draft.trigger is Trigger.AFTER_ROLLBACK else None
    managers = {file.manager for file in changed_objects(changes)}
    if record is None or managers != {FIELD_MANAGER}:
        return AUTHOR
    name = record.cluster_user or record.user
    return person_identity(name) if name else AUTHOR


def change_object(
    tree: str,
    parent: str,
    policy: str,
    draft: ChangeDraft,
    changes: Sequence[ChangedFile],
    *,
    cluster: str,
    time: datetime,
    incomplete: Sequence[IncompleteKind],
) -> bytes:
    """The content of the commit object of a change. ``tree``, ``parent``: object ids. ``time``: of the commit."""
    message = change_message(
        policy,
        changes,
        cluster=cluster,
        time=draft.time,
        source=draft.author.source,
        revisions=draft.revisions,
        late=draft.late,
        objects=draft.objects,
        incomplete=incomplete,
    )
    author = f"{author_identity(draft.author)} {_git_time(draft.time)} +0000"
    committer = f"{AUTHOR} {_git_time(time)} +0000"
    return f"tree {tree}\nparent {parent}\nauthor {author}\ncommitter {committer}\n\n{message}".encode()


def tag_object(commit: str, name: str, metadata: SampleMetadata) -> bytes:
    """The content of the tag object of a sample, without a signature. ``commit``: object id."""
    stamp = f"{AUTHOR} {_git_time(metadata.time)} +0000"
    return f"object {commit}\ntype commit\ntag {name}\ntagger {stamp}\n\n{tag_message(metadata)}".encode()


def _git_time(time: datetime) -> int:
    """Seconds since 1970 for git, which reports a negative number as damage. The line ``Time`` of the tag is exact."""
    return max(int(time.timestamp()), 0)
