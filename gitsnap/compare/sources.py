"""Which documents changed inside the ConfigMaps and Secrets that a profile deploys to one cluster.

Texts are compared before anything is parsed: equal documents cancel each other out wherever they stand, and what is
left is told apart by kind and name. What cannot be told apart makes its source *opaque*.
This module must not know inventories or rows.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gitsnap.errors import InputError
from gitsnap.format.fingerprint import is_fingerprint
from gitsnap.model import JsonObject, Kind, ObjectKey
from gitsnap.sveltos import documents, kinds
from gitsnap.sveltos.documents import Identity
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import render


@dataclass(frozen=True, slots=True)
class Text:
    """One value of a ConfigMap or Secret."""

    source: ObjectKey
    content: str
    rendered: bool
    """Evaluated by Sveltos before it is deployed."""
    local: bool
    """Deployed to the management cluster."""
    secret: bool
    """A value of a Secret: never shown."""

    @property
    def evaluated(self) -> bool:
        """Whether the evaluation makes a difference."""
        return self.rendered and "{{" in self.content


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """A document that differs; None on the side that does not have it."""

    identity: Identity
    local: bool
    before: str | None
    after: str | None
    sources: frozenset[ObjectKey]
    isolated: bool
    """False when the document is not valid YAML, so that where it begins and ends is a guess."""
    secret: bool
    """Comes from a Secret: its text must not be shown."""
    equal: bool
    """The texts differ, what they say does not: comments, order of keys, quoting."""
    former: Identity | None = None
    """What the document before it said it was, where that differs: in its namespace."""
    reread: bool = False
    """The text is the same, but it is evaluated on one side only: an annotation of its source changed."""

    def fits(self, key: ObjectKey) -> bool:
        """Whether a deployed resource may have come from the document, on each side that has it."""
        return self.identity.fits(key) and (self.former is None or self.former.fits(key))


@dataclass(frozen=True, slots=True)
class Described:
    """A document of one side, and what it says it is."""

    identity: Identity
    local: bool
    content: str
    secret: bool

    def explains(self, key: ObjectKey, *, local: bool) -> bool:
        """Whether a deployed resource may have come from the document."""
        return self.local == local and self.identity.fits(key)


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """What changed in a group of sources."""

    documents: tuple[DocumentChange, ...] = ()
    opaque: frozenset[ObjectKey] = frozenset()
    """Sources with a change that no document could be made out for."""


def texts_of(document: JsonObject, *, local: bool) -> list[Text] | None:
    """The values of a ConfigMap or Secret, None when they hold no documents: fingerprints, or a Lua program."""
    if documents.is_program(document):
        return None
    key = ObjectKey.of(document)
    rendered = documents.is_rendered(document)
    secret = key.kind == kinds.SECRET
    texts = []
    for _, value in sorted((document.get("data") or {}).items()):
        content = _decoded(value) if secret or is_fingerprint(value) else str(value)
        if content is None:
            return None
        texts.append(Text(key, content, rendered, local, secret))
    return texts


def _decoded(value: Any) -> str | None:
    if is_fingerprint(value):
        return None
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True)
class _Piece:
    """One document of a text, not yet told what it is."""

    text: Text
    content: str

    @property
    def meaning(self) -> tuple[str, bool, bool]:
        """What must be equal for two pieces to be the same: a template means something else than equal plain text.

        A value is one template, so that an action in one of its documents may decide about the others.
        """
        return self.content, self.text.local, self.text.evaluated


@dataclass(frozen=True, slots=True)
class _Known:
    """A piece that is known to be one document."""

    piece: _Piece
    identity: Identity
    value: Any
    """None when it could not be parsed."""

    @property
    def slot(self) -> tuple[ObjectKey, bool]:
        return self.identity.places()[0], self.piece.text.local


def compare_sources(before: Sequence[Text], after: Sequence[Text], cluster: ClusterRef | None) -> SourceChanges:
    """What changed between the texts that one profile deploys to a cluster; templates are filled in for it if given."""
    opaque: set[ObjectKey] = set()
    unchanged = frozenset(before) & frozenset(after)
    old = _pieces([text for text in before if text not in unchanged], opaque)
    new = _pieces([text for text in after if text not in unchanged], opaque)
    common = Counter(piece.meaning for piece in old) & Counter(piece.meaning for piece in new)
    known_old = _identified(_remaining(old, common), cluster, opaque)
    known_new = _identified(_remaining(new, common), cluster, opaque)
    pairs = [(known_old.get(slot), known_new.get(slot)) for slot in sorted(known_old.keys() | known_new.keys())]
    return SourceChanges(tuple(_change(*pair) for pair in _with_moved_namespaces(pairs)), frozenset(opaque))


def described(texts: Iterable[Text], cluster: ClusterRef) -> list[Described]:
    """All documents of some texts; what cannot be made out is left out."""
    ignored: set[ObjectKey] = set()
    known = (_known(piece, cluster) for piece in _pieces(texts, ignored))
    return [
        Described(one.identity, one.piece.text.local, one.piece.content, one.piece.text.secret)
        for one in known
        if one is not None
    ]


_Pair = tuple[_Known | None, _Known | None]


def _with_moved_namespaces(pairs: Iterable[_Pair]) -> list[_Pair]:
    """Pairs up what differs in nothing but the namespace: for a cluster-scoped kind that is the same resource.

    Which kinds are cluster-scoped only the inventory knows (``fits``).
    """
    complete: list[_Pair] = []
    alone: dict[tuple[Kind, str, bool], tuple[list[_Known], list[_Known]]] = {}
    for old, new in pairs:
        if old is not None and new is not None:
            complete.append((old, new))
            continue
        for position, one in enumerate((old, new)):
            if one is not None:
                nameless = (one.identity.kind, one.identity.name, one.piece.text.local)
                alone.setdefault(nameless, ([], []))[position].append(one)
    for gone, come in alone.values():
        if len(gone) == len(come) == 1:
            complete.append((gone[0], come[0]))
        else:
            complete += [(one, None) for one in gone] + [(None, one) for one in come]
    return complete


def _pieces(texts: Iterable[Text], opaque: set[ObjectKey]) -> list[_Piece]:
    pieces = []
    for text in texts:
        try:
            pieces += [_Piece(text, content) for content in documents.split(text.content)]
        except InputError:
            opaque.add(text.source)
    return pieces


def _remaining(pieces: Iterable[_Piece], common: Counter[tuple[str, bool, bool]]) -> list[_Piece]:
    """The pieces that the other side does not have."""
    left = Counter(common)
    remaining = []
    for piece in pieces:
        if left[piece.meaning] > 0:
            left[piece.meaning] -= 1
        else:
            remaining.append(piece)
    return remaining


def _identified(
    pieces: Iterable[_Piece], cluster: ClusterRef | None, opaque: set[ObjectKey]
) -> dict[tuple[ObjectKey, bool], _Known]:
    found: dict[tuple[ObjectKey, bool], _Known] = {}
    for piece in pieces:
        known = _known(piece, cluster)
        if known is None:
            opaque.add(piece.text.source)
        else:
            found[known.slot] = known
    return found


def _known(piece: _Piece, cluster: ClusterRef | None) -> _Known | None:
    content = piece.content
    if piece.text.rendered:
        content = (render(content, cluster, escape=False) if cluster is not None else None) or content
        if "{{" in content:
            identity = documents.identify_text(content)
            return _Known(piece, identity, None) if identity else None
    value = documents.load(content)
    identity = documents.identify(value) or documents.identify_text(content)
    return _Known(piece, identity, value) if identity else None


def _change(old: _Known | None, new: _Known | None) -> DocumentChange:
    present = [one for one in (old, new) if one is not None]
    first = present[-1]
    texts = [one.piece.text for one in present]
    parsed = all(one.value is not None for one in present)
    plain = not any(text.rendered for text in texts)
    both = old is not None and new is not None
    same = present[0].piece.content == first.piece.content
    reread = both and texts[0].rendered != texts[-1].rendered and any(text.evaluated for text in texts)
    return DocumentChange(
        identity=first.identity,
        local=first.piece.text.local,
        before=old.piece.content if old else None,
        after=new.piece.content if new else None,
        sources=frozenset(text.source for text in texts),
        isolated=parsed or not plain,
        secret=any(text.secret for text in texts),
        equal=both and not reread and (same or (parsed and _value(present[0]) == _value(first))),
        former=present[0].identity if present[0].identity != first.identity else None,
        reread=reread and same,
    )


def _value(known: _Known) -> Any:
    """What a document says apart from its namespace, which ``fits`` compares."""
    metadata = {field: value for field, value in known.value["metadata"].items() if field != "namespace"}
    return {**known.value, "metadata": metadata}
