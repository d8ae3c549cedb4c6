"""Differences that are known and allowed, from a file: they are left out of a comparison (docs/QUESTIONS.md).

The file has the form of ``gitsnap diff -o json``: a row of the file matches the rows of the comparison that have its
values. The newer values of allowed fields replace the older ones before the comparison, so that their consequences in
managed clusters are allowed too. This module must not open files or print.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import Area, BlobId, IncompleteKind, TreeInfo
from gitsnap.core.objects import same_json
from gitsnap.core.ports import Tree
from gitsnap.core.suggestions import nearest
from gitsnap.diff.rows import Action, Comparison, DiffRow, ManagementRow
from gitsnap.format import decode_object, encode, path_of
from gitsnap.format.yaml.reader import line_of, load_documents
from gitsnap.history.fields import FieldDifference, adopt, field_differences, plain_path

CLUSTERS, MANAGEMENT = "clusters", "management"
_ROW_KEYS = {
    CLUSTERS: ("cluster", "resourceType", "namespace", "name", "action", "message"),
    MANAGEMENT: ("resourceType", "namespace", "name", "action", "message"),
}
_REASON, _FIELDS = "reason", "fields"
_FIELD_KEYS = ("path", "from", "to")

Compare = Callable[[Tree, Tree], Comparison]
"""Compares two trees."""


@dataclass(frozen=True, slots=True)
class ExpectedField:
    """A field that may differ, and the values that it may have."""

    path: str
    values: Mapping[str, Any]
    """``from`` and ``to``; any value without them."""

    def matches(self, difference: FieldDifference) -> bool:
        """Whether the field covers a difference: the path is that of the field, or below it."""
        if not re.match(rf"{_expression(plain_path(self.path))}(?:$|[.\[])", plain_path(difference.path)):
            return False
        sides = {"from": difference.before, "to": difference.after}
        return all(same_json(sides[side], value) for side, value in self.values.items())


@dataclass(frozen=True, slots=True)
class Expectation:
    """A row of the file: the rows that it matches, and their fields."""

    part: str
    """CLUSTERS or MANAGEMENT."""
    patterns: Mapping[str, str]
    fields: Sequence[ExpectedField]
    """The fields that may differ. The whole object may differ without them."""
    line: int
    """The line in the file, from 1."""
    reason: str = ""

    def matches(self, row: DiffRow | ManagementRow) -> bool:
        """Whether a row has all values of the expectation."""
        return all(re.fullmatch(_expression(text), _value(row, name)) for name, text in self.patterns.items())


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An expectation without a difference."""

    expectation: Expectation
    field: str
    """The path of the field without a difference; ``""`` for the whole row."""


@dataclass(frozen=True, slots=True)
class ExpectedDifferences:
    """A comparison without the differences that are allowed."""

    unexpected: Comparison
    expected: Comparison
    """The rows that are left out. A row of which some fields are allowed is unexpected, with its other fields."""
    unmatched: Sequence[Unmatched]


def _value(row: DiffRow | ManagementRow, name: str) -> str:
    return str(getattr(row, {"resourceType": "resource_type"}.get(name, name)))


def _expression(pattern: str) -> str:
    """A regular expression for a pattern in which ``*`` stands for any text."""
    return ".*".join(map(re.escape, pattern.split("*")))


# The file -------------------------------------------------------------------------------------------------------------


def parse_expectations(text: str, source: str) -> list[Expectation]:
    """The rows of a file. ``source`` names the file in messages. Raises InputError that names the file and the line."""
    documents = load_documents(text, source, unique_keys=True)
    if len(documents) > 1:
        raise InputError(f"{source}: there are {len(documents)} documents; write one")
    document = documents[0] if documents else {}
    if not isinstance(document, dict) or not all(isinstance(rows, list) for rows in document.values()):
        raise InputError(f"{source} is not a mapping of {CLUSTERS} and {MANAGEMENT} to lists of rows")
    _check_keys(document, (CLUSTERS, MANAGEMENT), source)
    return [
        _parse_row(row, part, _line(text, [part, number], row), source)
        for part, rows in document.items()
        for number, row in enumerate(rows)
    ]


def _line(text: str, path: Sequence[str | int], row: Any) -> int:
    """The line of the first key of a row; that of the list for a row without keys."""
    key = next(iter(row), "") if isinstance(row, dict) else ""
    return line_of(text, 0, [*path, key]) or line_of(text, 0, path[:1]) or 1


def _parse_row(row: Any, part: str, line: int, source: str) -> Expectation:
    where = f"{source}:{line}"
    if not isinstance(row, dict):
        raise InputError(f"{where}: a row of {part} is a mapping, such as {{{_ROW_KEYS[part][0]}: …}}")
    _check_keys(row, (*_ROW_KEYS[part], _REASON, *((_FIELDS,) if part == MANAGEMENT else ())), where)
    fields = row.get(_FIELDS, [])
    texts = {name: value for name, value in row.items() if name != _FIELDS}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise InputError(f"{where}: {name} is not a text", hint="Write it in quotes.")
    patterns = {name: value for name, value in texts.items() if name != _REASON}
    if not patterns:
        raise InputError(f"{where}: the row names nothing", hint=f"Give one of: {', '.join(_ROW_KEYS[part])}.")
    if not isinstance(fields, list) or (_FIELDS in row and not fields):
        raise InputError(f"{where}: {_FIELDS} is not a list of paths")
    return Expectation(part, patterns, [_parse_field(value, where) for value in fields], line, texts.get(_REASON, ""))


def _parse_field(value: Any, where: str) -> ExpectedField:
    if isinstance(value, str) and value:
        return ExpectedField(value, {})
    if not isinstance(value, dict) or not isinstance(value.get("path"), str) or not value["path"]:
        raise InputError(f"{where}: a field is a path, or a mapping {{path, from, to}}")
    _check_keys(value, _FIELD_KEYS, where)
    return ExpectedField(value["path"], {side: text for side, text in value.items() if side != "path"})


def _check_keys(mapping: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in mapping:
        if name not in known:
            raise InputError(f"{where}: the key {name} is not known", hint=nearest(name, known, none=""))


# The comparison -------------------------------------------------------------------------------------------------------


def expect(
    before: Tree, after: Tree, compare: Compare, expectations: Sequence[Expectation], *, complete: bool
) -> ExpectedDifferences:
    """Compare two trees, and leave out the differences that are allowed.

    ``complete``: whether the comparison covers all objects. Otherwise no expectation is called unmatched. Raises the
    errors of ``compare``.
    """
    whole = compare(before, after)
    allowed = _AllowedObjects(before, after, expectations)
    for row in whole.management:
        allowed.add(row)
    remaining = compare(AdoptedTree(before, after, allowed.files), after) if allowed.files else whole
    seen = [*whole.rows, *remaining.rows]
    used = {
        position for position, row in enumerate(expectations) if row.part == CLUSTERS and any(map(row.matches, seen))
    }
    places = set(map(_place, whole.rows))
    # A row that only the second comparison has follows from the adoption: a deployment without its change.
    unexpected = replace(
        remaining,
        rows=tuple(
            row for row in remaining.rows if _place(row) in places and not _is_expected(row, CLUSTERS, expectations)
        ),
        management=tuple(row for row in remaining.management if not _is_expected(row, MANAGEMENT, expectations)),
    )
    unmatched = [
        entry for entry in _unmatched(expectations, used, allowed.used) if not _may_be_hidden(entry.expectation, whole)
    ]
    return ExpectedDifferences(unexpected, _without(whole, unexpected), unmatched if complete else ())


def _is_expected(row: DiffRow | ManagementRow, part: str, expectations: Iterable[Expectation]) -> bool:
    return any(entry.part == part and not entry.fields and entry.matches(row) for entry in expectations)


def _place(row: DiffRow) -> tuple[str, str, str, str]:
    return row.cluster, row.resource_type, row.namespace, row.name


def _without(whole: Comparison, unexpected: Comparison) -> Comparison:
    """The rows of a comparison that are not among the unexpected ones, which may have another message."""
    places = set(map(_place, unexpected.rows))
    objects = {row.key for row in unexpected.management}
    return Comparison(
        rows=tuple(row for row in whole.rows if _place(row) not in places),
        management=tuple(row for row in whole.management if row.key not in objects),
    )


def _unmatched(
    expectations: Sequence[Expectation], used: set[int], used_fields: set[tuple[int, int]]
) -> Iterable[Unmatched]:
    for position, entry in enumerate(expectations):
        if entry.part == CLUSTERS:
            if position not in used:
                yield Unmatched(entry, "")
        elif not entry.fields:
            if (position, -1) not in used_fields:
                yield Unmatched(entry, "")
        else:
            for number, field in enumerate(entry.fields):
                if (position, number) not in used_fields:
                    yield Unmatched(entry, field.path)


def _may_be_hidden(entry: Expectation, comparison: Comparison) -> bool:
    """Whether an expectation is about a kind that could not be compared."""
    pattern = entry.patterns.get("resourceType", "*")
    types = {skipped.kind.resource_type for skipped in comparison.not_comparable}
    return entry.part == MANAGEMENT and any(re.fullmatch(_expression(pattern), name) for name in types)


class _AllowedObjects:
    """The objects whose differences are allowed, wholly or in some fields."""

    def __init__(self, before: Tree, after: Tree, expectations: Sequence[Expectation]) -> None:
        self.files: dict[str, BlobId | bytes | None] = {}
        """The path below ``configuration/`` -> a blob of the newer tree, a content, or None for no file."""
        self.used: set[tuple[int, int]] = set()
        """The position of each expectation that allows a difference, with the position of its field or -1."""
        self._trees = before, after
        self._sides = before.files(Area.CONFIGURATION), after.files(Area.CONFIGURATION)
        self._expectations = expectations

    def add(self, row: ManagementRow) -> None:
        """Continue with a row of the comparison. Raises ArchiveError if the object cannot be read."""
        matching = [
            (position, entry)
            for position, entry in enumerate(self._expectations)
            if entry.part == MANAGEMENT and entry.matches(row)
        ]
        path = path_of(row.key)
        whole = {(position, -1) for position, entry in matching if not entry.fields}
        self.used |= whole
        content = self._adopted(path, matching) if row.action is Action.MODIFIED else None
        if whole:
            self.files[path] = self._sides[1].get(path)
        elif content is not None:
            self.files[path] = content

    def _adopted(self, path: str, matching: Sequence[tuple[int, Expectation]]) -> bytes | None:
        """The content of the older object with the newer values of allowed fields; None if no field is allowed."""
        if not any(entry.fields for _, entry in matching):
            return None
        old, new = (
            decode_object(tree.read(files[path]), path) for tree, files in zip(self._trees, self._sides, strict=True)
        )
        allowed = dict[str, bool]()
        for difference in field_differences(old, new):
            fields = {
                (position, number)
                for position, entry in matching
                for number, field in enumerate(entry.fields)
                if field.matches(difference)
            }
            self.used |= fields
            allowed[difference.path] = allowed.get(difference.path, True) and bool(fields)
        return encode(adopt(old, new, allowed)) if any(allowed.values()) else None


class AdoptedTree:
    """A tree in which some objects are those of another tree, or have other contents (ports.Tree)."""

    def __init__(self, tree: Tree, other: Tree, files: Mapping[str, BlobId | bytes | None]) -> None:
        """``files``: the path below ``configuration/`` -> a blob of the other tree, a content, or None for no file."""
        self._tree = tree
        self._other = other
        self._files = {path: _blob(file) for path, file in files.items()}
        self._contents = {_blob(file): file for file in files.values() if isinstance(file, bytes)}

    @property
    def info(self) -> TreeInfo:
        """The settings of the tree."""
        return self._tree.info

    @property
    def incomplete(self) -> tuple[IncompleteKind, ...]:
        """The kinds and objects for which the tree has only a substitute, sorted."""
        return self._tree.incomplete

    @cached_property
    def _configuration(self) -> Mapping[str, BlobId]:
        merged = {**self._tree.files(Area.CONFIGURATION), **self._files}
        return {path: blob for path, blob in sorted(merged.items()) if blob is not None}

    def files(self, area: Area) -> Mapping[str, BlobId]:
        """Path below the folder of the area -> id of the content, sorted by path."""
        return self._configuration if area is Area.CONFIGURATION else self._tree.files(area)

    def read(self, blob: BlobId) -> bytes:
        """The content of an id that ``files`` returned."""
        if blob in self._contents:
            return self._contents[blob]
        return (self._other if blob in self._files.values() else self._tree).read(blob)


def _blob(file: BlobId | bytes | None) -> BlobId | None:
    if not isinstance(file, bytes):
        return file
    header = b"blob %d\0" % len(file)
    return BlobId(hashlib.sha1(header + file, usedforsecurity=False).hexdigest())
