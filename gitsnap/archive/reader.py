"""Reads an archive: its samples in order, and the tree of each. Readers take no lock and are never in the way.

This module must not write, but for the index of samples, which readers keep up as well (``sample_index``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import overload

import pygit2

from gitsnap.archive import sample_index
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.completeness import DAMAGED
from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.refs import KEEP, TAGS, Refs, read_refs, refs_below
from gitsnap.archive.sample_index import Row, Rows
from gitsnap.archive.tag_objects import DamagedTagError, ForeignTagError, read_tag
from gitsnap.archive.trees import Folders, TreeFiles
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, BlobId, CommitId, IncompleteKind, Sample, SampleMetadata, TagId, TreeInfo
from gitsnap.format import is_tag_of, parse_tag_message, tree_info_from_bytes

_WORTH_KEEPING = 200
"""So many tags that the index does not know, or whose order it does not, take ten milliseconds: it is written anew."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A tag that looks like a sample's and cannot be read as one."""

    tag: str
    reason: str
    foreign: bool = False
    """Whether it is plainly not gitsnap's, so that no number of a sample is its own."""
    damaged: bool = False
    """Whether its object is missing or damaged, so that it may be a sample's."""


Problems = tuple[Problem, ...]


class IndexedSample(Sample):
    """A sample that the index names. Its metadata is read from the tag when it is first used.

    Most commands read the tags of two samples among thousands.
    """

    __slots__ = ("_reader", "_row")
    _row: Row
    _reader: SampleReader

    def __init__(self, row: Row, reader: SampleReader) -> None:
        _, _, tag, tag_id, commit = row
        values = {"tag": tag, "tag_id": tag_id, "commit": commit, "_row": row, "_reader": reader}
        for name, value in values.items():
            object.__setattr__(self, name, value)  # the class is frozen

    @property
    def metadata(self) -> SampleMetadata:
        """The content of the tag. Raises ArchiveError where the tag cannot be read, or is not what the index says."""
        return self._reader.read_metadata(self)

    @property
    def sequence(self) -> int:
        """The position in the order of samples, from the index."""
        return self._row[0]

    @property
    def time(self) -> datetime:
        """The moment of the capture, from the index."""
        return self._row[1]


class Samples(Sequence[Sample]):
    """Samples in their order, each made when it is asked for: of tens of thousands most commands want two."""

    def __init__(self, rows: Sequence[Row], added: Sequence[Row], reader: SampleReader) -> None:
        """``added``: rows that follow after ``rows``."""
        self._rows = rows
        self._added = added
        self._reader = reader
        self.ask_doubt: Callable[[], str] = str
        """Gives ``doubt``: only a relative name of a sample asks for it."""

    @property
    def doubt(self) -> str:
        """Why these may not be all samples, so that the last one may not be the newest (history.Doubtful)."""
        return self.ask_doubt()

    def __len__(self) -> int:
        return len(self._rows) + len(self._added)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sample]: ...
    def __getitem__(self, place: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        place = place if place >= 0 else place + len(self)
        if not 0 <= place < len(self):
            raise IndexError(place)
        start = len(self._rows)
        return self._sample(self._rows[place] if place < start else self._added[place - start])

    def __iter__(self) -> Iterator[Sample]:
        return map(self._sample, chain(self._rows, self._added))

    def __reversed__(self) -> Iterator[Sample]:
        return map(self._sample, chain(reversed(self._added), reversed(self._rows)))

    def until(self, moment: datetime) -> Sample | None:
        """The newest sample that was taken at a moment or before it (history.Dated)."""
        for rows in (self._added, self._rows):
            if isinstance(rows, Rows):
                found = rows.until(moment)
            else:
                found = next((row for row in reversed(rows) if row[1] <= moment), None)
            if found:
                return self._sample(found)
        return None

    def commits(self) -> Iterator[CommitId]:
        """The commit of each, in their order."""
        for rows in (self._rows, self._added):
            yield from rows.commits() if isinstance(rows, Rows) else (row[4] for row in rows)

    def _sample(self, row: Row) -> Sample:
        return IndexedSample(row, self._reader)


class FirstSamples(Mapping[CommitId, Sample]):
    """Commit -> the first sample that found it: later ones found nothing new."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        backwards = reversed(list(samples.commits()))
        self._places = dict(zip(backwards, range(len(samples) - 1, -1, -1), strict=True))

    def __getitem__(self, commit: CommitId) -> Sample:
        return self._samples[self._places[commit]]

    def __iter__(self) -> Iterator[CommitId]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


Listing = tuple[Samples, tuple[Problem, ...]]
"""Samples by sequence, and what could not be read."""


class SampleReader:
    """Reads the samples of one branch; as long as no tag came, went or moved, what was read is given again."""

    def __init__(self, repository: pygit2.Repository, branch: str) -> None:
        self._repository = repository
        self._git_folder = Path(repository.path)
        self._branch = branch
        self._seen: tuple[str, Mapping[str, str]] | None = None
        self._listing: Listing = (self._sorted([]), ())
        self._told: dict[TagId, SampleMetadata] = {}
        self.damaged_line = 0
        """The line of ``packed-refs`` that git cannot read, as of the last ``read``; 0 for none."""

    def read(self) -> Listing:
        """All samples, and what could not be read. Of a tag that the index knows, the object is not looked at."""
        refs = read_refs(self._git_folder, f"{TAGS}{self._branch}/")
        seen = (refs.packed_digest, refs.loose)
        if seen != self._seen or self._listing[1]:
            self._listing, self._seen = self._list(refs, seen[0]), seen
        return self._listing

    def _list(self, refs: Refs, packed: str) -> Listing:
        """The samples that the refs name: packed refs that the index was made of are not gone through again."""
        index = sample_index.load(self._git_folder, self._branch)
        loose = _tags_among(refs.loose.items(), self._branch)
        if index.packed == packed and not (loose and index.rows.names() & {name for name, _ in loose}):
            added, read, problems = self._rows(loose, index.others)
            in_order = not index.rows or not added or index.rows[-1] < added[0]
            samples = Samples(index.rows, added, self) if in_order else self._sorted([*index.rows, *added])
            is_new = len(read) >= _WORTH_KEEPING
        else:
            named, self.damaged_line = refs.unpacked(), refs.damaged_line
            tags = _tags_among({**named, **refs.loose}.items(), self._branch)
            rows, read, problems = self._rows(tags, chain(index.rows, index.others))
            samples = self._sorted(rows)
            if problems or self.damaged_line or named.keys() & refs.loose.keys():
                packed = ""  # the rows are not all that is packed
            is_new = len(samples if packed else read) >= _WORTH_KEEPING
        if is_new:
            alone = {name for name, _ in loose}
            first, others = ([one for one in samples if (one.tag in alone) is apart] for apart in (False, True))
            sample_index.save(self._git_folder, packed, first, others)
        return samples, problems

    def _rows(self, tags: list[tuple[str, str]], known: Iterable[Row]) -> tuple[list[Row], list[Sample], Problems]:
        """The rows of some tags, sorted; the samples that had to be read for them, and what could not be read."""
        by_id = {row[3]: row for row in known} if tags else {}
        rows: list[Row] = []
        others = []
        for name, target in tags:
            if row := by_id.get(TagId(target)):
                rows.append((row[0], row[1], name, row[3], row[4]))
            else:
                others.append((name, target))
        read, problems = _read(self._repository, others)
        self._told.update((one.tag_id, one.metadata) for one in read)
        rows += [(*one.order, one.tag_id, one.commit) for one in read]
        return sorted(rows), read, problems

    def _sorted(self, rows: list[Row]) -> Samples:
        return Samples(sorted(rows), (), self)

    def read_metadata(self, sample: Sample) -> SampleMetadata:
        """What the tag of a sample says, once the index has found it. Raises ArchiveError."""
        if sample.tag_id not in self._told:
            found = _sample(self._repository, sample.tag, sample.tag_id)
            if (found.commit, found.sequence, found.time) != (sample.commit, sample.sequence, sample.time):
                raise sample_index.lies(self._git_folder, f"something else than the tag {sample.tag}")
            self._told[sample.tag_id] = found.metadata
        return self._told[sample.tag_id]


def read_samples(repository: pygit2.Repository, branch: str) -> tuple[Sequence[Sample], Problems]:
    """All samples of a branch, each read from its tag, and what could not be read."""
    samples, problems = _read(repository, _tags(repository, branch))
    return tuple(sorted(samples, key=lambda one: one.order)), problems


def _read(repository: pygit2.Repository, tags: list[tuple[str, str]]) -> tuple[list[Sample], tuple[Problem, ...]]:
    samples, problems = [], []
    for name, target in tags:
        try:
            samples.append(_sample(repository, name, target))
        except ArchiveError as error:
            foreign, damaged = isinstance(error, ForeignTagError), isinstance(error, DamagedTagError)
            problems.append(Problem(name, error.message, foreign, damaged))
    return samples, tuple(sorted(problems, key=lambda one: one.tag))


def read_marks(repository: pygit2.Repository, branch: str) -> frozenset[str]:
    """The tags that ``gitsnap keep`` marked, whether or not they are still there."""
    marks = refs_below(Path(repository.path), f"{KEEP}{branch}/")
    return frozenset(name.removeprefix(KEEP) for name, _ in marks)


def _tags(repository: pygit2.Repository, branch: str) -> list[tuple[str, str]]:
    """Names and targets of the branch's tags."""
    return _tags_among(refs_below(Path(repository.path), f"{TAGS}{branch}/"), branch)


def _tags_among(refs: Iterable[tuple[str, str]], branch: str) -> list[tuple[str, str]]:
    return [(tag, target) for name, target in refs if is_tag_of(tag := name[len(TAGS) :], branch)]


def _sample(repository: pygit2.Repository, name: str, target: str) -> Sample:
    tag = read_tag(repository, name, target)
    if "\nGitsnap-" not in tag.message:
        raise ForeignTagError(f"the tag {name} was not written by gitsnap: its message has no lines Gitsnap-Key: value")
    return Sample(name, TagId(target), CommitId(tag.commit), parse_tag_message(tag.message))


class GitTree:
    """The tree of a commit (ports.Tree)."""

    def __init__(
        self,
        repository: pygit2.Repository,
        commit: str,
        *,
        incomplete: tuple[IncompleteKind, ...] = (),
        folders: Folders | None = None,
    ) -> None:
        """``folders``: those of other trees of this repository, which are not read again."""
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
        """Kinds that the sample holds only as a substitute."""
        return self._incomplete

    @cached_property
    def info(self) -> TreeInfo:
        """What ``gitsnap.yaml`` of the tree says."""
        try:
            entry, _ = self._folders.entries(self._root, "")["gitsnap.yaml"]
        except KeyError:
            raise ArchiveError(
                f"the commit {self._commit[:12]} has no gitsnap.yaml, so it is no sample's",
                hint="Somebody committed by hand; `git log` in the archive shows who. Choose another sample.",
            ) from None
        return tree_info_from_bytes(self.read(BlobId(entry)))

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the area -> content id, sorted by path."""
        if area not in self._files:
            tree, is_folder = self._folders.entries(self._root, "").get(area, ("", False))
            if tree and not is_folder:
                raise ArchiveError(f"{area} in the commit {self._commit[:12]} is no folder", hint=DAMAGED)
            self._files[area] = TreeFiles(self._folders, tree) if is_folder else {}
        return self._files[area]

    @cached_property
    def all_files(self) -> Mapping[str, BlobId]:
        """Every file of the tree, by its whole path."""
        return self._folders.files(self._root)

    def read(self, blob: BlobId) -> bytes:
        """The content behind an id. Raises ArchiveError when it is missing or damaged."""
        return read_blob(self._repository, blob)

    @cached_property
    def _root(self) -> str:
        return read_commit(self._repository, self._commit).tree


def newest(samples: Sequence[Sample]) -> Sample | None:
    """The newest of samples in order that the branch has, if there is one."""
    return next((one for one in reversed(samples) if one.metadata.beside is None), None)
