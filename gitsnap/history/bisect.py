"""Finds the change of the configuration that turned a verdict from good to bad, or from bad to good.

The changes are commits, with or without a sample. A binary search judges few of them. This module must not run commands
or print.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gitsnap.core.commits import LoggedCommit
from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import Area, BlobId, CommitId, JsonObject, ObjectKey, Sample, SensitiveField
from gitsnap.core.ports import Archive, Tree
from gitsnap.core.states import State, name_state
from gitsnap.core.text import describe
from gitsnap.format import decode_object, path_of
from gitsnap.history.authors import Authors
from gitsnap.history.change_finder import sample_with
from gitsnap.history.changelog import AuthoredHistory, CommitOrigin, origin_of
from gitsnap.history.field_names import propose_fields
from gitsnap.history.fields import (
    Fields,
    fields_of,
    has_position,
    is_hidden,
    plain_path,
    positional_paths,
    text_of_value,
)
from gitsnap.history.samples import find_object

_CONFIGURATION = f"{Area.CONFIGURATION}/"


class Verdict(enum.StrEnum):
    """The judgement of one configuration."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"
    """The configuration cannot be judged."""


class SearchedArchive(Archive, AuthoredHistory, Protocol):
    """The archive whose changes are searched."""

    def commits_between(self, older: CommitId, newer: CommitId) -> list[LoggedCommit]:
        """Return the commits after ``older`` up to ``newer``, oldest first. Raises ArchiveError."""


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """A commit that changed the configuration."""

    commit: LoggedCommit
    origin: CommitOrigin
    """The first sample of the commit, or the author of a change that follow mode recorded. Neither for a commit whose
    samples were pruned."""
    contained_in: Sample | None
    """The first sample of this commit or of a later one; None for none."""

    @property
    def sample(self) -> Sample | None:
        """The first sample of the commit; None for a change between samples."""
        return self.origin.sample


def read_changes(archive: SearchedArchive, older: State, newer: State) -> list[ConfigurationChange]:
    """The changes of the configuration after one sample or change up to another, oldest first.

    Raises ArchiveError if ``older`` is not in the history of ``newer``, or if the history cannot be read.
    """
    first_samples, authors = archive.first_samples(), Authors(archive.author_notes)
    changes, following = [], sample_with(archive.samples(), newer)
    for commit in reversed(archive.commits_between(older.commit, newer.commit)):
        following = first_samples.get(commit.id, following)
        if any(file.path.startswith(_CONFIGURATION) for file in commit.files):
            changes.append(ConfigurationChange(commit, origin_of(commit, first_samples, authors), following))
    return changes[::-1]


def find_turn(count: int, judge: Callable[[int, int], Verdict], last: Verdict) -> range:
    """The positions of the changes, one of which turned the verdict. Several remain only if changes were skipped.

    Args:
        count: The number of changes. The state before position 0 has the opposite verdict of ``last``.
        judge: Returns the verdict of a position. The second argument is the number of changes that may be the result.
        last: The verdict of the last position.
    """
    low, high = -1, count - 1
    skipped = set[int]()
    while untested := [position for position in range(low + 1, high) if position not in skipped]:
        skips = high - low - 1 - len(untested)
        position = untested[int(len(untested) * _fraction(skips))]
        verdict = judge(position, high - low)
        if verdict is Verdict.SKIPPED:
            skipped.add(position)
        elif verdict is last:
            high = position
        else:
            low = position
    return range(low + 1, high + 1)


def _fraction(skips: int) -> float:
    """1/2, then 1/4, 3/4, 1/8 …: after a skip, the next position is far away, since its neighbours may fail as well."""
    number, fraction, part = skips + 1, 0.0, 0.5
    while number:
        fraction += part * (number & 1)
        number, part = number >> 1, part / 2
    return fraction


# The value of a field -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldCondition:
    """A field of an object, and the value that decides the verdict."""

    key: ObjectKey
    path: str
    value: str
    sensitive: Collection[SensitiveField]

    def holds(self, tree: Tree) -> bool:
        """Whether the field has the value in a tree. Raises UsageError for a hidden value, ArchiveError."""
        fields = self.fields(tree)
        values = [value for path, value in fields.items() if plain_path(path) == plain_path(self.path)]
        if any(map(is_hidden, values)):
            raise UsageError(
                f"{describe(self.key)}: {self.path} is hidden, and gitsnap does not compare hidden values",
                hint="`gitsnap blame` shows when the value of a hidden field changed.",
            )
        return any(text_of_value(value) == self.value for value in values)

    def fields(self, tree: Tree) -> Fields:
        """The fields of the object in a tree; empty if the tree has no such object. Raises ArchiveError."""
        document = self._document(tree)
        return {} if document is None else fields_of(document, self.sensitive)

    def named_path(self, tree: Tree) -> str:
        """The path with the names of list elements, if ``path`` has their positions in a tree. Raises ArchiveError.

        ``""`` if the object in the tree has no such field.
        """
        document = self._document(tree)
        paths = positional_paths(document, self.sensitive) if document is not None else {}
        return next((name for name, other in paths.items() if plain_path(other) == plain_path(self.path)), "")

    def _document(self, tree: Tree) -> JsonObject | None:
        path = path_of(self.key)
        blob: BlobId | None = tree.files(Area.CONFIGURATION).get(path)
        return None if blob is None else decode_object(tree.read(blob), path)


def parse_condition(
    reference: str, assignment: str, trees: Sequence[Tree], sensitive: Collection[SensitiveField]
) -> FieldCondition:
    """Parse ``KIND/[NS/]NAME`` and ``PATH=VALUE``. ``trees``: the trees of both samples, the newer one first.

    Raises UsageError for another form, NotFoundError if no tree has the object, or if no object has the field.
    """
    path, value = _split_assignment(assignment)
    condition = FieldCondition(_find_key(reference, trees), path, value, sensitive)
    known = {name: None for tree in trees for name in condition.fields(tree)}
    if plain_path(path) in map(plain_path, known):
        return condition
    for tree in trees if has_position(path) else ():
        if name := condition.named_path(tree):
            return replace(condition, path=name)
    below = [name for name in known if plain_path(name).startswith((f"{plain_path(path)}.", f"{plain_path(path)}["))]
    if below:
        raise UsageError(f"{path} has no value of its own", hint=f"Name a field below it, such as {below[0]}.")
    hint = propose_fields(path, known, none="It has no fields.")
    raise NotFoundError(f"{describe(condition.key)} has no field {path} in either sample", hint=hint)


def _find_key(reference: str, trees: Sequence[Tree]) -> ObjectKey:
    errors: list[NotFoundError] = []
    for tree in trees:
        try:
            return find_object(tree, reference).key
        except NotFoundError as error:
            errors.append(error)
    raise errors[0]


def _split_assignment(text: str) -> tuple[str, str]:
    """The path and the value of ``PATH=VALUE``. A ``=`` inside brackets belongs to the path. Raises UsageError."""
    for position in _positions_outside_brackets(text):
        if text[position] == "=" and position:
            return text[:position], text[position + 1 :]
    raise UsageError(f"--field: {text!r} is not PATH=VALUE, such as spec.syncMode=OneTime")


def _positions_outside_brackets(text: str) -> Iterator[int]:
    depth, quoted = 0, False
    for position, character in enumerate(text):
        if character == '"' and depth:
            quoted = not quoted
        elif not quoted:
            depth += {"[": 1, "]": -1}.get(character, 0)
            if not depth:
                yield position


def value_at(condition: FieldCondition, tree: Tree) -> Any:
    """The value of the field of a condition, for messages; None if the field is absent."""
    fields = condition.fields(tree)
    return next((value for path, value in fields.items() if plain_path(path) == plain_path(condition.path)), None)


def verdict_with_value(condition: FieldCondition, good: Tree, bad: Tree) -> Verdict:
    """The verdict of configurations in which the field has the value: that of the sample that has it.

    Raises UsageError if both samples have the value, or neither.
    """
    has_value = condition.holds(good), condition.holds(bad)
    if has_value[0] is has_value[1]:
        side = "both samples have" if has_value[0] else "neither sample has"
        raise UsageError(
            f"{describe(condition.key)}: {side} {condition.path}={condition.value}",
            hint=f"Name a value that only one of them has: {_values_hint(condition, good, bad)}.",
        )
    return Verdict.GOOD if has_value[0] else Verdict.BAD


def _values_hint(condition: FieldCondition, good: Tree, bad: Tree) -> str:
    values = (value_at(condition, good), value_at(condition, bad))
    shown = ["no value" if value is None else repr(text_of_value(value)[:60]) for value in values]
    return f"the good sample has {shown[0]}, the bad sample {shown[1]}"


def order_states(good: State, bad: State) -> tuple[State, State]:
    """Return the older and the newer of two samples or changes. Raises UsageError if they have the same commit."""
    if good.commit == bad.commit:
        raise no_change(good, bad)
    return (good, bad) if good.order < bad.order else (bad, good)


def no_change(good: State, bad: State) -> UsageError:
    """The error for two samples or changes with the same configuration."""
    return UsageError(
        f"{name_state(good)} and {name_state(bad)} have the same configuration",
        hint="Name two samples between which the configuration changed; `gitsnap log` lists the changes.",
    )
