"""The source documents inside the ConfigMaps and Secrets that a profile deploys to one cluster.

A value is split into documents as Sveltos splits it. Templates are evaluated if gitsnap can evaluate them. A source in
which a document cannot be identified is *opaque*: its other documents are still known.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.format.fingerprint import is_fingerprint
from gitsnap.sveltos import documents, kinds
from gitsnap.sveltos.documents import Identity
from gitsnap.sveltos.template_context import NO_CONTEXT, TemplateContext, TemplateInput


@dataclass(frozen=True, slots=True)
class SourceText:
    """One value of a ConfigMap or Secret."""

    source: ObjectKey
    content: str
    rendered: bool
    """Whether Sveltos evaluates the value as a template or program before it deploys it."""
    local: bool
    """Whether Sveltos deploys the value to the management cluster."""
    secret: bool
    """Whether the value comes from a Secret and must never be shown."""
    subresources: frozenset[str] = frozenset()
    """The subresources that Sveltos applies with each resource."""
    as_stream: bool = field(default=False, compare=False)
    """Whether the value is split as Sveltos did before 1.0. Texts are compared without this field."""

    @property
    def evaluated(self) -> bool:
        """Whether the text contains template actions that Sveltos evaluates."""
        return self.rendered and "{{" in self.content


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document that is identified by kind, namespace and name."""

    identity: Identity
    source: ObjectKey
    local: bool
    content: str
    secret: bool

    def explains(self, key: ObjectKey, *, local: bool) -> bool:
        """Return whether a deployed resource may come from the document."""
        return self.local == local and self.identity.fits(key)


def texts_of(document: JsonObject, *, local: bool, as_stream: bool = False) -> list[SourceText] | None:
    """Return the values of a ConfigMap or Secret, sorted by name.

    Returns None if no documents can be read from the object: it contains fingerprints, binary values or a Lua program.
    """
    if documents.is_program(document):
        return None
    key = ObjectKey.of(document)
    rendered = documents.is_rendered(document)
    secret = key.kind == kinds.SECRET
    subresources = documents.subresources_of(document)
    texts = []
    for _, value in sorted((document.get("data") or {}).items()):
        content = _decode(value) if secret or is_fingerprint(value) else str(value)
        if content is None:
            return None
        texts.append(SourceText(key, content, rendered, local, secret, subresources, as_stream))
    return texts


def _decode(value: Any) -> str | None:
    if is_fingerprint(value):
        return None
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


# Documents of a text --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """One document of a text, before it is identified."""

    text: SourceText
    content: str
    """The document with its template actions evaluated, if gitsnap can evaluate them."""
    written: str
    """The document as its source contains it."""
    inputs: frozenset[TemplateInput] = frozenset()
    """The objects that the template actions may read, if gitsnap cannot evaluate them."""

    unevaluated: bool = False
    """Whether the document is part of a template that only Sveltos can evaluate. A value is one template: an action in
    one of its documents can affect the others."""

    @property
    def has_actions(self) -> bool:
        """Whether the document contains template actions that only Sveltos can evaluate."""
        return self.unevaluated and "{{" in self.content

    @property
    def meaning(self) -> tuple[object, ...]:
        """Equal for documents that deploy the same. A template differs from plain text with the same characters."""
        return self.content, self.text.local, *self.reading

    @property
    def reading(self) -> tuple[object, ...]:
        """The facts that decide how Sveltos deploys the document, without its content."""
        return self.unevaluated, self.inputs, self.text.subresources


@dataclass(frozen=True, slots=True)
class IdentifiedPiece:
    """A piece whose kind and name are known."""

    piece: Piece
    identity: Identity
    value: Any
    """The parsed document, None if the piece cannot be parsed."""

    @property
    def slot(self) -> tuple[ObjectKey, bool]:
        """The key of the resource, and whether it is local. If documents of a profile share a slot, the last wins."""
        return self.identity.keys()[0], self.piece.text.local


def split_texts(texts: Iterable[SourceText], context: TemplateContext, opaque: set[ObjectKey]) -> list[Piece]:
    """Split texts into documents. The sources of texts that Sveltos refuses are added to ``opaque``."""
    pieces: list[Piece] = []
    for text in texts:
        try:
            pieces += _split_template(text, context) if text.evaluated else _split_plain(text)
        except InputError:
            opaque.add(text.source)
    return pieces


def identify_piece(piece: Piece) -> IdentifiedPiece | None:
    """Return a piece with its identity, None if it cannot be identified."""
    if piece.has_actions:
        identity = documents.identify_text(piece.content)
        return IdentifiedPiece(piece, identity, None) if identity else None
    if "kind" not in piece.content and "\\" not in piece.content:  # YAML writes the field as is, or with escapes
        return None
    value = documents.load(piece.content)
    identity = documents.identify(value)
    if identity is None:  # the value is not an object, but may be a quoted text that contains an object
        identity, value = documents.identify_text(piece.content), None
    return IdentifiedPiece(piece, identity, value) if identity else None


def read_documents(
    texts: Iterable[SourceText], context: TemplateContext = NO_CONTEXT
) -> tuple[list[SourceDocument], frozenset[ObjectKey]]:
    """Return the documents of texts, in order, and the sources in which a document cannot be identified."""
    opaque: set[ObjectKey] = set()
    source_documents = []
    for piece in split_texts(texts, context, opaque):
        identified = identify_piece(piece)
        text = piece.text
        if identified is None:
            opaque.add(text.source)
        else:
            source_documents.append(
                SourceDocument(identified.identity, text.source, text.local, piece.written, text.secret)
            )
    return source_documents, frozenset(opaque)


def _split_plain(text: SourceText) -> list[Piece]:
    return [Piece(text, content, content) for content in _split(text, text.content)]


def _split(text: SourceText, content: str) -> list[str]:
    return documents.split(content, as_stream=text.as_stream)


def _split_template(text: SourceText, context: TemplateContext) -> list[Piece]:
    """Evaluate a value as a whole and split the result, as Sveltos does. Raises InputError."""
    evaluated = context.evaluate(text.content)
    if evaluated is None:
        parts = _split(text, text.content)
        contents = [context.evaluate(part) or part for part in parts]
        return [
            Piece(text, content, part, context.inputs_of(part) if "{{" in content else frozenset(), unevaluated=True)
            for content, part in zip(contents, parts, strict=True)
        ]
    contents = _split(text, evaluated)
    try:
        written = _split(text, text.content)
    except InputError:
        written = []
    if len(written) != len(contents):
        written = contents
    return [Piece(text, content, part) for content, part in zip(contents, written, strict=True)]
