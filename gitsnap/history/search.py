"""Finds when a text appeared in the values of fields, and when it disappeared.

git finds the files that ever had a word of the text. The versions of these files are then compared field by field, so
that a text that moves to another field is found too. Secrets are not searched.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, CommitId, ObjectKey, Sample
from gitsnap.core.objects import same_json
from gitsnap.core.ports import LoggedCommit, LoggedFile
from gitsnap.format import decode_object, key_of
from gitsnap.format.fingerprint import is_fingerprint
from gitsnap.history.blame import Version, literal_pattern, version_of
from gitsnap.history.changelog import CommitHistory, ObjectPattern
from gitsnap.history.fields import Fields

_WORD = re.compile(r"[A-Za-z0-9._:/@=+-]{2,}")
"""Text that YAML neither escapes nor breaks, so that git finds the text of the value in the file."""
_MOST_PATTERNS = 100
"""For more files than this, the history of all files is read: each pattern costs git time for each commit."""
_SECRETS = re.compile(r"/Secret/")


@dataclass(frozen=True, slots=True)
class Match:
    """A period in which a field had a value that contains the text."""

    key: ObjectKey
    field: str
    value: Any
    since: Version
    until: Version | None
    """The first version without the value. None if the newest sample has it."""


def search(archive: CommitHistory, text: str, pattern: ObjectPattern, *, field: str = "") -> list[Match]:
    """The matches of a text, by time, object and field.

    ``pattern``: the objects to search. ``field``: the beginning of the path of a field. Raises ArchiveError if the
    history cannot be read.
    """
    first_samples = archive.first_samples()
    matches = [
        match
        for versions in _histories(archive, _paths(archive, text, pattern), first_samples)
        for match in _matches(versions, text, pattern, field)
    ]
    return sorted(matches, key=lambda match: (_order(match.since), str(match.key), match.field))


def _order(version: Version) -> tuple[float, int]:
    time = version.time.timestamp() if version.time is not None else 0.0
    return time, version.sample.sequence if version.sample is not None else 0


def _paths(archive: CommitHistory, text: str, pattern: ObjectPattern) -> set[str]:
    """The files that may have had the text: the files that ever had its longest word."""
    word = max(_WORD.findall(text), key=len, default="")
    commits = archive.log(pattern.pathspecs(), containing=word)
    return {file.path for commit in commits for file in commit.files if not _SECRETS.search(file.path)}


@dataclass(frozen=True, slots=True)
class _ObjectVersion:
    """A version of one file, with the key of its object; None for a version without an object."""

    key: ObjectKey | None
    version: Version


def _histories(
    archive: CommitHistory, paths: set[str], first_samples: Mapping[CommitId, Sample]
) -> Iterator[list[_ObjectVersion]]:
    """The versions of each file, oldest first."""
    if not paths:
        return
    root = f"{Area.CONFIGURATION}/"
    patterns = [literal_pattern(path.removeprefix(root)) for path in sorted(paths)]
    commits = archive.log(patterns if len(patterns) <= _MOST_PATTERNS else [str(Area.CONFIGURATION)])
    files = defaultdict[str, list[tuple[LoggedCommit, LoggedFile]]](list)
    for commit in commits:
        for file in commit.files:
            if file.path in paths:
                files[file.path].append((commit, file))
    for path in sorted(files):
        newest_first = files[path]
        yield [
            _ObjectVersion(_key(archive, file), version_of(archive, commit, file, first_samples))
            for commit, file in reversed(newest_first)
        ]


def _key(archive: CommitHistory, file: LoggedFile) -> ObjectKey | None:
    if file.after is None:
        return None
    if key := key_of(file.path.removeprefix(f"{Area.CONFIGURATION}/")):
        return key
    content = archive.read(file.after)
    try:
        return ObjectKey.of(decode_object(content, file.path))
    except ArchiveError:  # a commit made by hand has another file
        return None


def _matches(versions: Sequence[_ObjectVersion], text: str, pattern: ObjectPattern, field: str) -> Iterator[Match]:
    """The periods in which fields of one file contain the text."""
    present: dict[str, Match] = {}
    for current in versions:
        is_searched = current.key is not None and pattern.matches(current.key)
        values = _matching(current.version.fields or {}, text, field) if is_searched else {}
        for path in [path for path, match in present.items() if not _continues(match, values)]:
            match = present.pop(path)
            yield Match(match.key, path, match.value, match.since, current.version)
        for path in values.keys() - present.keys():
            if current.key is not None:
                present[path] = Match(current.key, path, values[path], current.version, None)
    yield from present.values()


def _continues(match: Match, values: Mapping[str, Any]) -> bool:
    return match.field in values and same_json(values[match.field], match.value)


def _matching(fields: Fields, text: str, field: str) -> dict[str, Any]:
    return {
        path: value
        for path, value in fields.items()
        if path.startswith(field) and not is_fingerprint(value) and text in _text(value)
    }


def _text(value: Any) -> str:
    """A value as a person writes it: ``true`` and ``null`` as in YAML."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return value if isinstance(value, str) else str(value)
