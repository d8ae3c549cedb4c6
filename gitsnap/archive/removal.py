"""Removes samples and marks: tags go in one transaction of git, and what retention took is on record before they do.

The record is a ref, ``refs/gitsnap/pruned/<branch>``, to a blob that lists tags. The next sample's tag tells of those
among them that are gone (docs/FORMAT.md); killed at any point, nothing is gone that no record covers.
This module must not decide what is removed.
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
from gitsnap.archive.refs import KEEP, TAGS, create_ref, ref_target
from gitsnap.core.errors import ArchiveError, ConflictError, StorageError
from gitsnap.core.model import BlobId, Sample
from gitsnap.format import PrunedSample, PruneRecord, prune_record_from_bytes, prune_record_to_bytes
from gitsnap.git.process import run_git

RECORD = "refs/gitsnap/pruned/"
_MOVED = re.compile(r"but expected|unable to resolve reference|File exists")


def pending(repository: pygit2.Repository, branch: str, samples: Sequence[Sample]) -> tuple[PrunedSample, ...]:
    """What retention took and no tag tells of yet. ``samples``: those that are there. Raises ArchiveError."""
    record = _read(repository, branch)
    if record is None or any(one.sequence > record.since and one.metadata.pruned for one in samples):
        return ()
    there = {(one.tag, one.tag_id) for one in samples}
    return tuple(one for one in record.samples if (one.tag, one.tag_id) not in there)


def remove(
    repository: pygit2.Repository, branch: str, samples: Sequence[Sample], going: Sequence[Sample], *, lock: int
) -> None:
    """Remove the tags of ``going`` out of ``samples``, all of them or none; the record is written and durable first.

    Raises ConflictError when somebody moved one of them meanwhile, StorageError.
    """
    taken = [*pending(repository, branch, samples), *(PrunedSample(one.tag, one.tag_id) for one in going)]
    last = newest(samples)
    record = PruneRecord(last.sequence if last else 0, tuple(taken))
    sink = ObjectSink(Path(repository.path) / "objects", lambda name: pygit2.Oid(hex=name) in repository)
    try:
        blob = sink.add(BLOB, prune_record_to_bytes(record))
        sink.finish()
        create_ref(repository, f"{RECORD}{branch}", blob, force=True)
    except (OSError, pygit2.GitError) as error:
        raise StorageError(f"nothing was removed: the archive cannot be written ({error})") from error
    _delete(repository, [(f"{TAGS}{one.tag}", one.tag_id) for one in going], lock=lock)


def unmark(repository: pygit2.Repository, sample: Sample, *, lock: int) -> None:
    """Take the mark from a sample. Raises ConflictError, StorageError."""
    name = f"{KEEP}{sample.tag}"
    target = ref_target(repository, name)
    if target is not None:
        _delete(repository, [(name, target)], lock=lock)


def _delete(repository: pygit2.Repository, refs: Sequence[tuple[str, str]], *, lock: int) -> None:
    """Delete refs that still have these values, all or none.

    By git, since libgit2 brings deleted refs back when ``git pack-refs`` runs beside it.
    """
    commands = "".join(f"delete {name} {target}\n" for name, target in refs)
    done = run_git(Path(repository.path), "update-ref", "--stdin", given=commands, lock=lock)
    if done.returncode == 0:
        return
    said = done.stderr.strip().splitlines()[-1:] or [f"git ended with {done.returncode}"]
    if _MOVED.search(done.stderr):
        raise ConflictError(
            f"somebody else is changing the tags of the archive {repository.workdir or repository.path}: {said[0]}",
            hint="Nothing is lost. Run the command again.",
        )
    raise StorageError(f"git could not remove tags from {repository.workdir or repository.path}: {said[0]}")


def _read(repository: pygit2.Repository, branch: str) -> PruneRecord | None:
    name = f"{RECORD}{branch}"
    target = ref_target(repository, name)
    if target is None:
        return None
    try:
        content = read_blob(repository, BlobId(target))
    except ArchiveError:
        raise ArchiveError(f"the record {name} of the pruned samples is missing or damaged", hint=DAMAGED) from None
    return prune_record_from_bytes(content)
