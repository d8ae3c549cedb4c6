"""The documents that changed inside the ConfigMaps and Secrets that a profile deploys to one cluster.

Equal documents cancel each other out wherever they stand. The remaining documents are matched by kind and name. A
source with a change in a document that cannot be identified is *opaque*.
This module must not know inventories or rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.sveltos.documents import Identity
from gitsnap.sveltos.source_documents import IdentifiedPiece, Piece, SourceText, identify_piece, split_texts
from gitsnap.sveltos.template_context import NO_CONTEXT, TemplateContext


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """A document that differs. ``before`` or ``after`` is None if that side lacks the document."""

    identity: Identity
    local: bool
    before: str | None
    after: str | None
    sources: frozenset[ObjectKey]
    isolated: bool
    """False if the document is not valid YAML, so that where it begins and ends is a guess."""
    secret: bool
    """Whether the document comes from a Secret: its text must not be shown."""
    equal: bool
    """Whether only the text differs, in comments, the order of keys or quoting."""
    former: Identity | None = None
    """The identity before the change, if its namespace differs."""
    reread: bool = False
    """Whether the same text is deployed differently: it is a template on one side only, its template reads an object
    that changed, or it is applied with other subresources."""

    def fits(self, key: ObjectKey) -> bool:
        """Return whether a deployed resource may come from the document, on each side that has it."""
        return self.identity.fits(key) and (self.former is None or self.former.fits(key))


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """The changes in a group of sources."""

    documents: tuple[DocumentChange, ...] = ()
    opaque: frozenset[ObjectKey] = frozenset()
    """Sources with a change in a document that cannot be identified."""


def compare_sources(
    before: Sequence[SourceText],
    after: Sequence[SourceText],
    contexts: tuple[TemplateContext, TemplateContext] = (NO_CONTEXT, NO_CONTEXT),
) -> SourceChanges:
    """Compare the texts that one profile deploys to a cluster.

    ``contexts``: the contexts of the templates before and after.
    """
    opaque: set[ObjectKey] = set()
    same = frozenset(before) & frozenset(after)
    # An equal template may evaluate to another text.
    unchanged = same if contexts[0] == contexts[1] else frozenset(text for text in same if not text.evaluated)
    old = split_texts([text for text in before if text not in unchanged], contexts[0], opaque)
    new = split_texts([text for text in after if text not in unchanged], contexts[1], opaque)
    common = Counter(piece.meaning for piece in old) & Counter(piece.meaning for piece in new)
    old_by_slot = _identify(_without(old, common), opaque)
    new_by_slot = _identify(_without(new, common), opaque)
    pairs = [(old_by_slot.get(slot), new_by_slot.get(slot)) for slot in sorted(old_by_slot.keys() | new_by_slot.keys())]
    return SourceChanges(tuple(_change(*pair) for pair in _join_moved_namespaces(pairs)), frozenset(opaque))


def _without(pieces: Iterable[Piece], common: Counter[tuple[object, ...]]) -> list[Piece]:
    """Return the pieces that the other side does not have."""
    uncounted = Counter(common)
    remaining = []
    for piece in pieces:
        if uncounted[piece.meaning] > 0:
            uncounted[piece.meaning] -= 1
        else:
            remaining.append(piece)
    return remaining


def _identify(pieces: Iterable[Piece], opaque: set[ObjectKey]) -> dict[tuple[ObjectKey, bool], IdentifiedPiece]:
    by_slot: dict[tuple[ObjectKey, bool], IdentifiedPiece] = {}
    for piece in pieces:
        identified = identify_piece(piece)
        if identified is None:
            opaque.add(piece.text.source)
        else:
            by_slot[identified.slot] = identified
    return by_slot


_Pair = tuple[IdentifiedPiece | None, IdentifiedPiece | None]


def _join_moved_namespaces(pairs: Iterable[_Pair]) -> list[_Pair]:
    """Match documents that differ in nothing but the namespace: for a cluster-scoped kind they are the same resource.

    Only the inventory knows which kinds are cluster-scoped, see DocumentChange.fits.
    """
    complete: list[_Pair] = []
    unmatched: dict[tuple[Kind, str, bool], tuple[list[IdentifiedPiece], list[IdentifiedPiece]]] = {}
    for old, new in pairs:
        if old is not None and new is not None:
            complete.append((old, new))
            continue
        for position, identified in enumerate((old, new)):
            if identified is not None:
                identity = identified.identity
                without_namespace = (identity.kind, identity.name, identified.piece.text.local)
                unmatched.setdefault(without_namespace, ([], []))[position].append(identified)
    for removed, added in unmatched.values():
        if len(removed) == len(added) == 1:
            complete.append((removed[0], added[0]))
        else:
            complete += [(identified, None) for identified in removed]
            complete += [(None, identified) for identified in added]
    return complete


def _change(old: IdentifiedPiece | None, new: IdentifiedPiece | None) -> DocumentChange:
    present = [identified for identified in (old, new) if identified is not None]
    first, last = present[0], present[-1]
    pieces = [identified.piece for identified in present]
    parsed = all(identified.value is not None for identified in present)
    both = old is not None and new is not None
    same = pieces[0].content == pieces[-1].content
    inputs = pieces[0].inputs ^ pieces[-1].inputs
    reread = pieces[0].reading != pieces[-1].reading
    before, after = _texts(old, new)
    if inputs and same:
        sources = frozenset(template_input.key for template_input in inputs)
    else:
        sources = frozenset(piece.text.source for piece in pieces)
    return DocumentChange(
        identity=last.identity,
        local=last.piece.text.local,
        before=before,
        after=after,
        sources=sources,
        isolated=parsed or any(piece.text.rendered for piece in pieces),
        secret=any(piece.text.secret for piece in pieces),
        equal=both and not reread and (same or (parsed and same_json(_value(first), _value(last)))),
        former=first.identity if first.identity != last.identity else None,
        reread=reread and same,
    )


def _texts(old: IdentifiedPiece | None, new: IdentifiedPiece | None) -> tuple[str | None, str | None]:
    """Return both documents as written. If they are written alike, return them as evaluated."""
    if old is not None and new is not None and old.piece.written == new.piece.written:
        return old.piece.content, new.piece.content
    return old.piece.written if old else None, new.piece.written if new else None


def _value(identified: IdentifiedPiece) -> Any:
    """Return a parsed document without its namespace, which DocumentChange.fits compares."""
    metadata = {field: value for field, value in identified.value["metadata"].items() if field != "namespace"}
    return {**identified.value, "metadata": metadata}
