"""Writes the notes with names of authors that became known after their changes were recorded (docs/FORMAT.md).

A note is a blob in the tree of ``refs/notes/gitsnap-authors``, as git-notes(1) stores it. The commits of the changes
stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import pygit2

from gitsnap.archive.commit_objects import GITSNAP, read_commit
from gitsnap.archive.object_reader import has_intact_object
from gitsnap.archive.object_writer import BLOB, COMMIT, ObjectSink
from gitsnap.archive.refs import create_ref, read_ref
from gitsnap.archive.trees import Folders, TreeUpdates
from gitsnap.core.errors import ConflictError, StorageError
from gitsnap.core.model import BlobId, CommitId
from gitsnap.format.change_message import AUTHOR_NOTES

_MESSAGE = "Names of authors that became known later\n"


def write_author_notes(
    repository: pygit2.Repository, folders: Folders, texts: Mapping[CommitId, str], *, time: datetime
) -> None:
    """Add or replace the notes of some commits, all in one commit. The caller holds the writer's lock.

    ``texts``: commit -> text of its note. ``time``: the time of the commit. Raises ArchiveError if the existing notes
    are damaged, StorageError, and ConflictError if another git wrote notes in the meantime.
    """
    sink = ObjectSink(Path(repository.path) / "objects", partial(has_intact_object, repository))
    try:
        head = read_ref(repository, AUTHOR_NOTES)
        tree = read_commit(repository, head).tree if head else ""
        old_paths = _paths(folders.files(tree)) if tree else {}
        files: dict[str, BlobId | None] = {}
        for commit, text in texts.items():
            # git spreads many notes over folders. git reads any number of folders, and a commit has only one note.
            path = f"{commit[:2]}/{commit[2:]}"
            files.update({old: None for old in old_paths.get(commit, ()) if old != path})
            files[path] = BlobId(sink.add(BLOB, text.encode()))
        updated: str = TreeUpdates(folders, sink.add).update(tree, files)
        if updated == tree:
            return
        stamp = f"{GITSNAP} {max(int(time.timestamp()), 0)} +0000"
        parent = f"parent {head}\n" if head else ""
        content = f"tree {updated}\n{parent}author {stamp}\ncommitter {stamp}\n\n{_MESSAGE}"
        commit_id = sink.add(COMMIT, content.encode())
        sink.finish()
        _move(repository, head, commit_id)
    except OSError as error:
        raise _storage_error(repository, error) from error
    finally:
        sink.abandon()


def _paths(files: Mapping[str, BlobId]) -> dict[str, list[str]]:
    """Commit -> the paths of its notes. ``files``: the files of the tree of notes."""
    paths: dict[str, list[str]] = {}
    for path in files:
        paths.setdefault(path.replace("/", ""), []).append(path)
    return paths


def _move(repository: pygit2.Repository, head: str | None, commit: str) -> None:
    """Move the ref of the notes, if it has not moved since it was read."""
    try:
        if head is None:
            create_ref(repository, AUTHOR_NOTES, commit)
            return
        notes = repository.references[AUTHOR_NOTES]
        if str(notes.target) != head:
            raise _moved()
        notes.set_target(pygit2.Oid(hex=commit), "gitsnap: authors")
    except pygit2.AlreadyExistsError as error:
        raise _moved() from error
    except pygit2.GitError as error:
        if "old reference value does not match" in str(error):
            raise _moved() from error
        raise _storage_error(repository, error) from error


def _moved() -> ConflictError:
    return ConflictError(
        f"another process wrote {AUTHOR_NOTES} at the same time", hint="Nothing is lost. Run the command again."
    )


def _storage_error(repository: pygit2.Repository, error: Exception) -> StorageError:
    return StorageError(
        f"cannot write notes to the archive {repository.workdir or repository.path}: "
        f"{getattr(error, 'strerror', None) or error}",
        hint="Nothing was changed. Free space or correct the permissions, and run the command again.",
    )
