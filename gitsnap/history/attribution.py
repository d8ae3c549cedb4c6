"""Finds the authors of changes in an audit log of the API server. A wrong name is worse than no name.

The names become notes of the archive. This module must not read or write files. Callers pass the writes of the log.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from gitsnap.core.changes import Author, AuthorSource, UnreadableChange
from gitsnap.core.model import Area, CommitId, ObjectKey
from gitsnap.core.ports import Tree
from gitsnap.core.states import ChangeState
from gitsnap.core.text import describe, join_names, plural
from gitsnap.format import path_of
from gitsnap.format.change_message import short_name
from gitsnap.history.audit_index import AuditIndex
from gitsnap.history.author_join import SKEW, Coverage, Miss, RecordedVersion, Verdict, join_object
from gitsnap.history.change_finder import ChangeArchive, Changes
from gitsnap.sveltos import kinds
from gitsnap.sveltos.content_cache import ContentCache
from gitsnap.sveltos.tree_view import TreeView

_MOST_NAMED = 3

_BY_REFERENCE = frozenset({Miss.NO_WRITE, Miss.UNFIT})
"""The misses of an object that no request wrote. A reference to the object may have been added or removed."""

_REFERENCED = kinds.REFERENCED_KINDS | kinds.SOURCE_KINDS

_REASONS = {
    Miss.NOT_COVERED: "the log does not cover the time in which {object} may have been written",
    Miss.NO_START: "no sample before the change tells since when {object} may have been written",
    Miss.NO_VERSION: "the log has no answer with the recorded version of {object}; writes at that time: {names}",
    Miss.NO_WRITE: "the log has no write to {object} at that time",
    Miss.SEVERAL: "{object} was written by several authors: {names}",
    Miss.UNCERTAIN: "{object} was written by {names}, and not every request has an answer in the log",
    Miss.UNFIT: "the writes to {object} cannot have made this change: {names}",
    Miss.NOT_CREATED: "{object} existed before the change refers to it, and was written by {names} after that",
    Miss.NO_NAME: "the log has no user name for the write to {object}",
}


class Outcome(enum.StrEnum):
    """The result of looking for the author of a change in the log."""

    NAMED = "named"
    """The log names the author, and the archive had no name from an audit log."""
    KNOWN = "known"
    """The log names the author that the archive already has from an audit log."""
    CONTRADICTION = "contradiction"
    """The log names a different author than an earlier audit log."""
    UNNAMED = "unnamed"
    """The log has writes at the time of the change, but does not show who made the change."""
    OUTSIDE = "outside"
    """The log does not cover the time of the change."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The author of a change in the log, or the reason why there is none."""

    state: ChangeState
    outcome: Outcome
    author: Author | None = None
    """The author that the log names."""
    reason: str = ""
    """Why the author is not recorded; ``""`` for a new or a known author."""


@dataclass(frozen=True, slots=True)
class _ObjectVerdict:
    """The verdict for one object of a change."""

    key: ObjectKey
    action: str
    """``added``, ``modified`` or ``deleted``."""
    verdict: Verdict


class AttributedArchive(ChangeArchive, Protocol):
    """An archive whose changes get names of authors."""

    def tree_at(self, commit: CommitId) -> Tree:
        """The tree of a commit."""


@dataclass(frozen=True, slots=True)
class ChangedPlaces:
    """The objects that the changes of an archive name."""

    groups: frozenset[str]
    """The API groups of the objects."""
    objects: frozenset[tuple[str, str, str]]
    """API group, namespace and name of each object."""
    unreadable: tuple[UnreadableChange, ...]
    """The changes that cannot be read, and get no author."""


def changed_places(archive: ChangeArchive) -> ChangedPlaces:
    """Return the objects that any change of the archive names. Raises ArchiveError."""
    changes = Changes(archive)
    places = {
        (changed.key.kind.group, changed.key.namespace, changed.key.name)
        for state in changes.newest_first(archive.samples())
        if isinstance(state, ChangeState)
        for changed in state.change.objects
    }
    groups = frozenset(group for group, _, _ in places)
    return ChangedPlaces(groups, frozenset(places), tuple(changes.unreadable))


def attribute(
    archive: AttributedArchive,
    index: AuditIndex,
    coverage: Coverage,
    *,
    complete: bool,
    written_as: Callable[[str], str] = short_name,
) -> list[Attribution]:
    """Find the authors of the changes of an archive in an audit log. The oldest change comes first.

    Args:
        archive: The archive.
        index: The writes of the log.
        coverage: The time that the log covers.
        complete: Whether the log has every write of this time (``author_join.join_object``).
        written_as: Returns a name as the archive records it, such as a pseudonym.

    Raises ArchiveError.
    """
    attributions = []
    for states in _changes_by_sample(archive, coverage):
        verdicts = _join(archive, states, index, coverage, complete=complete)
        attributions.append(
            [
                _attribution(state, _written(archive, state, verdicts.get(state.commit, [])), coverage, written_as)
                for state in states
            ]
        )
    return [attribution for group in reversed(attributions) for attribution in group]


def _changes_by_sample(archive: ChangeArchive, coverage: Coverage) -> Iterator[list[ChangeState]]:
    """The changes after each sample, newest sample first, back to the last sample before the log begins."""
    for _, group in groupby(_changes(archive, coverage), lambda state: state.after.tag if state.after else ""):
        yield list(group)[::-1]


def _changes(archive: ChangeArchive, coverage: Coverage) -> Iterator[ChangeState]:
    for state in Changes(archive).newest_first(archive.samples()):
        if isinstance(state, ChangeState):
            yield state
        elif state.metadata.detached_from is None and state.time < coverage.first - SKEW:
            return


def _join(
    archive: AttributedArchive, states: Sequence[ChangeState], index: AuditIndex, coverage: Coverage, *, complete: bool
) -> dict[str, list[_ObjectVerdict]]:
    """Commit -> the verdict for each object of the change."""
    versions: dict[ObjectKey, list[tuple[str, RecordedVersion]]] = {}
    for state in states:
        actions = _actions(archive, state)
        for changed in state.change.objects:
            if action := actions.get(changed.key):
                version = RecordedVersion(
                    changed=changed,
                    action=action,
                    after=state.after.time if state.after else None,
                    before=state.time,
                    is_seen_at_once=not state.change.late,
                )
                versions.setdefault(changed.key, []).append((state.commit, version))
    verdicts: dict[str, list[_ObjectVerdict]] = {}
    for key, recorded in versions.items():
        joined = join_object([version for _, version in recorded], index.writes_to(key), coverage, complete=complete)
        for (commit, version), verdict in zip(recorded, joined, strict=True):
            verdicts.setdefault(commit, []).append(_ObjectVerdict(key, version.action, verdict))
    return verdicts


def _actions(archive: AttributedArchive, state: ChangeState) -> dict[ObjectKey, str]:
    """``added``, ``modified`` or ``deleted`` for each object whose configuration the change changed."""
    if state.change.parent is None:
        return {}
    before = archive.tree_at(state.change.parent).files(Area.CONFIGURATION)
    after = archive.tree_at(state.commit).files(Area.CONFIGURATION)
    actions = {}
    for changed in state.change.objects:
        path = path_of(changed.key)
        old, new = before.get(path), after.get(path)
        if old != new:
            actions[changed.key] = "added" if old is None else "deleted" if new is None else "modified"
    return actions


def _written(
    archive: AttributedArchive, state: ChangeState, verdicts: Iterable[_ObjectVerdict]
) -> list[_ObjectVerdict]:
    """The verdicts for the objects that a request wrote, by object.

    A ConfigMap enters the configuration with the first reference to it, and leaves with the last one. If the log has no
    write to such a ConfigMap, the author of the other objects is the author of the change.
    """
    ordered = sorted(verdicts, key=lambda item: item.key)
    written = {item.key for item in ordered if item.verdict.author}
    unwritten = [item for item in ordered if item.verdict.miss in _BY_REFERENCE and item.key.kind in _REFERENCED]
    if not written or not unwritten or state.change.parent is None:
        return ordered
    cache = ContentCache()
    before = _targets(TreeView(archive.tree_at(state.change.parent), cache), written)
    after = _targets(TreeView(archive.tree_at(state.commit), cache), written)
    explained = {"added": after - before, "deleted": before - after}
    return [item for item in ordered if item not in unwritten or item.key not in explained.get(item.action, ())]


def _targets(tree: TreeView, keys: Iterable[ObjectKey]) -> set[ObjectKey]:
    """The objects to which some objects of a tree refer."""
    documents = [document for key in keys if (document := tree.get(key)) is not None]
    return {target for document in documents for target in tree.reference_targets(document)}


def _attribution(
    state: ChangeState, verdicts: Sequence[_ObjectVerdict], coverage: Coverage, written_as: Callable[[str], str]
) -> Attribution:
    """The attribution of a change, from the verdicts for its objects. All objects must have the same author."""
    names = _names(verdicts)
    misses = [item for item in verdicts if not item.verdict.author]
    is_recorded = state.author.source is AuthorSource.AUDIT
    if not names and all(item.verdict.miss is Miss.NOT_COVERED for item in misses):
        if verdicts or not coverage.has(state.time, state.time):
            return Attribution(state, Outcome.KNOWN if is_recorded else Outcome.OUTSIDE)
        return Attribution(state, Outcome.UNNAMED, reason="the change names no objects: it has more than 500")
    if len(names) == 1 and not misses:
        author = Author(written_as(names[0]), AuthorSource.AUDIT)
        if not is_recorded:
            return Attribution(state, Outcome.NAMED, author)
        if author == state.author:
            return Attribution(state, Outcome.KNOWN, author)
        return Attribution(state, Outcome.CONTRADICTION, author, f"the log names {author.name}")
    if is_recorded and set(map(written_as, names)) <= {state.author.name}:
        return Attribution(state, Outcome.KNOWN)
    reason = _several(names) if len(names) > 1 else _miss_reason(misses, len(verdicts))
    return Attribution(state, Outcome.CONTRADICTION if is_recorded else Outcome.UNNAMED, reason=reason)


def _names(verdicts: Iterable[_ObjectVerdict]) -> list[str]:
    return sorted({item.verdict.author for item in verdicts if item.verdict.author})


def _several(names: Sequence[str]) -> str:
    return f"its objects were written by several authors: {join_names(names, most=_MOST_NAMED)}"


def _miss_reason(misses: Sequence[_ObjectVerdict], objects: int) -> str:
    first = misses[0]
    text = _REASONS[first.verdict.miss or Miss.NO_WRITE].format(object=describe(first.key), names=first.verdict.detail)
    return text if objects == 1 else f"{text} ({len(misses)} of {plural(objects, 'object')} without an author)"
