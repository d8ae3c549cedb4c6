"""Resolves a selection to objects: names, labels, references, and live objects created after the sample."""

from __future__ import annotations

from collections.abc import Iterable

from gitsnap.cluster.lists import list_objects
from gitsnap.core.model import ObjectKey
from gitsnap.core.ports import Cluster
from gitsnap.core.text import describe
from gitsnap.rollback.plan import PRUNED_KINDS, Selection, labels_match, resolve
from gitsnap.rollback.sample_objects import SampleObjects


def select_objects(
    cluster: Cluster, objects: SampleObjects, selection: Selection, *, prune: bool
) -> tuple[frozenset[ObjectKey], tuple[str, ...]]:
    """The selected objects, and notes about objects that are left out.

    With ``prune`` the user may also name live objects that are not in the sample. Raises NotFoundError or UsageError if
    the selection does not match the sample, and the cluster's errors if live objects of a named kind cannot be listed.
    """
    live = _live_keys(cluster, objects, selection) if prune else frozenset[ObjectKey]()
    selected = resolve(selection, objects.keys | live, incomplete=objects.tree.incomplete)
    outside = outside_scope(objects, selected) if selection.everything else frozenset[ObjectKey]()
    selected -= outside
    if selection.labels:
        selected = frozenset(
            key for key in selected if key not in objects.keys or labels_match(selection.labels, objects.document(key))
        )
    notes = tuple(f"{describe(key)} is the input of a template; roll it back by name" for key in sorted(outside))
    if not selection.with_references:
        return selected, notes
    referenced, missing = _referenced(objects, selected & objects.keys)
    is_excepted = selection.exception_filter(objects.keys)
    return selected.union(key for key in referenced if not is_excepted(key)), (*missing, *notes)


def _live_keys(cluster: Cluster, objects: SampleObjects, selection: Selection) -> frozenset[ObjectKey]:
    """The live objects of the kinds that the selection names, and that --prune may delete."""
    named = selection.named_kinds(objects.keys) & PRUNED_KINDS & frozenset(objects.tree.info.kinds)
    return frozenset(ObjectKey.of(document) for kind in sorted(named) for document in list_objects(cluster, kind))


def outside_scope(objects: SampleObjects, selected: Iterable[ObjectKey]) -> frozenset[ObjectKey]:
    """Objects of kinds that the policy does not capture: the sample contains them because templates read them."""
    info = objects.tree.info
    scope = {*info.kinds, *(selector.kind for selector in info.resources)}
    return frozenset(key for key in selected if key.kind not in scope)


def _referenced(objects: SampleObjects, selected: frozenset[ObjectKey]) -> tuple[frozenset[ObjectKey], tuple[str, ...]]:
    """The objects of the sample that selected objects refer to, and a note for each required one that is missing."""
    referenced, notes = set[ObjectKey](), set[str]()
    for reference in objects.referenced_by(selected):
        if reference.unresolved is None and reference.target in objects.keys:
            referenced.add(reference.target)
        elif not reference.optional:
            notes.add(f"{describe(reference.by)} refers to {describe(reference.target)}, which is not in the sample")
    return frozenset(referenced) - selected, tuple(sorted(notes))
