"""Writes samples, and removes them: objects, then the branch, then the tag, then the working tree (docs/FORMAT.md).

The sample exists when its tag exists. Whatever is killed in between leaves an archive that opens, with all earlier
samples as they were, and the next capture repairs the rest. This module must not decide what a sample holds.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from functools import cached_property, partial
from pathlib import Path

import pygit2

from gitsnap.archive import capture_cache, leftovers, maintenance, removal, tag_names, worktree
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.lost_tags import LostTag, newest_lost
from gitsnap.archive.messages import changes_since, commit_object, counts, marks_since, same_but_sealed, tag_object
from gitsnap.archive.object_reader import check_not_truncated, has_intact_object, read_blob
from gitsnap.archive.object_writer import BLOB, COMMIT, TAG, ObjectSink
from gitsnap.archive.reader import GitTree, SampleReader, newest, read_marks
from gitsnap.archive.refs import KEEP, TAGS, UNSENT, create_ref, ref_target
from gitsnap.archive.trees import Folders, write_tree
from gitsnap.core.errors import ArchiveError, ConflictError, StorageError
from gitsnap.core.model import Area, BlobId, ChangeCounts, CommitId, Sample, SampleMetadata, TagId
from gitsnap.core.ports import RecordedSample, SampleDraft, Seen
from gitsnap.format import ATTRIBUTES, README, check_branch, pruned_text, tag_name, tree_info_to_bytes

_LOCK_ATTEMPTS = 80
_LOCK_SECONDS = 0.05


class GitWriter:
    """The archive while this process holds its writer's lock (ports.ArchiveWriter)."""

    def __init__(self, repository: pygit2.Repository, branch: str, *, lock: int, folders: Folders) -> None:
        self._repository = repository
        self._folders = folders
        self._branch = branch
        self._lock = lock
        self._reader = SampleReader(repository, branch)
        self._samples, self._unreadable = self._reader.read()
        self._check_packed_refs()
        self._base = self._find_base()
        self._lost = None if any(not one.foreign for one in self._unreadable) else self._newest_lost()
        # In an archive without a commit there is nothing to look for, and looking takes as long as hashing.
        known = partial(has_intact_object, repository) if self._base else lambda _name: False
        self._sink = ObjectSink(Path(repository.path) / "objects", known)
        self._memory = capture_cache.load(Path(repository.path))
        self._digests = self._memory.digests

    def _check_packed_refs(self) -> None:
        """Raises ArchiveError where refs cannot be seen: the next sample would follow an older one than the newest."""
        if line := self._reader.damaged_line:
            file = Path(self._repository.path) / "packed-refs"
            raise ArchiveError(
                f"{file} is damaged at line {line}, so that no sample can be added or removed",
                hint="Remove the damaged line and what follows it, then fetch the refs from a clone or remote: "
                f"`git fetch URL 'refs/tags/{self._branch}/*:refs/tags/{self._branch}/*'`.",
            )

    def _newest_lost(self) -> LostTag | None:
        """The sample that the next one follows although its tag is gone."""
        return newest_lost(self._repository, self._branch, self._samples, newest(self._samples), self._base)

    @cached_property
    def head(self) -> GitTree | None:
        """The tree that the next commit is compared with and built on."""
        return GitTree(self._repository, self._base, folders=self._folders) if self._base else None

    @property
    def seen(self) -> Seen | None:
        """What the capture of the newest sample saw, where the branch still is at its commit."""
        last = newest(self._samples)
        believed = last is not None and last.commit == self._base == self._memory.commit
        return self._memory.seen if believed else None

    def store(self, content: bytes) -> BlobId:
        """Keep content; durable only with ``record``. Raises StorageError."""
        try:
            blob = BlobId(self._sink.add(BLOB, content))
        except OSError as error:
            raise _storage_error(self._repository, error) from error
        self._digests[blob] = hashlib.sha256(content).digest()
        return blob

    def abandon(self) -> None:
        """Forget what was stored and not recorded."""
        self._sink.abandon()

    def record(self, draft: SampleDraft) -> RecordedSample:
        """Write the sample. Raises StorageError, ConflictError when somebody moved the branch meanwhile."""
        check_branch(draft.info.policy, draft.info.branch.rpartition("/")[0])
        head = self.head
        files = self._whole_tree(draft)
        changed, marks = ChangeCounts(), marks_since(head, draft.info)
        shown: Mapping[str, BlobId]
        if head is not None and self._is_unchanged(head, files):
            new_commit, commit, shown = False, head.commit, head.all_files
        else:
            new_commit, shown = True, files
            commit, changed = self._write_commit(draft, files, marks)
        metadata = self._metadata(draft, changed, self._content_of(shown))
        free_name = tag_names.beside if draft.beside else tag_names.following
        name = free_name(self._repository, self._branch, draft.time)
        tag = tag_object(commit, name, metadata)
        tag_id = self._sink.add(TAG, tag + draft.signer(tag) if draft.signer is not None else tag)
        try:
            self._sink.finish()
        except OSError as error:
            self._sink.abandon()
            raise _storage_error(self._repository, error) from error
        sample = Sample(name, TagId(tag_id), CommitId(commit), metadata)
        if draft.beside:
            self._add_tag(sample)
            return RecordedSample(sample, new_commit, changed, marks)
        self._move_refs(commit, name, tag_id)
        self._remember(commit, draft, files)
        left, problem = self._show(commit, shown)
        git_folder = Path(self._repository.path)
        if commands := maintenance.due(git_folder, self._branch):
            problem = problem or maintenance.maintain(git_folder, self._branch, commands, lock=self._lock)
        return RecordedSample(sample, new_commit, changed, marks, left_alone=left, worktree_problem=problem)

    # Samples that are there -------------------------------------------------------------------------------------------

    def samples(self) -> Sequence[Sample]:
        """All samples, oldest first, with what this writer wrote and removed."""
        self._samples, self._unreadable = self._reader.read()
        return self._samples

    def marked(self) -> frozenset[str]:
        """Tags of the samples that ``gitsnap keep`` marked."""
        return read_marks(self._repository, self._branch)

    def mark(self, sample: Sample) -> None:
        """Mark a sample, so that no retention removes it; once more does nothing. Raises StorageError."""
        try:
            create_ref(self._repository, f"{KEEP}{sample.tag}", sample.tag_id, force=True)
        except (pygit2.GitError, OSError) as error:
            raise _storage_error(self._repository, error) from error

    def unmark(self, sample: Sample) -> None:
        """Take the mark away again, where there is one. Raises StorageError, ConflictError."""
        if sample.tag in self.marked():
            removal.unmark(self._repository, sample, lock=self._lock)

    def remove(self, samples: Sequence[Sample]) -> None:
        """Remove the tags of samples, all or none; the next sample's tag will tell. Raises StorageError, ConflictError.

        The newest sample is never removed: the branch and the order of samples hang on it.
        """
        present = self.samples()
        last = newest(present)
        if last is not None and any(one.tag == last.tag for one in samples):
            raise ArchiveError(f"the newest sample {last.tag} cannot be removed: the next one builds on it")
        if samples:
            removal.remove(self._repository, self._branch, present, samples, lock=self._lock)
            self.samples()

    # What the branch holds --------------------------------------------------------------------------------------------

    def _find_base(self) -> str | None:
        """The commit to build on: the branch's head, unless somebody rewrote the branch without the newest sample."""
        name, last = f"refs/heads/{self._branch}", newest(self._samples)
        self._check_head()
        try:
            head = ref_target(self._repository, name)
        except ArchiveError:
            if last is None:
                raise
            head = None
            (Path(self._repository.path) / name).unlink(missing_ok=True)  # libgit2 moves no ref that it cannot read
        if head is None and last is None:
            return self._restored_head(name)
        if last is None or head == last.commit:
            return head
        if head is not None and head not in self._repository:
            head = None  # it names nothing: there is nothing to keep of it, nor should the reflog speak of it
            (Path(self._repository.path) / name).unlink(missing_ok=True)
        if head is None or not self._contains(head, last.commit):
            if head is not None:
                create_ref(self._repository, f"refs/gitsnap/foreign/{head}", head, force=True)
            create_ref(self._repository, name, last.commit, force=True)
            return last.commit
        return head

    def _restored_head(self, name: str) -> str | None:
        """The commit that the working tree shows, put back where all refs are gone; None in a new archive."""
        shown = worktree.shown_commit(self._repository)
        if shown is None or shown not in self._repository:
            return None
        create_ref(self._repository, name, shown)
        return shown

    def _check_head(self) -> None:
        """HEAD is no input of a capture, but nothing can be written in a repository where it cannot be read."""
        try:
            self._repository.lookup_reference("HEAD")
        except (KeyError, ValueError, pygit2.GitError):
            file = Path(self._repository.path) / "HEAD"
            raise ArchiveError(
                f"{file} is damaged, so that no sample can be added",
                hint=f"No sample is harmed: write the line `ref: refs/heads/{self._branch}` into it.",
            ) from None

    def _contains(self, head: str, commit: str) -> bool:
        for one in (head, commit):
            check_not_truncated(self._repository, one)
        try:
            return bool(self._repository.descendant_of(head, commit))
        except (KeyError, pygit2.GitError) as error:
            raise ArchiveError(
                f"the history of the archive is damaged: {error}", hint="Run `git fsck` in it."
            ) from error

    def _is_unchanged(self, head: GitTree, files: Mapping[str, BlobId]) -> bool:
        """Whether the head already is this sample's commit: ciphertexts alone are no reason for another one."""
        if not read_commit(self._repository, head.commit).is_own:
            return False
        before = head.all_files
        if head.info.secrets.recipients != self._info.secrets.recipients:
            return False
        return same_but_sealed(before, files)

    # What the next commit holds ---------------------------------------------------------------------------------------

    def _whole_tree(self, draft: SampleDraft) -> dict[str, BlobId]:
        self._info = draft.info
        files = {f"{area}/{path}": blob for area, entries in draft.files.items() for path, blob in entries.items()}
        files["gitsnap.yaml"] = self.store(tree_info_to_bytes(draft.info))
        files["README.md"] = self.store(README)
        files[".gitattributes"] = self.store(ATTRIBUTES)
        return files

    def _write_commit(
        self, draft: SampleDraft, files: Mapping[str, BlobId], marks: Sequence[str]
    ) -> tuple[CommitId, ChangeCounts]:
        changes = changes_since(self.head, draft)
        tree = write_tree(files, self._sink.add)
        commit = self._sink.add(COMMIT, commit_object(tree, self._base, draft, changes, marks))
        return CommitId(commit), counts(changes)

    def _content_of(self, files: Mapping[str, BlobId]) -> str:
        """SHA-256 over the sorted paths and the SHA-256 of each content: what a signature holds on to."""
        digest = hashlib.sha256()
        for path, blob in sorted((os.fsencode(path), blob) for path, blob in files.items()):
            content = self._digests.get(blob)
            if content is None:
                content = hashlib.sha256(read_blob(self._repository, blob)).digest()
                self._digests[blob] = content
            digest.update(path + b"\0" + content.hex().encode() + b"\n")
        return digest.hexdigest()

    def _remember(self, commit: str, draft: SampleDraft, files: Mapping[str, BlobId]) -> None:
        """Keep what was seen for the next capture, where it is not what is kept already."""
        if draft.seen is None:
            return
        before, seen = self._memory, draft.seen
        same = before.seen is not None and before.commit == commit and before.seen.versions == seen.versions
        if same and before.seen is not None and before.seen.checked_at == seen.checked_at:
            return
        digests = {str(blob): self._digests[blob] for blob in files.values() if blob in self._digests}
        capture_cache.save(Path(self._repository.path), capture_cache.Memory(commit, seen, digests))

    def _metadata(self, draft: SampleDraft, counts: ChangeCounts, content: str) -> SampleMetadata:
        last = newest(self._samples)
        lost = None if draft.beside else self._lost
        return SampleMetadata(
            policy=draft.info.policy,
            time=draft.time.astimezone(UTC).replace(microsecond=0),
            sequence=lost.sequence + 1 if lost else self._next_sequence(last),
            previous=lost.id if lost else last.tag_id if last else None,
            pruned=pruned_text(removal.pending(self._repository, self._branch, self._samples)),
            trigger=draft.trigger,
            target=draft.target,
            beside=CommitId(self._base) if draft.beside and self._base else None,
            imported=draft.imported,
            cluster=draft.cluster,
            server=draft.server,
            objects=len(draft.files.get(Area.CONFIGURATION, {})),
            changes=counts,
            consistency=draft.consistency,
            incomplete=tuple(sorted(draft.incomplete)),
            unresolved=draft.unresolved,
            content_sha256=content,
            extra=draft.extra,
        )

    def _next_sequence(self, last: Sample | None) -> int:
        """A number that no sample had: tags that cannot be read have theirs, which may be the ones after the last.

        Those of an earlier time have not, by their names. It may leave a gap, which `gitsnap verify` finds as it finds
        the tags; a number that came twice would leave it open which of two samples is the newer one.
        """
        number = last.sequence + 1 if last else 1
        earliest = tag_name(self._branch, last.time) if last else ""
        return number + sum(one.tag >= earliest for one in self._unreadable if not one.foreign)

    # Making it so -----------------------------------------------------------------------------------------------------

    def _move_refs(self, commit: str, tag: str, tag_id: str) -> None:
        """Branch, then tag; between them lies a commit without a sample, which the next capture tags or builds on."""
        name = f"refs/heads/{self._branch}"
        if any(one not in self._repository for one in (commit, tag_id)):
            raise ConflictError(
                "somebody removed objects of the sample while it was written: `git prune`, or `git gc --prune=now`",
                hint="Nothing is lost. Run the capture again, and leave its setting extensions.preciousObjects on.",
            )
        try:
            if self._base is None:
                self._patiently(lambda: create_ref(self._repository, name, commit))
            elif commit != self._base:
                branch = self._repository.references[name]
                if str(branch.target) != self._base:
                    raise self._moved()
                self._patiently(lambda: branch.set_target(pygit2.Oid(hex=commit), f"gitsnap: {tag}"))
            self._patiently(lambda: create_ref(self._repository, f"refs/tags/{tag}", tag_id))
        except pygit2.AlreadyExistsError as error:
            raise self._moved() from error
        except (pygit2.GitError, OSError) as error:
            if "old reference value does not match" in str(error):
                raise self._moved() from error
            raise _storage_error(self._repository, error) from error

    def _add_tag(self, sample: Sample) -> None:
        """A tag beside the branch; first the note that the remote has it not, so that a fetch does not lose it."""
        try:
            for below in (UNSENT, TAGS):
                self._patiently(partial(create_ref, self._repository, f"{below}{sample.tag}", sample.tag_id))
        except (pygit2.GitError, OSError) as error:
            raise _storage_error(self._repository, error) from error

    def _patiently(self, move: Callable[[], object]) -> None:
        """Move a ref, again for a while where git holds a lock: an operator's ``git pack-refs`` or ``git gc`` beside.

        A ref that is locked has not been moved, so that trying again is safe. A lock may turn out to be a leftover.
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
                leftovers.clear_git(Path(self._repository.path), self._branch)
            else:
                return

    def _moved(self) -> ConflictError:
        return ConflictError(
            f"somebody else committed to the branch {self._branch} while the sample was written",
            hint="Nothing is lost. Run the capture again: it builds on that commit.",
        )

    def _show(self, commit: str, files: Mapping[str, BlobId]) -> tuple[tuple[str, ...], str]:
        try:
            left = worktree.update(
                self._repository, self._branch, commit, files, base=self._base, folders=self._folders
            )
        except (OSError, KeyError, pygit2.GitError, ArchiveError) as error:
            return (), f"the working tree was not updated ({error}); the next capture tries again"
        return left, ""


def _storage_error(repository: pygit2.Repository, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or str(error)
    return StorageError(
        f"cannot write to the archive {repository.workdir or repository.path}: {reason}",
        hint="The samples taken so far are unharmed. Free space or correct the permissions, and capture again.",
    )
