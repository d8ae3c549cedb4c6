"""Reads an archive: its samples in order, and the tree of each. Readers take no lock and are never in the way.

This module must not write, but for the index of samples, which readers keep up as well (``sample_index``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import overload

import pygit2

from gitsnap.archive import sample_index
from gitsnap.archive.refs import KEEP, TAGS, refs_below
from gitsnap.archive.trees import DAMAGED, check_end, read_tree
from gitsnap.errors import ArchiveError
from gitsnap.format import is_tag_of, parse_tag_message, tree_info_from_bytes
from gitsnap.model import Area, BlobId, CommitId, IncompleteKind, Sample, SampleMetadata, TagId, TreeInfo

_WORTH_KEEPING = 200
"""So many tags that the index does not know take ten milliseconds to read: then it is written anew."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A tag that looks like a sample's and cannot be read as one."""

    tag: str
    reason: str


Row = tuple[int, datetime, str, TagId, CommitId]
"""Sequence, time, name, object id and commit of a sample: rows are in the order of samples (Sample.order)."""


class Samples(Sequence[Sample]):
    """Samples in their order, each made when it is asked for: of tens of thousands most commands want two."""

    def __init__(self, rows: Iterable[Row], ask: Callable[[Sample], SampleMetadata]) -> None:
        self._rows = sorted(rows)
        self._ask = ask

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sample]: ...
    def __getitem__(self, place: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(place, slice):
            return [self._sample(row) for row in self._rows[place]]
        return self._sample(self._rows[place])

    def _sample(self, row: Row) -> Sample:
        sequence, time, tag, tag_id, commit = row
        return Sample(tag, tag_id, commit, sequence, time, self._ask)


Listing = tuple[Sequence[Sample], tuple[Problem, ...]]
"""Samples by sequence, and what could not be read."""


class SampleReader:
    """Reads the samples of one branch; as long as no tag came, went or moved, what was read is given again."""

    def __init__(self, repository: pygit2.Repository, branch: str) -> None:
        self._repository = repository
        self._branch = branch
        self._tags: list[tuple[str, str]] = []
        self._listing: Listing | None = None
        self._told: dict[TagId, SampleMetadata] = {}

    def read(self) -> Listing:
        """All samples, and what could not be read. Of a tag that the index knows, the object is not looked at."""
        tags = _tags(self._repository, self._branch)
        if self._listing is None or tags != self._tags or self._listing[1]:
            self._listing, self._tags = self._list(tags), tags
        return self._listing

    def _list(self, tags: list[tuple[str, str]]) -> Listing:
        git_folder = Path(self._repository.path)
        known = sample_index.load(git_folder)
        rows = []
        others = []
        for name, target in tags:
            if entry := known.get(target):
                commit, sequence, time = entry
                rows.append((sequence, time, name, TagId(target), commit))
            else:
                others.append((name, target))
        read, problems = _read(self._repository, others)
        self._told.update((one.tag_id, one.metadata) for one in read)
        rows += [(*one.order, one.tag_id, one.commit) for one in read]
        samples = Samples(rows, self._metadata)
        if len(read) >= _WORTH_KEEPING:
            sample_index.save(git_folder, samples)
        return samples, problems

    def _metadata(self, sample: Sample) -> SampleMetadata:
        """What the tag of a sample says, once the index has found it. Raises ArchiveError."""
        if sample.tag_id not in self._told:
            found = _sample(self._repository, sample.tag, sample.tag_id)
            if (found.commit, found.sequence, found.time) != (sample.commit, sample.sequence, sample.time):
                sample_index.discard(Path(self._repository.path))
                raise ArchiveError(
                    f"the index of the archive's samples says something else than the tag {sample.tag}",
                    hint="The index was thrown away. Run the command again.",
                )
            self._told[sample.tag_id] = found.metadata
        return self._told[sample.tag_id]


def read_samples(repository: pygit2.Repository, branch: str) -> Listing:
    """All samples of a branch, each read from its tag, and what could not be read."""
    samples, problems = _read(repository, _tags(repository, branch))
    return tuple(sorted(samples, key=lambda one: one.order)), problems


def _read(repository: pygit2.Repository, tags: list[tuple[str, str]]) -> tuple[list[Sample], tuple[Problem, ...]]:
    samples, problems = [], []
    for name, target in tags:
        try:
            samples.append(_sample(repository, name, target))
        except ArchiveError as error:
            problems.append(Problem(name, error.message))
    return samples, tuple(sorted(problems, key=lambda one: one.tag))


def read_marks(repository: pygit2.Repository, branch: str) -> frozenset[str]:
    """The tags that ``gitsnap keep`` marked, whether or not they are still there."""
    marks = refs_below(Path(repository.path), f"{KEEP}{branch}/")
    return frozenset(name.removeprefix(KEEP) for name, _ in marks)


def _tags(repository: pygit2.Repository, branch: str) -> list[tuple[str, str]]:
    """Names and targets of the branch's tags."""
    refs = refs_below(Path(repository.path), f"{TAGS}{branch}/")
    return [(tag, target) for name, target in refs if is_tag_of(tag := name[len(TAGS) :], branch)]


def ref_target(repository: pygit2.Repository, name: str) -> str | None:
    """What a ref points at, None where there is no such ref. Raises ArchiveError when it is damaged."""
    try:
        return str(repository.lookup_reference(name).resolve().target)
    except KeyError:
        return None
    except (ValueError, pygit2.GitError):
        raise ArchiveError(f"the ref {name} is damaged", hint=DAMAGED) from None


def _sample(repository: pygit2.Repository, name: str, target: str) -> Sample:
    check_end(repository, target)
    try:
        tag = repository[target]
    except (KeyError, ValueError, pygit2.GitError):
        raise ArchiveError(f"the tag {name} points at an object that is missing or damaged") from None
    if not isinstance(tag, pygit2.Tag):
        raise ArchiveError(f"the tag {name} is not an annotated one, so gitsnap did not make it")
    metadata = parse_tag_message(tag.message or "")
    return Sample.of(name, TagId(str(tag.id)), CommitId(str(tag.target)), metadata)


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
    """The newest of samples in order that the branch has, if there is one."""
    return next((one for one in reversed(samples) if one.metadata.beside is None), None)
