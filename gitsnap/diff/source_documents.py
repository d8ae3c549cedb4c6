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
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.diff.template_context import NOTHING, Filling, Input
from gitsnap.format.fingerprint import is_fingerprint
from gitsnap.sveltos import documents, kinds
from gitsnap.sveltos.documents import Identity


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
    subresources: frozenset[str] = frozenset()
    """What is applied besides each resource."""
    as_stream: bool = field(default=False, compare=False)
    """Split as Sveltos did before 1.0; the same text is no other one for that."""

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
    """The text is the same, but means something else: it is evaluated on one side only, reads what changed, or is
    applied with other subresources."""

    def fits(self, key: ObjectKey) -> bool:
        """Whether a deployed resource may have come from the document, on each side that has it."""
        return self.identity.fits(key) and (self.former is None or self.former.fits(key))


@dataclass(frozen=True, slots=True)
class Described:
    """A document of one side, and what it says it is."""

    identity: Identity
    source: ObjectKey
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


def texts_of(document: JsonObject, *, local: bool, as_stream: bool = False) -> list[Text] | None:
    """The values of a ConfigMap or Secret, None when they hold no documents: fingerprints, or a Lua program."""
    if documents.is_program(document):
        return None
    key = ObjectKey.of(document)
    rendered = documents.is_rendered(document)
    secret = key.kind == kinds.SECRET
    subresources = documents.subresources_of(document)
    texts = []
    for _, value in sorted((document.get("data") or {}).items()):
        content = _decoded(value) if secret or is_fingerprint(value) else str(value)
        if content is None:
            return None
        texts.append(Text(key, content, rendered, local, secret, subresources, as_stream))
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
    """With the actions of a template carried out, where that could be done."""
    written: str
    """As it stands in its source."""
    reads: frozenset[Input] = frozenset()
    """What its actions may read, where they could not be carried out."""

    evaluated: bool = False
    """Whether only Sveltos can carry out the template that it is part of. A value is one template, so that an action in
    one of its documents may decide about the others."""

    @property
    def has_actions(self) -> bool:
        """Whether only Sveltos knows what is deployed of it."""
        return self.evaluated and "{{" in self.content

    @property
    def meaning(self) -> tuple[object, ...]:
        """What must be equal for two pieces to be the same: a template means something else than equal plain text."""
        return self.content, self.text.local, *self.reading

    @property
    def reading(self) -> tuple[object, ...]:
        """What Sveltos makes of the text besides what it says."""
        return self.evaluated, self.reads, self.text.subresources


@dataclass(frozen=True, slots=True)
class _Known:
    """A piece that is known to be one document."""

    piece: _Piece
    identity: Identity
    value: Any
    """None when it could not be parsed."""

    @property
    def slot(self) -> tuple[ObjectKey, bool]:
        """Where it is deployed: of several documents of a profile that go to one place the last one counts."""
        return self.identity.places()[0], self.piece.text.local


_Fillings = tuple[Filling, Filling]


def compare_sources(
    before: Sequence[Text], after: Sequence[Text], fillings: _Fillings = (NOTHING, NOTHING)
) -> SourceChanges:
    """What changed between the texts that one profile deploys to a cluster, for which its templates are filled in."""
    opaque: set[ObjectKey] = set()
    same = frozenset(before) & frozenset(after)
    # Equal templates may come out differently.
    unchanged = same if fillings[0] == fillings[1] else frozenset(text for text in same if not text.evaluated)
    old = _pieces([text for text in before if text not in unchanged], fillings[0], opaque)
    new = _pieces([text for text in after if text not in unchanged], fillings[1], opaque)
    common = Counter(piece.meaning for piece in old) & Counter(piece.meaning for piece in new)
    known_old = _identified(_remaining(old, common), opaque)
    known_new = _identified(_remaining(new, common), opaque)
    pairs = [(known_old.get(slot), known_new.get(slot)) for slot in sorted(known_old.keys() | known_new.keys())]
    return SourceChanges(tuple(_change(*pair) for pair in _with_moved_namespaces(pairs)), frozenset(opaque))


def described(texts: Iterable[Text], filling: Filling) -> tuple[list[Described], frozenset[ObjectKey]]:
    """All documents of some texts, and the sources in which some cannot be made out."""
    opaque: set[ObjectKey] = set()
    found = []
    for piece in _pieces(texts, filling, opaque):
        known = _known(piece)
        if known is None:
            opaque.add(piece.text.source)
        else:
            text = piece.text
            found.append(Described(known.identity, text.source, text.local, piece.written, text.secret))
    return found, frozenset(opaque)


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


def _pieces(texts: Iterable[Text], filling: Filling, opaque: set[ObjectKey]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for text in texts:
        try:
            pieces += _template_pieces(text, filling) if text.evaluated else _plain_pieces(text)
        except InputError:
            opaque.add(text.source)
    return pieces


def _plain_pieces(text: Text) -> list[_Piece]:
    return [_Piece(text, content, content) for content in _split(text, text.content)]


def _split(text: Text, content: str) -> list[str]:
    return documents.split(content, as_stream=text.as_stream)


def _template_pieces(text: Text, filling: Filling) -> list[_Piece]:
    """Sveltos carries out a value as a whole, and splits what comes of it. Raises InputError."""
    whole = filling.carry_out(text.content)
    if whole is None:
        parts = _split(text, text.content)
        contents = [filling.carry_out(part) or part for part in parts]
        return [
            _Piece(text, content, part, filling.read_by(part) if "{{" in content else frozenset(), evaluated=True)
            for content, part in zip(contents, parts, strict=True)
        ]
    contents = _split(text, whole)
    try:
        written = _split(text, text.content)
    except InputError:
        written = []
    if len(written) != len(contents):
        written = contents
    return [_Piece(text, content, part) for content, part in zip(contents, written, strict=True)]


def _remaining(pieces: Iterable[_Piece], common: Counter[tuple[object, ...]]) -> list[_Piece]:
    """The pieces that the other side does not have."""
    left = Counter(common)
    remaining = []
    for piece in pieces:
        if left[piece.meaning] > 0:
            left[piece.meaning] -= 1
        else:
            remaining.append(piece)
    return remaining


def _identified(pieces: Iterable[_Piece], opaque: set[ObjectKey]) -> dict[tuple[ObjectKey, bool], _Known]:
    found: dict[tuple[ObjectKey, bool], _Known] = {}
    for piece in pieces:
        known = _known(piece)
        if known is None:
            opaque.add(piece.text.source)
        else:
            found[known.slot] = known
    return found


def _known(piece: _Piece) -> _Known | None:
    if piece.has_actions:
        identity = documents.identify_text(piece.content)
        return _Known(piece, identity, None) if identity else None
    value = documents.load(piece.content)
    identity = documents.identify(value)
    if identity is None:  # what can be parsed, and is no object: a quoted text, say, that looks like one
        identity, value = documents.identify_text(piece.content), None
    return _Known(piece, identity, value) if identity else None


def _change(old: _Known | None, new: _Known | None) -> DocumentChange:
    present = [one for one in (old, new) if one is not None]
    first, last = present[0], present[-1]
    pieces = [one.piece for one in present]
    parsed = all(one.value is not None for one in present)
    both = old is not None and new is not None
    same = pieces[0].content == pieces[-1].content
    reads = pieces[0].reads ^ pieces[-1].reads
    reread = pieces[0].reading != pieces[-1].reading
    texts = _shown(old, new)
    return DocumentChange(
        identity=last.identity,
        local=last.piece.text.local,
        before=texts[0],
        after=texts[1],
        sources=frozenset(one.key for one in reads) if reads and same else frozenset(one.text.source for one in pieces),
        isolated=parsed or any(piece.text.rendered for piece in pieces),
        secret=any(piece.text.secret for piece in pieces),
        equal=both and not reread and (same or (parsed and same_json(_value(first), _value(last)))),
        former=first.identity if first.identity != last.identity else None,
        reread=reread and same,
    )


def _shown(old: _Known | None, new: _Known | None) -> tuple[str | None, str | None]:
    """Both texts as they are written; where that is the same, as they come out."""
    if old is not None and new is not None and old.piece.written == new.piece.written:
        return old.piece.content, new.piece.content
    return old.piece.written if old else None, new.piece.written if new else None


def _value(known: _Known) -> Any:
    """What a document says apart from its namespace, which ``fits`` compares."""
    metadata = {field: value for field, value in known.value["metadata"].items() if field != "namespace"}
    return {**known.value, "metadata": metadata}
