"""Finds when a text came into the values of fields, and when it went.

The search index of the archive, or git, finds the files that may ever have had the text. Then the versions of these
files are compared field by field, so that a text which moves to another field is found too. Secrets are not searched.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gitsnap.core.commits import LoggedCommit, LoggedFile
from gitsnap.core.errors import ArchiveError, NotFoundError
from gitsnap.core.model import Area, CommitId, Kind, ObjectKey, Sample, SensitiveField
from gitsnap.core.objects import same_json
from gitsnap.core.ports import Tree
from gitsnap.core.text import join_names
from gitsnap.format import decode_object, key_of, kind_folder
from gitsnap.history.authors import Authors
from gitsnap.history.blame import Version, literal_pattern, version_of
from gitsnap.history.changelog import AuthoredHistory, CommitHistory, ObjectPattern, check_existed, origin_of
from gitsnap.history.field_names import begins_with, propose_fields
from gitsnap.history.fields import Fields, has_position, is_hidden, positional_paths, split_fields, text_of_value

_WORD = re.compile(r"[A-Za-z0-9._:/@=+-]{2,}")
"""Text that gitsnap's own YAML never escapes or breaks, so that git finds it in a file as it is in the value."""
_NAME_IN_PATH = re.compile(r"[A-Za-z0-9_-]{2,}")
"""A name that is in the file of each object with the field: a file never has the whole path of a field."""
_ESCAPES = r"\\[xuU/]|\\$|\\\\\\n|!!binary"
"""A regular expression of git for the forms in which a document in a ConfigMap may write the characters of a word:
escapes, also of a line break, and base64."""
_OTHER_NUMBERS = (
    r"0[xXoObB][0-9A-Fa-f]|(^|[^0-9A-Za-z.])[-+]?0[0-7]|[0-9]_|[0-9][eE][-+]?[0-9]|\.[0-9]*0([^0-9.]|$)|"
    r"(^|[^0-9])\.[0-9]|[0-9]{16}|\.0000"
)
"""The same for numbers: YAML has several forms of one number, and its value is shown in another one."""
_PART_OF_NUMBER = re.compile(r"[-+.e0-9]+")
_WORDS_OF_YAML = ("true", "false", "null")
"""Values that YAML also writes as ``on``, ``No`` or ``~``."""
_DOCUMENT = re.compile(r'(data(?:\.[^.\["]+|\["[^"]+"\])\[[^\[\]"]+/([^\[\]"/]+)\])')
"""The beginning of a path inside a document of a ConfigMap: the path of the document, and the name of the document."""
_MOST_PATTERNS = 100
"""With more files than this, git reads the history of all files: each pattern costs time for each commit."""
_SECRETS = re.compile(r"/Secret/")
_NAME = "metadata.name"
_MOST_KINDS = 8


FileHistories = Mapping[str, list[tuple[LoggedCommit, LoggedFile]]]
"""Path from the root of the tree -> the commits that changed the file, newest first."""


class SearchedArchive(AuthoredHistory, Protocol):
    """The archive that is searched."""

    def find_histories(self, pattern: str, hidden_folders: Collection[str]) -> FileHistories | None:
        """Return the histories of the files that may ever have matched a regular expression, from an index.

        ``hidden_folders``: the folders of kinds with sensitive fields. None if there is no index.
        """

    def missing_parts(self) -> Collection[object]:
        """Return the parts that this copy of the archive lacks."""


@dataclass(frozen=True, slots=True)
class Match:
    """A period in which a field had a value that contains the text."""

    key: ObjectKey
    field: str
    value: Any
    since: Version
    until: Version | None
    """The first version without the value. None if the newest sample has it."""


def search(
    archive: SearchedArchive,
    text: str,
    pattern: ObjectPattern,
    *,
    field: str = "",
    sensitive: Collection[SensitiveField] = (),
) -> list[Match]:
    """The matches of a text, by time, object and field. Raises ArchiveError if the history cannot be read.

    ``pattern``: the objects to search. ``field``: the beginning of the path of a field; it may name the elements of
    lists by their positions, as `log` does. ``sensitive``: the fields that are not searched in any version, also not in
    versions from before a policy named the fields.
    """
    first_samples = archive.first_samples()
    matches = [
        match
        for versions in _histories(archive, text, pattern, first_samples, sensitive, positions=has_position(field))
        for match in _matches(versions, text, pattern, field)
    ]
    return sorted(matches, key=lambda match: (_order(match.since), str(match.key), match.field))


def check_searched(
    archive: SearchedArchive,
    newest: Tree,
    pattern: ObjectPattern,
    *,
    field: str = "",
    sensitive: Collection[SensitiveField] = (),
) -> None:
    """Raise NotFoundError if the archive never had the kind, the object or the field of a search without a match.

    If this copy of the archive lacks a part of the history, fields are not checked. ``newest``: the tree of the newest
    sample, which is read first. The other arguments are those of ``search``.
    """
    check_existed(archive, pattern, newest)
    if field and not archive.missing_parts():
        _check_field(archive, newest, pattern, field, sensitive)


def _check_field(
    archive: SearchedArchive, newest: Tree, pattern: ObjectPattern, field: str, sensitive: Collection[SensitiveField]
) -> None:
    """Raise NotFoundError if no version of an object had a field whose path begins with ``field``."""
    names, searched = set[str](), set[Kind]()
    for path, blob in newest.files(Area.CONFIGURATION).items():
        full_path = f"{Area.CONFIGURATION}/{path}"
        if _SECRETS.search(full_path):
            continue
        document = decode_object(newest.read(blob), full_path)
        if not pattern.matches(ObjectKey.of(document)):
            continue
        fields, texts = split_fields(document, sensitive)
        known = {_NAME, *fields, *texts, *_document_names(fields)}
        positions = positional_paths(document, sensitive) if has_position(field) else {}
        if any(_is_below(name, field, positions) for name in known):
            return
        names |= known
        searched.add(Kind.of(document))
    word = max(_NAME_IN_PATH.findall(field), key=len, default="")
    histories = _histories(archive, word, pattern, archive.first_samples(), sensitive, positions=has_position(field))
    for versions in histories:
        for held in versions:
            fields = held.version.fields or {}
            if held.key and pattern.matches(held.key):
                known = {*fields, *held.version.texts, *_document_names(fields)}
                if any(_is_below(name, field, held.version.positions) for name in known):
                    return
                searched.add(held.key.kind)
    kinds = join_names(sorted(map(str, searched)), most=_MOST_KINDS) or "no objects"
    raise NotFoundError(
        f"no object ever had a field that begins with {field}; searched: {kinds}; Secrets and sensitive fields are not "
        "searched",
        hint=propose_fields(field, names, none="The newest sample has no such object."),
    )


def _order(version: Version) -> tuple[float, int]:
    time = version.time.timestamp() if version.time is not None else 0.0
    return time, version.sample.sequence if version.sample is not None else 0


def _paths(archive: CommitHistory, text: str, pattern: ObjectPattern) -> set[str]:
    """The files that may ever have had the text. Raises ArchiveError where one of their folders is damaged."""
    commits = archive.log(pattern.pathspecs())
    if expression := _expression(text):
        # The log with an expression has only the commits with the text. The log of all commits checks their folders.
        for _ in commits:
            pass
        commits = archive.log(pattern.pathspecs(), containing=expression)
    return {file.path for commit in commits for file in commit.files if not _SECRETS.search(file.path)}


def _expression(text: str) -> str:
    """An extended regular expression that matches in every file with the text in a value; ``""`` for all files."""
    word = max(_WORD.findall(text), key=len, default="")
    if not word or any(text in word_of_yaml for word_of_yaml in _WORDS_OF_YAML):
        return ""
    numbers = f"|{_OTHER_NUMBERS}" if _PART_OF_NUMBER.fullmatch(text) else ""
    literal = re.sub(r"[.+]", r"[\g<0>]", word)
    return f"{literal}|{_ESCAPES}{numbers}"


@dataclass(frozen=True, slots=True)
class _ObjectVersion:
    """A version of one file, with the object that the file holds; None for a version without an object."""

    key: ObjectKey | None
    version: Version


def _histories(
    archive: SearchedArchive,
    text: str,
    pattern: ObjectPattern,
    first_samples: Mapping[CommitId, Sample],
    sensitive: Collection[SensitiveField],
    *,
    positions: bool,
) -> Iterator[list[_ObjectVersion]]:
    """The versions of each file that may have had the text, oldest first. ``positions``: as for ``version_of``."""
    authors = Authors(archive.author_notes)
    hidden_folders = {kind_folder(field.kind) for field in sensitive}
    files = archive.find_histories(_expression(text), hidden_folders)
    if files is None:
        files = _read_histories(archive, _paths(archive, text, pattern))
    for path in sorted(files):
        key = key_of(path.removeprefix(f"{Area.CONFIGURATION}/"))
        if _SECRETS.search(path) or (key is not None and not pattern.matches(key)):
            continue
        yield [
            _ObjectVersion(
                _key(archive, file),
                version_of(archive, file, origin_of(commit, first_samples, authors), sensitive, positions=positions),
            )
            for commit, file in reversed(files[path])
        ]


def _read_histories(archive: CommitHistory, paths: set[str]) -> FileHistories:
    """The changes of files, from git."""
    files = defaultdict[str, list[tuple[LoggedCommit, LoggedFile]]](list)
    if paths:
        root = f"{Area.CONFIGURATION}/"
        patterns = [literal_pattern(path.removeprefix(root)) for path in sorted(paths)]
        for commit in archive.log(patterns if len(patterns) <= _MOST_PATTERNS else [str(Area.CONFIGURATION)]):
            for file in commit.files:
                if file.path in paths:
                    files[file.path].append((commit, file))
    return files


def _key(archive: CommitHistory, file: LoggedFile) -> ObjectKey | None:
    if file.after is None:
        return None
    if key := key_of(file.path.removeprefix(f"{Area.CONFIGURATION}/")):
        return key
    content = archive.read(file.after)
    try:
        return ObjectKey.of(decode_object(content, file.path))
    except ArchiveError:  # somebody else committed another file
        return None


def _matches(versions: Sequence[_ObjectVersion], text: str, pattern: ObjectPattern, field: str) -> Iterator[Match]:
    """The periods in which fields of one file contain the text."""
    present: dict[str, Match] = {}
    for held in versions:
        values = _matching(held, text, field) if held.key and pattern.matches(held.key) else {}
        for path in [path for path, match in present.items() if not _continues(match, values)]:
            match = present.pop(path)
            yield Match(match.key, path, match.value, match.since, held.version)
        for path in values.keys() - present.keys():
            if held.key is not None:
                present[path] = Match(held.key, path, values[path], held.version, None)
    yield from present.values()


def _continues(match: Match, values: Mapping[str, Any]) -> bool:
    return match.field in values and same_json(values[match.field], match.value)


def _matching(held: _ObjectVersion, text: str, field: str) -> dict[str, Any]:
    """The fields of a version that contain the text, by path.

    A text that is split into fields counts itself if it contains the searched text and none of its fields does: the
    searched text is a comment, a key, or a number as it is written.
    """
    fields: Fields = held.version.fields or {}
    if held.key is not None and held.version.fields is not None:
        fields = {**fields, **_document_names(fields), _NAME: held.key.name}
    matching = {path: value for path, value in fields.items() if not is_hidden(value) and text in text_of_value(value)}
    whole = {
        path: value
        for path, value in held.version.texts.items()
        if text in value and not any(inner.startswith((f"{path}.", f"{path}[")) for inner in matching)
    }
    return {
        path: value for path, value in {**matching, **whole}.items() if _is_below(path, field, held.version.positions)
    }


def _is_below(path: str, field: str, positions: Mapping[str, str]) -> bool:
    """Whether a path begins with ``field``, which may name the elements of lists by their positions."""
    return begins_with(path, field) or begins_with(positions.get(path, path), field)


def _document_names(fields: Fields) -> dict[str, str]:
    """The names of the documents in a ConfigMap, by the path of the name. ``fields`` has them only inside its paths."""
    documents = (_DOCUMENT.match(path) for path in fields)
    return {
        f"{document[1]}.metadata.name": document[2]
        for document in documents
        if document and f"{document[1]}.kind" not in fields  # an element of a list in JSON keeps its kind
    }
