"""Finds the origin of each field of an object: since when it has its value, who wrote it, and its value before.

The versions of an object are the commits that changed its file. They are read from the oldest to the newest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from gitsnap.core.commits import LoggedFile
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, BlobId, JsonObject, Sample, SensitiveField
from gitsnap.core.objects import same_json
from gitsnap.core.states import State
from gitsnap.format import decode_object
from gitsnap.history.authors import Authors
from gitsnap.history.changelog import AuthoredHistory, CommitHistory, CommitOrigin, origin_of
from gitsnap.history.fields import Fields, positional_paths, split_fields


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object."""

    fields: Fields | None
    """None for a version in which the object does not exist."""
    origin: CommitOrigin = field(default_factory=CommitOrigin)
    """When the version was recorded: with a sample, or as a change of an author."""
    manager: str = ""
    """The field manager that wrote the object last, ``""`` if unknown."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """The texts that ``fields`` shows field by field, such as the documents in a ConfigMap, by path."""
    positions: Mapping[str, str] = field(default_factory=dict)
    """The paths with positions of the elements of lists (``positional_paths``); empty unless requested."""
    oldest: bool = False
    """Whether the history of this copy of the archive begins here, and the object may be older."""

    @property
    def time(self) -> datetime | None:
        """The time of the change or sample that recorded the version, UTC. None if somebody else made the commit."""
        return self.origin.time

    @property
    def sample(self) -> Sample | None:
        """The first sample with the version. None if follow mode recorded it (``CommitOrigin.sample`` has the rest)."""
        return self.origin.sample


@dataclass(frozen=True, slots=True)
class FieldOrigin:
    """One field of an object, and the version that set its value."""

    path: str
    value: Any
    """The value. For a deleted field, its last value."""
    since: Version
    """The first version with this value. For a deleted field, the first version without it."""
    existed: bool = False
    """Whether the field existed before, with the value ``before``."""
    before: Any = None


@dataclass(slots=True)
class Blame:
    """The fields of an object, and the fields that earlier versions had."""

    present: dict[str, FieldOrigin] = field(default_factory=dict)
    deleted: dict[str, FieldOrigin] = field(default_factory=dict)

    def add(self, version: Version) -> None:
        """Continue with the next version."""
        fields = version.fields or {}
        for path in self.present.keys() - fields.keys():
            origin = self.present.pop(path)
            self.deleted[path] = FieldOrigin(path, origin.value, version)
        for path, value in fields.items():
            known = self.present.get(path)
            if known is None:
                self.present[path] = FieldOrigin(path, value, version)
                self.deleted.pop(path, None)
            elif not same_json(known.value, value):
                self.present[path] = FieldOrigin(path, value, version, existed=True, before=known.value)


def blame(versions: Iterable[Version]) -> Blame:
    """The origin of each field, from the versions of an object, oldest first."""
    result = Blame()
    for version in versions:
        result.add(version)
    return result


def read_versions(
    archive: AuthoredHistory, path: str, state: State, sensitive: Collection[SensitiveField] = ()
) -> Iterator[Version]:
    """The versions of an object up to a sample or change, oldest first. ``path``: its file below ``configuration/``.

    ``sensitive``: the fields whose values are hidden in every version, also in those from before a policy named them.
    Raises ArchiveError if a version cannot be read.
    """
    first_samples, authors = archive.first_samples(), Authors(archive.author_notes)
    commits = list(archive.log([literal_pattern(path)], until=state.commit))
    for position, commit in enumerate(reversed(commits)):
        (file,) = commit.files
        if position == 0 and file.before is not None:  # a shallow clone has no commit that added the object
            yield Version(_read(archive, file.before, path, sensitive).fields, oldest=True)
        yield version_of(archive, file, origin_of(commit, first_samples, authors), sensitive)


def version_of(
    archive: CommitHistory,
    file: LoggedFile,
    origin: CommitOrigin,
    sensitive: Collection[SensitiveField] = (),
    *,
    positions: bool = False,
) -> Version:
    """The version of an object after a commit. Raises ArchiveError if the version cannot be read.

    ``file``: the file of the object in this commit. ``origin``: the origin of the commit. ``positions``: whether the
    version has the paths with positions.
    """
    content = _read(archive, file.after, file.path, sensitive, positions=positions)
    return Version(content.fields, origin, file.manager, content.texts, content.positions)


def literal_pattern(path: str) -> str:
    """The git pathspec of one file below ``configuration/``."""
    return f":(literal){Area.CONFIGURATION}/{path}"


class _Content(NamedTuple):
    """The content of a version: see ``Version``."""

    fields: Fields | None
    texts: Mapping[str, str]
    positions: Mapping[str, str]


_NOTHING = _Content(None, {}, {})


def _read(
    archive: CommitHistory,
    blob: BlobId | None,
    path: str,
    sensitive: Collection[SensitiveField],
    *,
    positions: bool = False,
) -> _Content:
    """The content of a version. It has no fields if somebody else committed another file in place of the object."""
    if blob is None:
        return _NOTHING
    content = archive.read(blob)
    try:
        document: JsonObject = decode_object(content, path)
    except ArchiveError:
        return _NOTHING
    return _Content(*split_fields(document, sensitive), positional_paths(document, sensitive) if positions else {})
