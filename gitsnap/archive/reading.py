"""Reads an archive: its samples in order, and the tree of each. Readers take no lock and are never in the way.

This module must not write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pygit2

from gitsnap.archive.trees import DAMAGED, check_end, read_tree
from gitsnap.errors import ArchiveError
from gitsnap.format import is_tag_of, parse_tag_message, tree_info_from_bytes
from gitsnap.model import Area, BlobId, CommitId, IncompleteKind, Sample, TagId, TreeInfo

TAGS = "refs/tags/"
KEEP = "refs/gitsnap/keep/"
"""Below it lies, for each tag that ``gitsnap keep`` marked, a ref of the tag's name to the tag."""

_LISTING_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """A tag that looks like a sample's and cannot be read as one."""

    tag: str
    reason: str


Listing = tuple[tuple[Sample, ...], tuple[Problem, ...]]
"""Samples by sequence, and what could not be read."""


class SampleReader:
    """Reads the samples of one branch; as long as no tag came, went or moved, what was read is given again."""

    def __init__(self, repository: pygit2.Repository, branch: str) -> None:
        self._repository = repository
        self._branch = branch
        self._tags: list[tuple[str, str]] = []
        self._listing: Listing | None = None

    def read(self) -> Listing:
        """All samples, and what could not be read."""
        tags = _tags(self._repository, self._branch)
        if self._listing is None or tags != self._tags or self._listing[1]:
            self._listing, self._tags = _read(self._repository, tags), tags
        return self._listing


def read_samples(repository: pygit2.Repository, branch: str) -> Listing:
    """All samples of a branch, and what could not be read."""
    return _read(repository, _tags(repository, branch))


def _read(repository: pygit2.Repository, tags: list[tuple[str, str]]) -> Listing:
    samples, problems = [], []
    for name, target in tags:
        try:
            samples.append(_sample(repository, name, target))
        except ArchiveError as error:
            problems.append(Problem(name, error.message))
    return tuple(sorted(samples, key=_order)), tuple(sorted(problems, key=lambda one: one.tag))


def _order(sample: Sample) -> tuple[int, str]:
    return sample.metadata.sequence, sample.tag


def read_marks(repository: pygit2.Repository, branch: str) -> frozenset[str]:
    """The tags that ``gitsnap keep`` marked, whether or not they are still there."""
    marks = refs_below(repository, f"{KEEP}{branch}/")
    return frozenset(name.removeprefix(KEEP) for name, _ in marks)


def _tags(repository: pygit2.Repository, branch: str) -> list[tuple[str, str]]:
    """Names and targets of the branch's tags."""
    refs = ((name.removeprefix(TAGS), target) for name, target in refs_below(repository, f"{TAGS}{branch}/"))
    return [(tag, target) for tag, target in refs if is_tag_of(tag, branch)]


def refs_below(repository: pygit2.Repository, prefix: str) -> list[tuple[str, str]]:
    """Whole names and targets of the refs whose names begin so.

    Listing while ``git pack-refs`` runs misses refs that move from files into ``packed-refs``: a listing counts only
    if that file did not change meanwhile.
    """
    packed = Path(repository.path) / "packed-refs"
    refs: list[tuple[str, str]] = []
    for _ in range(_LISTING_ATTEMPTS):
        before = _stamp(packed)
        refs = [
            (name, str(repository.references[name].target)) for name in repository.references if name.startswith(prefix)
        ]
        if _stamp(packed) == before:
            break
    return refs


def ref_target(repository: pygit2.Repository, name: str) -> str | None:
    """What a ref points at, None where there is no such ref. Raises ArchiveError when it is damaged."""
    try:
        return str(repository.lookup_reference(name).resolve().target)
    except KeyError:
        return None
    except (ValueError, pygit2.GitError):
        raise ArchiveError(f"the ref {name} is damaged", hint=DAMAGED) from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _sample(repository: pygit2.Repository, name: str, target: str) -> Sample:
    check_end(repository, target)
    try:
        tag = repository[target]
    except (KeyError, pygit2.GitError):
        raise ArchiveError(f"the tag {name} points at an object that is missing or damaged") from None
    if not isinstance(tag, pygit2.Tag):
        raise ArchiveError(f"the tag {name} is not an annotated one, so gitsnap did not make it")
    metadata = parse_tag_message(tag.message or "")
    return Sample(name, TagId(str(tag.id)), CommitId(str(tag.target)), metadata)


class GitTree:
    """The tree of a commit (ports.Tree)."""

    def __init__(
        self, repository: pygit2.Repository, commit: str, *, incomplete: tuple[IncompleteKind, ...] = ()
    ) -> None:
        self._repository = repository
        self._commit = commit
        self._incomplete = incomplete
        self._files: dict[Area, Mapping[str, BlobId]] = {}

    @property
    def commit(self) -> CommitId:
        """The commit whose tree this is."""
        return CommitId(self._commit)

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """Kinds that the sample holds only as a substitute."""
        return self._incomplete

    @cached_property
    def info(self) -> TreeInfo:
        """What ``gitsnap.yaml`` of the tree says."""
        try:
            entry = self._root["gitsnap.yaml"]
        except KeyError:
            raise ArchiveError(f"the commit {self._commit[:12]} has no gitsnap.yaml, so it is no sample's") from None
        return tree_info_from_bytes(self.read(BlobId(str(entry.id))))

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the area -> content id, sorted by path."""
        if area not in self._files:
            entry = [one for one in self._root if one.name == area]
            found = read_tree(self._repository, entry[0]) if entry and isinstance(entry[0], pygit2.Tree) else {}
            self._files[area] = dict(sorted(found.items()))
        return self._files[area]

    @cached_property
    def all_files(self) -> Mapping[str, BlobId]:
        """Every file of the tree, by its whole path."""
        return read_tree(self._repository, self._root)

    def read(self, blob: BlobId) -> bytes:
        """The content behind an id. Raises ArchiveError when it is missing or damaged."""
        check_end(self._repository, blob)
        try:
            found = self._repository[blob]
        except (KeyError, ValueError, pygit2.GitError):
            raise ArchiveError(
                f"the content {blob} is missing from the archive or damaged",
                hint=DAMAGED,
            ) from None
        if not isinstance(found, pygit2.Blob):
            raise ArchiveError(f"the object {blob} of the archive is no file")
        return found.data

    @cached_property
    def _root(self) -> pygit2.Tree:
        check_end(self._repository, self._commit)
        try:
            commit = self._repository[self._commit].peel(pygit2.Commit)
            check_end(self._repository, str(commit.tree_id))
            return commit.peel(pygit2.Tree)
        except (KeyError, ValueError, pygit2.GitError):
            raise ArchiveError(
                f"the commit {self._commit} is missing from the archive or damaged", hint=DAMAGED
            ) from None


def newest(samples: Sequence[Sample]) -> Sample | None:
    """The newest of samples in order, if there is one."""
    return samples[-1] if samples else None
