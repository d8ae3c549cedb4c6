"""Reads an archive: its samples in order, and the tree of each sample. Readers take no lock.

The only file that this module writes is the index of samples (``sample_index``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import Any, overload

import pygit2

from gitsnap.archive import sample_index
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.completeness import DAMAGED
from gitsnap.archive.indexed_samples import IndexedSample, LineSample
from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.refs import KEEP, TAGS, Refs, list_refs, read_refs
from gitsnap.archive.sample_index import Row, Rows
from gitsnap.archive.tag_objects import DamagedTagError, ForeignTagError, read_tag
from gitsnap.archive.trees import Folders, TreeFiles
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, BlobId, CommitId, IncompleteKind, Sample, SampleMetadata, TagId, TreeInfo
from gitsnap.format import is_tag_of, parse_tag_message, tree_info_from_bytes

_MOST_UNINDEXED = 200
"""The index is rewritten when it lacks this many tags. Reading so many tags takes ten milliseconds."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A tag that has the name of a sample and cannot be read as a sample."""

    tag: str
    reason: str
    foreign: bool = False
    """Whether gitsnap did not make the tag, so that it has no sequence number."""
    damaged: bool = False
    """Whether the tag object is missing or damaged, so that it may be the tag of a sample."""


Problems = tuple[Problem, ...]


class Samples(Sequence[Sample]):
    """Samples in their order. A sample is made when it is used: most commands use two of tens of thousands."""

    def __init__(self, rows: Sequence[Row], added: Sequence[Row], reader: SampleReader) -> None:
        """Make the samples of ``rows``, followed by those of ``added``. ``reader``: reads their tags."""
        self._rows = rows
        self._added = added
        self._reader = reader
        self.find_incomplete_reason: Callable[[], str] = str
        """Computes ``incomplete_reason``. Only a relative name of a sample, such as ``latest``, needs it."""

    @property
    def incomplete_reason(self) -> str:
        """Why newer samples than the last may exist; ``""`` for no reason (history.samples.MaybeIncomplete)."""
        return self.find_incomplete_reason()

    def __len__(self) -> int:
        return len(self._rows) + len(self._added)

    @overload
    def __getitem__(self, position: int) -> Sample: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Sample]: ...
    def __getitem__(self, position: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(len(self)))]
        position = position if position >= 0 else position + len(self)
        if not 0 <= position < len(self):
            raise IndexError(position)
        start = len(self._rows)
        return self._sample(self._rows[position] if position < start else self._added[position - start])

    def __iter__(self) -> Iterator[Sample]:
        return chain(self._all(self._rows, iter), self._all(self._added, iter))

    def __reversed__(self) -> Iterator[Sample]:
        return chain(self._all(self._added, reversed), self._all(self._rows, reversed))

    def _all(self, rows: Sequence[Row], order: Callable[[Sequence[Any]], Iterator[Any]]) -> Iterator[Sample]:
        """The samples of some rows. ``order``: ``iter`` or ``reversed``."""
        if isinstance(rows, Rows):
            return map(LineSample, order(rows.lines), repeat(rows), repeat(self._reader.read_metadata))
        return map(self._sample, order(rows))

    def until(self, moment: datetime) -> Sample | None:
        """The newest sample that was taken at ``moment`` or before; None for none (history.samples.TimeIndexed)."""
        for rows in (self._added, self._rows):
            if isinstance(rows, Rows):
                row = rows.until(moment)
            else:
                row = next((row for row in reversed(rows) if row[1] <= moment), None)
            if row:
                return self._sample(row)
        return None

    def commits(self) -> Iterator[CommitId]:
        """The commit of each sample, in the order of samples."""
        for rows in (self._rows, self._added):
            yield from rows.commits() if isinstance(rows, Rows) else (row[4] for row in rows)

    def _sample(self, row: Row) -> Sample:
        return IndexedSample(row, self._reader.read_metadata)


class FirstSamples(Mapping[CommitId, Sample]):
    """Commit -> the first sample of the commit. Later samples of the same commit found no changes."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        backwards = reversed(list(samples.commits()))
        self._positions = dict(zip(backwards, range(len(samples) - 1, -1, -1), strict=True))

    def __getitem__(self, commit: CommitId) -> Sample:
        return self._samples[self._positions[commit]]

    def __iter__(self) -> Iterator[CommitId]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)


Listing = tuple[Samples, tuple[Problem, ...]]
"""The samples in their order, and the tags that could not be read as samples."""


class SampleReader:
    """Reads the samples of one branch. The result is cached until a tag is added, removed or moved."""

    def __init__(self, repository: pygit2.Repository, branch: str) -> None:
        self._repository = repository
        self._git_folder = Path(repository.path)
        self._branch = branch
        self._refs_read: tuple[str, Mapping[str, str]] | None = None
        self._listing: Listing = (self._sorted([]), ())
        self._metadata: dict[TagId, SampleMetadata] = {}
        self.damaged_line = 0
        """The number of the line of ``packed-refs`` that git cannot read, at the last ``read``; 0 for none."""

    def read(self) -> Listing:
        """All samples, and the tags that could not be read. Tag objects that are in the index are not read again.

        Raises StorageError where the refs cannot be read.
        """
        refs = read_refs(self._git_folder, f"{TAGS}{self._branch}/")
        refs_read = (refs.packed_digest, refs.loose)
        if refs_read != self._refs_read or self._listing[1]:
            self._listing, self._refs_read = self._list(refs, refs_read[0]), refs_read
        return self._listing

    def _list(self, refs: Refs, packed: str) -> Listing:
        """The samples of some refs. Packed refs that the index was made from are not parsed again.

        ``packed``: the digest of the packed refs.
        """
        index = sample_index.load(self._git_folder, self._branch)
        loose = _tags_among(refs.loose.items(), self._branch)
        if index.packed == packed and not (loose and index.rows.has_any(name for name, _ in loose)):
            added, read, problems = self._rows(loose, index.others)
            in_order = not index.rows or not added or index.rows[-1] < added[0]
            samples = Samples(index.rows, added, self) if in_order else self._sorted([*index.rows, *added])
            is_new = len(read) >= _MOST_UNINDEXED
        else:
            named, self.damaged_line = refs.unpacked(), refs.damaged_line
            tags = _tags_among({**named, **refs.loose}.items(), self._branch)
            rows, read, problems = self._rows(tags, chain(index.rows, index.others))
            samples = self._sorted(rows)
            if problems or self.damaged_line or named.keys() & refs.loose.keys():
                packed = ""  # a packed tag has no row
            is_new = len(samples if packed else read) >= _MOST_UNINDEXED
        if is_new:
            loose_names = {name for name, _ in loose}
            sample_index.save(
                self._git_folder,
                packed,
                [sample for sample in samples if sample.tag not in loose_names],
                [sample for sample in samples if sample.tag in loose_names],
            )
        return samples, problems

    def _rows(self, tags: list[tuple[str, str]], known: Iterable[Row]) -> tuple[list[Row], list[Sample], Problems]:
        """The rows of some tags, sorted; the samples whose tags were read now; the tags that could not be read.

        ``tags``: names and targets. ``known``: the rows of the index.
        """
        by_id = {row[3]: row for row in known} if tags else {}
        rows: list[Row] = []
        others = []
        for name, target in tags:
            if row := by_id.get(TagId(target)):
                rows.append((row[0], row[1], name, row[3], row[4]))
            else:
                others.append((name, target))
        read, problems = _read(self._repository, others)
        self._metadata.update((sample.tag_id, sample.metadata) for sample in read)
        rows += [(*sample.order, sample.tag_id, sample.commit) for sample in read]
        return sorted(rows), read, problems

    def _sorted(self, rows: list[Row]) -> Samples:
        return Samples(sorted(rows), (), self)

    def read_metadata(self, sample: Sample) -> SampleMetadata:
        """The metadata of a sample of the index, from its tag.

        Raises ArchiveError where the tag cannot be read, or differs from the index; in that case the index is deleted.
        """
        tag_id = sample.tag_id
        metadata = self._metadata.get(tag_id)
        if metadata is None:
            read = _read_sample(self._repository, sample.tag, tag_id)
            if (read.commit, read.sequence, read.time) != (sample.commit, sample.sequence, sample.time):
                raise sample_index.corrupt_index(self._git_folder, f"something else than the tag {sample.tag}")
            metadata = self._metadata[tag_id] = read.metadata
        return metadata


def read_samples(repository: pygit2.Repository, branch: str) -> tuple[Sequence[Sample], Problems]:
    """All samples of a branch, each read from its tag, and the tags that could not be read."""
    return read_tagged_samples(repository, list_tags(repository, branch))


def read_tagged_samples(
    repository: pygit2.Repository, tags: Iterable[tuple[str, str]]
) -> tuple[Sequence[Sample], Problems]:
    """The samples of some tags, each read from its tag, and the tags that could not be read.

    ``tags``: names and targets.
    """
    samples, problems = _read(repository, list(tags))
    return tuple(sorted(samples, key=lambda sample: sample.order)), problems


def _read(repository: pygit2.Repository, tags: list[tuple[str, str]]) -> tuple[list[Sample], tuple[Problem, ...]]:
    samples, problems = [], []
    for name, target in tags:
        try:
            samples.append(_read_sample(repository, name, target))
        except ArchiveError as error:
            foreign, damaged = isinstance(error, ForeignTagError), isinstance(error, DamagedTagError)
            problems.append(Problem(name, error.message, foreign, damaged))
    return samples, tuple(sorted(problems, key=lambda problem: problem.tag))


def read_marks(repository: pygit2.Repository, branch: str) -> frozenset[str]:
    """Names of the tags that ``gitsnap keep`` marked. A marked tag may be missing."""
    marks = list_refs(Path(repository.path), f"{KEEP}{branch}/")
    return frozenset(name.removeprefix(KEEP) for name, _ in marks)


def list_tags(repository: pygit2.Repository, branch: str) -> list[tuple[str, str]]:
    """Names and targets of the tags with names of samples of the branch."""
    return _tags_among(list_refs(Path(repository.path), f"{TAGS}{branch}/"), branch)


def _tags_among(refs: Iterable[tuple[str, str]], branch: str) -> list[tuple[str, str]]:
    return [(tag, target) for name, target in refs if is_tag_of(tag := name[len(TAGS) :], branch)]


def _read_sample(repository: pygit2.Repository, name: str, target: str) -> Sample:
    tag = read_tag(repository, name, target)
    if "\nGitsnap-" not in tag.message:
        raise ForeignTagError(f"the tag {name} was not written by gitsnap: its message has no lines Gitsnap-Key: value")
    return Sample(name, TagId(target), CommitId(tag.commit), parse_tag_message(tag.message))


class GitTree:
    """The tree of a commit (ports.Tree). Methods raise ArchiveError where an object is missing or damaged."""

    def __init__(
        self,
        repository: pygit2.Repository,
        commit: str,
        *,
        incomplete: tuple[IncompleteKind, ...] = (),
        folders: Folders | None = None,
    ) -> None:
        """The tree is read on first use. ``folders``: a cache to share with other trees of the repository."""
        self._repository = repository
        self._commit = commit
        self._incomplete = incomplete
        self._folders = folders or Folders(repository)
        self._files: dict[Area, Mapping[str, BlobId]] = {}

    @property
    def commit(self) -> CommitId:
        """The commit whose tree this is."""
        return CommitId(self._commit)

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """Kinds and objects that the sample holds only as a substitute."""
        return self._incomplete

    @cached_property
    def info(self) -> TreeInfo:
        """The content of ``gitsnap.yaml`` in the tree."""
        try:
            entry, _ = self._folders.entries(self.tree_id, "")["gitsnap.yaml"]
        except KeyError:
            raise ArchiveError(
                f"the commit {self._commit[:12]} has no gitsnap.yaml, so it is not the commit of a sample",
                hint="Somebody committed by hand; `git log` in the archive shows who. Choose another sample.",
            ) from None
        return tree_info_from_bytes(self.read(BlobId(entry)))

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the area -> blob id, sorted by path."""
        if area not in self._files:
            tree, is_folder = self._folders.entries(self.tree_id, "").get(area, ("", False))
            if tree and not is_folder:
                raise ArchiveError(f"{area} in the commit {self._commit[:12]} is not a folder", hint=DAMAGED)
            self._files[area] = TreeFiles(self._folders, tree) if is_folder else {}
        return self._files[area]

    @property
    def root_files(self) -> Mapping[str, BlobId]:
        """The entries of the root without the folders of areas: name -> id."""
        entries = self._folders.entries(self.tree_id, "").items()
        return {name: BlobId(child) for name, (child, is_folder) in entries if not (is_folder and name in set(Area))}

    @cached_property
    def all_files(self) -> Mapping[str, BlobId]:
        """All files of the tree: path from the root -> blob id."""
        return self._folders.files(self.tree_id)

    def read(self, blob: BlobId) -> bytes:
        """The content of a blob. Raises ArchiveError where the blob is missing or damaged."""
        return read_blob(self._repository, blob)

    @cached_property
    def tree_id(self) -> str:
        """The id of the root tree."""
        return read_commit(self._repository, self._commit).tree


def newest(samples: Sequence[Sample]) -> Sample | None:
    """The newest sample on the branch, which is not a detached one; None for none. ``samples``: in their order."""
    return next((sample for sample in reversed(samples) if sample.metadata.detached_from is None), None)
