"""Whether the source documents in a raw diff already show everything that changed in a ConfigMap.

Such a ConfigMap needs no raw diff of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from gitsnap.core.errors import InputError
from gitsnap.core.objects import same_json
from gitsnap.diff.document_changes import compare_sources
from gitsnap.diff.object_changes import ObjectChange
from gitsnap.diff.raw_diff import TextPair
from gitsnap.sveltos import documents, kinds
from gitsnap.sveltos.source_documents import texts_of


def shows_change(document_texts: Collection[TextPair], change: ObjectChange) -> bool:
    """Return whether a change of a ConfigMap consists of documents that ``document_texts`` contain."""
    if change.key.kind != kinds.CONFIG_MAP or change.before is None or change.after is None:
        return False
    if not same_json({**change.before, "data": None}, {**change.after, "data": None}):
        return False
    old_texts, new_texts = texts_of(change.before, local=False), texts_of(change.after, local=False)
    if old_texts is None or new_texts is None:
        return False
    compared = compare_sources(old_texts, new_texts)
    shown = {(pair.before, pair.after) for pair in document_texts}
    pairs = [(document.before, document.after) for document in compared.documents]
    if compared.opaque or not shown.issuperset(pairs):
        return False
    numbers = _numbers(pairs, 0), _numbers(pairs, 1)
    old, new = (document.get("data") or {} for document in (change.before, change.after))
    names = [name for name in old.keys() | new.keys() if not same_json(old.get(name), new.get(name))]
    try:
        return all(_differs_in_documents((old.get(name), new.get(name)), numbers) for name in names)
    except InputError:
        return False


_Numbers = Mapping[str, int]
"""Changed documents of one side -> number of the document, equal on both sides; 0 if the other side lacks it."""


def _numbers(pairs: Sequence[tuple[str | None, str | None]], side: int) -> _Numbers:
    return {
        text: 0 if None in pair else number
        for number, pair in enumerate(pairs, start=1)
        if (text := pair[side]) is not None
    }


def _differs_in_documents(texts: tuple[str | None, str | None], numbers: tuple[_Numbers, _Numbers]) -> bool:
    """Return whether two values differ in numbered documents and in nothing else. Raises InputError."""
    parts = [list(_parts(text or "", known)) for text, known in zip(texts, numbers, strict=True)]
    outlines = [[part for part in side if part != 0] for side in parts]
    has_documents = any(isinstance(part, int) for side in parts for part in side)
    ends = {text.endswith("\n") for text in texts if text is not None}
    return has_documents and outlines[0] == outlines[1] and len(ends) == 1


def _parts(text: str, numbers: _Numbers) -> Iterator[str | int]:
    """Yield the parts of a text in order: numbers of numbered documents, other documents, lines between documents.

    Raises InputError if the text does not contain its documents unchanged, such as manifests in a list.
    """
    at = 0
    for document in documents.split(text):
        body = document.removesuffix("\n")
        start = text.find(body, at)
        if start < 0:
            raise InputError("the text is not a plain series of documents")
        yield from _lines_between(text[at:start])
        yield numbers.get(document, body)
        at = start + len(body)
    yield from _lines_between(text[at:])


def _lines_between(text: str) -> Iterator[str]:
    """Yield the lines that are neither blank nor a bare separator."""
    yield from (line for line in text.split("\n") if line.strip() and line.strip() != "---")
