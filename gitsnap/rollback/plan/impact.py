"""How far a step reaches: what Sveltos will do after it, by which profile, on which managed clusters.

Judged by the state that the whole plan leads to. What happens between two steps is ``arranging``'s business.
This module must not decide what is written, nor in which order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.rollback.plan.consequences import Doing, Effect
from gitsnap.rollback.plan.match_states import SELECTING_KINDS, Change, Readers, Row, Rows, State, leaves, mode_of
from gitsnap.sveltos import kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.matching import ClusterRef, selects
from gitsnap.sveltos.pausing import paused
from gitsnap.sveltos.references import references

Effects = tuple[Effect, ...]


def effects(
    standing: Iterable[JsonObject],
    changes: Sequence[Change],
    contents: Collection[ObjectKey],
    *,
    stands: Rows | None = None,
) -> Mapping[ObjectKey, Effects]:
    """What Sveltos does after each of the changes, and after each write of an object that others refer to.

    ``standing`` are the live objects of CONCERNED_KINDS as the API server gave them.
    """
    reach = _Reach(tuple(standing), changes, stands or {})
    found = {change.key: tuple(_sorted(reach.of_change(change))) for change in changes}
    return found | {key: tuple(_sorted(some)) for key, some in reach.of_contents(contents).items()}


def _sorted(found: Iterable[Effect]) -> list[Effect]:
    return sorted((one for one in found if one.clusters), key=lambda one: (one.doing, one.by))


class _Reach:
    """Before and after one plan."""

    def __init__(self, standing: Sequence[JsonObject], changes: Sequence[Change], stands: Rows) -> None:
        self._start = State.of(standing, stands=stands)
        self._end = State.of(standing, changes, stands=stands)
        self._readers = Readers(self._start, self._end)
        self._views = {
            ClusterRef.of(one): template_view(one) for one in standing if ObjectKey.of(one).kind in kinds.CLUSTER_KINDS
        }
        self.before = cache(self._start.standing)
        self.after = cache(self._end.row)
        self.coming = cache(lambda key: self.after(key) - self.before(key))
        self.going = cache(lambda key: self.before(key) - self.after(key))

    # Steps that decide about matches ------------------------------------------------------------------------------

    def of_change(self, change: Change) -> Iterator[Effect]:
        """What one write or deletion sets off; effects on no cluster are among it.

        A selecting object works on what it matches, a Classifier on every cluster, and what matches hang on (labels of
        clusters, sets) by way of each profile that gains or loses by it.
        """
        kind = change.key.kind
        if kind in SELECTING_KINDS:
            yield from self._of_selecting(change)
        elif kind in (kinds.CLASSIFIER, kinds.CLUSTER_HEALTH_CHECK):
            yield Effect(Doing.APPLIES, change.key, _in_order(self._own_row(change)))
        else:
            for key in self._readers.concerned(change):
                cluster = ClusterRef(kind, change.key.namespace, change.key.name)
                only = frozenset({cluster}) if kind in kinds.CLUSTER_KINDS else None
                yield from self._joining_and_leaving(key, only)

    def _own_row(self, change: Change) -> Row:
        if change.key.kind == kinds.CLASSIFIER:
            return frozenset(self._end.labels)  # a Classifier is deployed to every managed cluster
        documents = [one for one in (change.before, change.after) if one is not None]
        return frozenset[ClusterRef]().union(*(selects(one, self._end.labels).clusters for one in documents))

    def _of_selecting(self, change: Change) -> Iterator[Effect]:
        key, old, new = change.key, change.before, change.after
        touched = (
            old is None or new is None or not same_json(old.get("spec"), new.get("spec")) or paused(old) != paused(new)
        )
        if new is not None and touched:
            stay = self.before(key) & self.after(key) if old is not None else frozenset[ClusterRef]()
            doing = _doing(new)
            if doing is Doing.ONCE and old is not None and mode_of(old) != mode_of(new):
                doing = Doing.LAST
            yield Effect(doing, key, _in_order(stay))
        yield from self._joining_and_leaving(key, None)

    def _joining_and_leaving(self, key: ObjectKey, only: Row | None) -> Iterator[Effect]:
        """What a profile's matches gain and lose by the plan; of one cluster, where a step is about that alone."""
        document = self._end.selecting.get(key)
        joining, leaving = self.coming(key), self.going(key)
        if only is not None:
            joining, leaving = only & joining, only & leaving
        if document is not None and paused(document):
            yield Effect(Doing.WAITS, key, _in_order(joining | leaving))
            return
        in_dry_run = mode_of(document or self._start.selecting.get(key)) == "DryRun" and key.kind in kinds.PROFILE_KINDS
        if in_dry_run:
            yield Effect(Doing.REPORTS, key, _in_order(joining))
            yield Effect(Doing.STANDS, key, _in_order(leaving))
            return
        if document is not None:
            doing = _doing(document)
            yield Effect(Doing.DEPLOYS if doing in (Doing.REDEPLOYS, Doing.ONCE) else doing, key, _in_order(joining))
        yield Effect(Doing.LEAVES if self._stays_there(key) else Doing.WITHDRAWS, key, _in_order(leaving))

    def _stays_there(self, key: ObjectKey) -> bool:
        live = self._start.selecting.get(key)
        return leaves(self._end.selecting.get(key) or live, live=live)

    # Content --------------------------------------------------------------------------------------------------------

    def of_contents(self, contents: Collection[ObjectKey]) -> Mapping[ObjectKey, list[Effect]]:
        """By whom, and where, each of these objects is used."""
        found: dict[ObjectKey, list[Effect]] = {key: [] for key in contents}
        if not contents:
            return found
        names = {key.name for key in contents}
        for key, document in sorted(self._end.selecting.items()):
            if not _may_name(document.get("spec"), names):
                continue
            held = paused(document)
            row = self.before(key) if held else self.after(key)
            # A pause holds the profile's spec, not the content of what it refers to.
            doing = _doing(document, held=False)
            for target, clusters in self._users(document, row, contents).items():
                found[target].append(Effect(doing, key, _in_order(clusters)))
        return found

    def _users(self, document: JsonObject, row: Row, contents: Collection[ObjectKey]) -> dict[ObjectKey, Row]:
        """For which clusters an object refers to each of some others."""
        fixed = {one.target for one in references(document, ())}
        users = {target: row for target in fixed if target in contents}
        for cluster in row:
            for one in references(document, (cluster,), self._views.get):
                if one.target in contents and one.target not in fixed:
                    users[one.target] = users.get(one.target, frozenset()) | {cluster}
        return users


def _in_order(clusters: Row) -> tuple[ClusterRef, ...]:
    return tuple(sorted(clusters))


def _doing(document: JsonObject, *, held: bool = True) -> Doing:
    """What Sveltos does on the clusters that already match, once something of an object changed."""
    if ObjectKey.of(document).kind not in kinds.PROFILE_KINDS:
        return Doing.APPLIES
    if held and paused(document):
        return Doing.WAITS
    mode = (document.get("spec") or {}).get("syncMode")
    return {"OneTime": Doing.ONCE, "DryRun": Doing.REPORTS}.get(str(mode), Doing.REDEPLOYS)


def _may_name(value: Any, names: Collection[str]) -> bool:
    """Whether anything below may be a reference to one of these names; cheap, and never wrong in saying no."""
    if isinstance(value, str):
        return value in names or "{{" in value or value.rpartition("/")[2] in names
    if isinstance(value, list):
        return any(_may_name(one, names) for one in value)
    if isinstance(value, dict):
        unnamed = "kind" in value and not value.get("name")  # Sveltos then takes the cluster's namespace as name
        return unnamed or any(_may_name(one, names) for one in value.values())
    return False
