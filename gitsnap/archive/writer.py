"""Writes and removes samples. A sample is written in this order: objects, branch, tag, working tree (docs/FORMAT.md).

A sample exists when its tag exists. A process that is killed at any point leaves an archive that can be opened, with
all earlier samples unchanged; the next capture repairs the rest. This module must not decide what a sample holds.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pygit2

from gitsnap.archive import capture_cache, leftovers, maintenance, removal, tag_names, worktree
from gitsnap.archive.branch_head import BranchHead
from gitsnap.archive.branch_repair import check_packed_refs, repair_branch
from gitsnap.archive.change_commits import write_change_commits
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.lost_tags import LostTag, find_newest_lost
from gitsnap.archive.messages import (
    changed_objects,
    changes_since,
    commit_object,
    count_changes,
    differ_only_in_ciphertexts,
    marks_since,
    tag_object,
)
from gitsnap.archive.object_reader import has_intact_object, read_blob
from gitsnap.archive.object_writer import BLOB, COMMIT, TAG, ObjectSink
from gitsnap.archive.reader import GitTree, SampleReader, newest, read_marks
from gitsnap.archive.refs import KEEP, PENDING_PUSH, TAGS, create_ref
from gitsnap.archive.sample_metadata import sample_metadata
from gitsnap.archive.trees import Folders, write_tree
from gitsnap.core.commits import ChangedFile
from gitsnap.core.errors import ArchiveError, ConflictError, StorageError
from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import Area, BlobId, CommitId, IncompleteKind, Sample, TagId, TreeInfo
from gitsnap.core.recording import CaptureCache, ChangeDraft, RecordedChange, RecordedSample, SampleDraft
from gitsnap.format import ATTRIBUTES, README, check_branch, tree_info_to_bytes

_LOCK_ATTEMPTS = 80
_LOCK_SECONDS = 0.05


class GitWriter:
    """Writes to an archive while this process holds the writer's lock (ports.ArchiveWriter)."""

    def __init__(self, repository: pygit2.Repository, branch: str, *, lock: int, folders: Folders) -> None:
        self._repository = repository
        self._folders = folders
        self._branch = branch
        self._lock = lock
        self._reader = SampleReader(repository, branch)
        self._samples, self._unreadable = self._reader.read()
        check_packed_refs(repository, branch, damaged_line=self._reader.damaged_line)
        self._base = repair_branch(repository, branch, newest(self._samples))
        self._lost = None if any(not problem.foreign for problem in self._unreadable) else self._find_lost()
        # An archive without a commit has no objects, and a search takes as long as hashing.
        known = partial(has_intact_object, repository) if self._base else lambda _name: False
        self._sink = ObjectSink(Path(repository.path) / "objects", known)
        self._cached = capture_cache.load(Path(repository.path))
        self._digests: dict[str, bytes] = {}
        """Blob id -> SHA-256 of the content, for the contents that this writer stored or read."""
        self._new_files: Mapping[str, BlobId] | None = None
        """The files of the commit that the last sample made: path -> blob id. None if the sample made no commit."""
        self._head = self._read_head()

    def _read_head(self) -> BranchHead:
        return BranchHead(self._repository, self._base, newest(self._samples), self._cached, folders=self._folders)

    def _find_lost(self) -> LostTag | None:
        """The removed tag that the next sample follows; None for none."""
        return find_newest_lost(self._repository, self._branch, self._samples, newest(self._samples), self._base)

    @property
    def head(self) -> GitTree | None:
        """The tree of the commit that the next commit builds on; None in a new archive."""
        return self._head.tree

    @property
    def head_commit(self) -> CommitId | None:
        """The commit that the next commit builds on; None in a new archive."""
        return CommitId(self._base) if self._base else None

    @property
    def ends_in_change(self) -> bool:
        """Whether the newest commit of the branch is a change (ports.ArchiveWriter)."""
        return self._head.change is not None

    @property
    def head_revision(self) -> int:
        """The highest resource version that the newest commit contains (ports.ArchiveWriter)."""
        return self._head.revision

    @property
    def cache(self) -> CaptureCache | None:
        """The cache of the newest sample. None if there is none, or if the head is neither its commit nor a change."""
        return self._head.cache

    def store(self, content: bytes) -> BlobId:
        """Store content, and return its id. The content is durable only after ``record``. Raises StorageError."""
        try:
            blob = BlobId(self._sink.add(BLOB, content))
        except OSError as error:
            raise _storage_error(self._repository, error) from error
        self._digests[blob] = hashlib.sha256(content).digest()
        return blob

    def abandon(self) -> None:
        """Drop the contents that were stored and not recorded."""
        self._sink.abandon()

    def record(self, draft: SampleDraft) -> RecordedSample:
        """Write a sample. Raises StorageError, ArchiveError, and ConflictError where the branch was moved meanwhile."""
        check_branch(draft.info.policy, draft.info.branch.rpartition("/")[0])
        head, root_files = self.head, self._store_root_files(draft.info)
        marks = marks_since(head, draft.info)
        changed: tuple[ChangedFile, ...] = ()
        if head is not None and self._is_unchanged(head, draft, root_files):
            new_commit, commit, self._new_files = False, head.commit, None
        else:
            new_commit, self._new_files = True, (files := _whole_tree(draft, root_files))
            commit, changed = self._write_commit(draft, files, marks)
        content = self._content_digest(commit)
        metadata = sample_metadata(
            draft,
            repository=self._repository,
            branch=self._branch,
            base=self._base,
            samples=self._samples,
            unreadable=self._unreadable,
            lost=self._lost,
            changes=count_changes(changed),
            content=content,
        )
        free_name = tag_names.detached_name if draft.detached else tag_names.next_name
        tag = tag_object(commit, name := free_name(self._repository, self._branch, draft.time), metadata)
        tag_id = self._sink.add(TAG, tag + draft.signer(tag) if draft.signer is not None else tag)
        self._finish_objects()
        sample = Sample(name, TagId(tag_id), CommitId(commit), metadata)
        recorded = RecordedSample(sample, new_commit, metadata.changes, marks, changed=changed)
        if draft.detached:
            self._add_tag(sample)
            return recorded
        self._move_refs(commit, name, tag_id)
        self._save_cache(commit, draft, content)
        left_alone, problem = self._update_worktree(commit, self._committed_files)
        if commands := maintenance.due_commands(git_folder := Path(self._repository.path), self._branch):
            problem = problem or maintenance.maintain(git_folder, self._branch, commands, lock=self._lock)
        return replace(recorded, left_alone=left_alone, worktree_error=problem)

    def _finish_objects(self) -> None:
        """Make the stored objects durable. Raises StorageError."""
        try:
            self._sink.finish()
        except OSError as error:
            self._sink.abandon()
            raise _storage_error(self._repository, error) from error

    def record_changes(
        self,
        drafts: Sequence[ChangeDraft],
        *,
        cluster: str,
        time: datetime,
        incomplete: Sequence[IncompleteKind] = (),
    ) -> Sequence[RecordedChange]:
        """Write one commit for each change, and move the branch once (ports.ArchiveWriter)."""
        head = self.head
        if head is None:
            raise ArchiveError(f"the archive of {self._branch} has no sample, which a change could follow")
        commits = write_change_commits(
            self._repository,
            head.commit,
            drafts,
            policy=head.info.policy,
            cluster=cluster,
            time=time,
            incomplete=incomplete,
            folders=self._folders,
            add=self._sink.add,
        )
        self._finish_objects()
        if commits.changes:
            last = commits.changes[-1].commit
            self._move_refs(last)
            self._update_worktree(last, partial(self._folders.files, commits.tree))
            self._base = last
            self._head = self._read_head()
        return commits.changes

    # Existing samples -------------------------------------------------------------------------------------------------

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first. Samples that this writer wrote or removed are taken into account."""
        self._samples, self._unreadable = self._reader.read()
        return self._samples

    def marked(self) -> frozenset[str]:
        """Names of the tags that ``gitsnap keep`` marked."""
        return read_marks(self._repository, self._branch)

    def mark(self, sample: Sample) -> None:
        """Mark a sample, so that retention does not remove it. A sample may be marked twice. Raises StorageError."""
        try:
            create_ref(self._repository, f"{KEEP}{sample.tag}", sample.tag_id, force=True)
        except (pygit2.GitError, OSError) as error:
            raise _storage_error(self._repository, error) from error

    def unmark(self, sample: Sample) -> None:
        """Remove the mark of a sample, if it has one. Raises StorageError, ConflictError."""
        if sample.tag in self.marked():
            removal.unmark(self._repository, sample, lock=self._lock)

    def remove(self, samples: Sequence[Sample], *, forgotten: Sequence[ForgottenSample] = ()) -> None:
        """Remove the tags of samples, all or none. The tag of the next sample records them.

        Raises StorageError, ConflictError, and ArchiveError for the newest sample, which the next sample builds on.
        """
        present = self.samples()
        last = newest(present)
        if last is not None and any(sample.tag == last.tag for sample in samples):
            raise ArchiveError(f"the newest sample {last.tag} cannot be removed: the next sample builds on it")
        if samples:
            removal.remove(self._repository, self._branch, present, samples, forgotten, lock=self._lock)
            self.samples()

    # The next commit and tag ------------------------------------------------------------------------------------------

    def _is_unchanged(self, head: GitTree, draft: SampleDraft, root_files: Mapping[str, BlobId]) -> bool:
        """Whether the sample needs no new commit. New ciphertexts of equal values are not a change."""
        if not read_commit(self._repository, head.commit).is_own:
            return False
        if head.info.secrets.recipients != draft.info.secrets.recipients:
            return False
        if _has_files(head, draft, root_files):
            return True
        return differ_only_in_ciphertexts(head.all_files, _whole_tree(draft, root_files))

    def _store_root_files(self, info: TreeInfo) -> dict[str, BlobId]:
        """Store the files at the root of the tree. Returns name -> blob id."""
        contents = {"gitsnap.yaml": tree_info_to_bytes(info), "README.md": README, ".gitattributes": ATTRIBUTES}
        return {name: self.store(content) for name, content in contents.items()}

    def _committed_files(self) -> Mapping[str, BlobId]:
        """The files of the commit of the sample that is being recorded: path -> blob id."""
        if self._new_files is not None:
            return self._new_files
        return self.head.all_files if self.head is not None else {}

    def _write_commit(
        self, draft: SampleDraft, files: Mapping[str, BlobId], marks: Sequence[str]
    ) -> tuple[CommitId, tuple[ChangedFile, ...]]:
        changes = changes_since(self.head, draft)
        tree = write_tree(files, self._sink.add)
        commit = self._sink.add(COMMIT, commit_object(tree, self._base, draft, changes, marks))
        return CommitId(commit), changed_objects(changes)

    def _content_digest(self, commit: str) -> str:
        """SHA-256 over the sorted paths and the SHA-256 of each content (docs/FORMAT.md). A signed tag covers it."""
        if commit == self._cached.commit and self._cached.content:
            return self._cached.content
        digest = hashlib.sha256()
        for path, blob in sorted((os.fsencode(path), blob) for path, blob in self._committed_files().items()):
            digest.update(path + b"\0" + self._sha256(blob).hex().encode() + b"\n")
        return digest.hexdigest()

    def _sha256(self, blob: BlobId) -> bytes:
        """The SHA-256 of the content of a file of the sample."""
        known = self._digests.get(blob) or self._cached.digests.get(blob)
        if known is None:
            known = self._digests[blob] = hashlib.sha256(read_blob(self._repository, blob)).digest()
        return known

    def _save_cache(self, commit: str, draft: SampleDraft, content: str) -> None:
        """Write the capture cache, if it has changed. ``content``: the Content-SHA256 of the commit."""
        if draft.cache is None:
            return
        before, cache = self._cached, draft.cache
        if before.cache and before.commit == commit and replace(before.cache, revision=cache.revision) == cache:
            return
        digests = before.joined_digests
        if before.commit != commit:
            digests = capture_cache.joined((blob, self._sha256(blob)) for blob in self._committed_files().values())
        saved = capture_cache.CachedCommit(commit, cache, content, digests)
        capture_cache.save(Path(self._repository.path), saved)

    # Refs and the working tree ----------------------------------------------------------------------------------------

    def _move_refs(self, commit: str, tag: str = "", tag_id: str = "") -> None:
        """Move the branch, then create the tag. If the process is killed in between, the next capture uses the commit.

        Without a ``tag``: move the branch only.

        Raises ConflictError where another process moved the branch or removed the objects, StorageError.
        """
        name = f"refs/heads/{self._branch}"
        if any(identity not in self._repository for identity in (commit, tag_id) if identity):
            raise ConflictError(
                "another process removed objects of the sample while it was written: `git prune`, or "
                "`git gc --prune=now`",
                hint="Nothing is lost. Run the capture again, and keep extensions.preciousObjects set in the archive.",
            )
        try:
            if self._base is None:
                self._retry_while_locked(lambda: create_ref(self._repository, name, commit))
            elif commit != self._base:
                branch = self._repository.references[name]
                if str(branch.target) != self._base:
                    raise self._moved()
                self._retry_while_locked(
                    lambda: branch.set_target(pygit2.Oid(hex=commit), f"gitsnap: {tag or 'change'}")
                )
            if tag:
                self._retry_while_locked(lambda: create_ref(self._repository, f"refs/tags/{tag}", tag_id))
        except pygit2.AlreadyExistsError as error:
            raise self._moved() from error
        except (pygit2.GitError, OSError) as error:
            if "old reference value does not match" in str(error):
                raise self._moved() from error
            raise _storage_error(self._repository, error) from error

    def _add_tag(self, sample: Sample) -> None:
        """Tag a detached sample. The ref for the pending push comes first, so that a fetch cannot lose the sample."""
        try:
            for prefix in (PENDING_PUSH, TAGS):
                self._retry_while_locked(partial(create_ref, self._repository, f"{prefix}{sample.tag}", sample.tag_id))
        except (pygit2.GitError, OSError) as error:
            raise _storage_error(self._repository, error) from error

    def _retry_while_locked(self, move: Callable[[], object]) -> None:
        """Move a ref. Try again for four seconds while another git, such as ``git pack-refs``, holds a lock.

        A locked ref has not been moved, so another attempt is safe. Locks that a killed git left are removed.
        """
        for attempt in range(_LOCK_ATTEMPTS):
            try:
                move()
            except pygit2.AlreadyExistsError:
                raise
            except (pygit2.GitError, OSError) as error:
                if "lock" not in str(error) or attempt + 1 == _LOCK_ATTEMPTS:
                    raise
                time.sleep(_LOCK_SECONDS)
                leftovers.remove_git_leftovers(Path(self._repository.path), self._branch)
            else:
                return

    def _moved(self) -> ConflictError:
        return ConflictError(
            f"somebody else committed to the branch {self._branch} while the sample was written",
            hint="Nothing is lost. Run the capture again: it builds on that commit.",
        )

    def _update_worktree(self, commit: str, files: Callable[[], Mapping[str, BlobId]]) -> tuple[tuple[str, ...], str]:
        """Update the working tree. Returns the paths that were left alone, and a problem.

        ``files`` returns the files of the commit.
        """
        contents, base, folders = self._sink.take_contents(), self._base, self._folders
        try:
            left_alone = worktree.update(
                self._repository, self._branch, commit, files, contents, base=base, folders=folders
            )
        except (OSError, KeyError, pygit2.GitError, ArchiveError) as error:
            return (), f"the working tree was not updated ({error}); the next capture tries again"
        return left_alone, ""


def _whole_tree(draft: SampleDraft, root_files: Mapping[str, BlobId]) -> dict[str, BlobId]:
    """All files of a sample: path -> blob id."""
    files = {f"{area}/{path}": blob for area, entries in draft.files.items() for path, blob in entries.items()}
    return {**files, **root_files}


def _has_files(head: GitTree, draft: SampleDraft, root_files: Mapping[str, BlobId]) -> bool:
    """Whether a tree has exactly the files of a sample. Compares area by area, which is faster than path by path."""
    return head.root_files == root_files and all(
        head.files(area).items() == draft.files.get(area, {}).items() for area in Area
    )


def _storage_error(repository: pygit2.Repository, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or str(error)
    return StorageError(
        f"cannot write to the archive {repository.workdir or repository.path}: {reason}",
        hint="The samples taken so far are unharmed. Free space or correct the permissions, and capture again.",
    )
