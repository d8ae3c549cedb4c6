"""Removes samples and marks. All tags are deleted in one transaction of git.

Before that, the ref ``refs/gitsnap/pruned/<branch>`` is set to a blob that lists the tags. The tag of the next sample
records the listed tags that are gone (docs/FORMAT.md). Every removed sample is recorded, even if the process is
killed at any point. The ref ``refs/gitsnap/forgotten/<branch>`` is set to a blob that says who removed samples with
``gitsnap forget``, and why. This module must not decide which samples are removed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pygit2

from gitsnap.archive.completeness import DAMAGED
from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.object_writer import BLOB, ObjectSink
from gitsnap.archive.reader import newest
from gitsnap.archive.refs import KEEP, TAGS, create_ref, read_ref
from gitsnap.core.errors import ArchiveError, ConflictError, StorageError
from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import BlobId, Sample
from gitsnap.format import (
    PrunedSample,
    PruneRecord,
    forgotten_from_bytes,
    forgotten_lines,
    forgotten_to_bytes,
    prune_record_from_bytes,
    prune_record_to_bytes,
)
from gitsnap.git.process import run_git

RECORD = "refs/gitsnap/pruned/"
FORGOTTEN = "refs/gitsnap/forgotten/"
_MOVED = re.compile(r"but expected|unable to resolve reference|File exists")


def unrecorded_samples(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample]
) -> tuple[PrunedSample, ...]:
    """The removed samples that no tag records yet. ``samples``: all samples of the archive.

    Raises ArchiveError where the list of removed samples is missing or damaged.
    """
    record = _read_record(repository, branch)
    if record is None or any(sample.sequence > record.since and sample.metadata.pruned for sample in samples):
        return ()
    present = {(sample.tag, sample.tag_id) for sample in samples}
    return tuple(pruned for pruned in record.samples if (pruned.tag, pruned.tag_id) not in present)


def unrecorded_forgotten(
    repository: pygit2.Repository, branch: str, unrecorded: Sequence[PrunedSample]
) -> list[ForgottenSample]:
    """The removed samples that a user removed. ``unrecorded``: all removed samples that no tag records yet.

    Raises ArchiveError where the record is missing or damaged.
    """
    name = f"{FORGOTTEN}{branch}"
    content = _read_blob(repository, name, "forgotten") if unrecorded else None
    if content is None:
        return []
    gone = {(pruned.tag, pruned.tag_id) for pruned in unrecorded}
    return [sample for sample in forgotten_from_bytes(content) if (sample.tag, sample.tag_id) in gone]


def lines_of_forgotten(
    repository: pygit2.Repository, branch: str, unrecorded: Sequence[PrunedSample]
) -> tuple[tuple[str, str], ...]:
    """The lines of the next tag about the samples that a user removed. See ``unrecorded_forgotten``."""
    return forgotten_lines(unrecorded_forgotten(repository, branch, unrecorded))


def remove(
    repository: pygit2.Repository,
    branch: str,
    samples: Sequence[Sample],
    removed: Sequence[Sample],
    forgotten: Sequence[ForgottenSample],
    *,
    lock: int,
) -> None:
    """Delete the tags of samples, all or none. The list of removed samples is durable before that.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        samples: All samples of the archive.
        removed: The samples to remove.
        forgotten: The records of the samples that a user removes.
        lock: Descriptor of the writer's lock.

    Raises:
        ConflictError: Another process moved or removed one of the tags meanwhile.
        StorageError: The archive cannot be written.
        ArchiveError: The list of removed samples is damaged.
    """
    present = {sample.tag_id for sample in samples}
    gone = [sample.tag for sample in removed if sample.tag_id not in present]
    if gone:  # a record of them would be a second one, with another user
        raise ConflictError(
            f"nothing was removed: another process has removed {', '.join(gone)} meanwhile",
            hint="`gitsnap list` shows the samples that are left.",
        )
    unrecorded = unrecorded_samples(repository, branch, samples)
    last = newest(samples)
    record = PruneRecord(
        last.sequence if last else 0,
        (*unrecorded, *(PrunedSample(sample.tag, sample.tag_id) for sample in removed)),
    )
    contents = {f"{RECORD}{branch}": prune_record_to_bytes(record)}
    earlier = unrecorded_forgotten(repository, branch, unrecorded)
    if forgotten or read_ref(repository, f"{FORGOTTEN}{branch}") is not None:
        # Written first, so that no removal is recorded without its user. A removal by rules replaces an earlier record
        # too: the record may list samples that were not removed after all, because the process was killed.
        contents = {f"{FORGOTTEN}{branch}": forgotten_to_bytes([*earlier, *forgotten]), **contents}
    sink = ObjectSink(Path(repository.path) / "objects", lambda name: pygit2.Oid(hex=name) in repository)
    try:
        blobs = {name: sink.add(BLOB, content) for name, content in contents.items()}
        sink.finish()
        for name, blob in blobs.items():
            create_ref(repository, name, blob, force=True)
    except (OSError, pygit2.GitError) as error:
        raise StorageError(f"nothing was removed: the archive cannot be written ({error})") from error
    _delete(repository, [(f"{TAGS}{sample.tag}", sample.tag_id) for sample in removed], lock=lock)


def unmark(repository: pygit2.Repository, sample: Sample, *, lock: int) -> None:
    """Remove the mark of a sample. Raises ConflictError, StorageError."""
    name = f"{KEEP}{sample.tag}"
    target = read_ref(repository, name)
    if target is not None:
        _delete(repository, [(name, target)], lock=lock)


def _delete(repository: pygit2.Repository, refs: Sequence[tuple[str, str]], *, lock: int) -> None:
    """Delete refs that still have these targets, all or none.

    The git program does this: libgit2 restores a deleted ref when ``git pack-refs`` runs at the same time.
    """
    commands = "".join(f"delete {name} {target}\n" for name, target in refs)
    done = run_git(Path(repository.path), "update-ref", "--stdin", stdin=commands, lock=lock)
    if done.returncode == 0:
        return
    reason = (done.stderr.strip().splitlines() or [f"git ended with {done.returncode}"])[-1]
    if _MOVED.search(done.stderr):
        raise ConflictError(
            f"another process is changing the tags of the archive {repository.workdir or repository.path}: {reason}",
            hint="Nothing is lost. Run the command again.",
        )
    raise StorageError(f"git could not remove tags from {repository.workdir or repository.path}: {reason}")


def _read_record(repository: pygit2.Repository, branch: str) -> PruneRecord | None:
    content = _read_blob(repository, f"{RECORD}{branch}", "pruned")
    return None if content is None else prune_record_from_bytes(content)


def _read_blob(repository: pygit2.Repository, name: str, subject: str) -> bytes | None:
    """The content of the blob that a ref names; None without the ref."""
    target = read_ref(repository, name)
    if target is None:
        return None
    try:
        return read_blob(repository, BlobId(target))
    except ArchiveError:
        raise ArchiveError(f"the record {name} of the {subject} samples is missing or damaged", hint=DAMAGED) from None
